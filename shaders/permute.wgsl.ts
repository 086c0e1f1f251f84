/**
 * permute: y[b, q, p] = x[b, p, q]. x [B, P, Q], y [B, Q, P]: channels first to channels last and back.
 * Tiles of 32 x 32 go through workgroup memory, so that reads and writes both run along rows; the tile's rows are one
 * word longer than its width, which keeps columns in different banks.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** Rows and columns of a tile. */
export const permuteTile = 32;

export function permuteShader(header: string): string {
  return wgsl`${header}
var<workgroup> tile: array<f32, 1056>;

@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let base = wid.z * u.p * u.q;
  let p0 = wid.y * 32u;
  let q0 = wid.x * 32u;
  for (var row = lid.y; row < 32u; row += 8u) {
    if (p0 + row < u.p && q0 + lid.x < u.q) {
      tile[row * 33u + lid.x] = loadX(base + (p0 + row) * u.q + q0 + lid.x);
    }
  }
  workgroupBarrier();
  for (var row = lid.y; row < 32u; row += 8u) {
    if (q0 + row < u.q && p0 + lid.x < u.p) {
      storeY(base + (q0 + row) * u.p + p0 + lid.x, tile[lid.x * 33u + row]);
    }
  }
}
`;
}
