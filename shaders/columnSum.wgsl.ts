/**
 * columnSum: y[g, c] = scale sum_r x[g, r, c] (times[g, r, c]). x [G, R, C], y [G, C].
 * One workgroup per (g, block of 16 x 4 columns): 4 lanes share the rows, each summing in order, and are added in a fixed
 * tree; no atomics. Bias and gate gradients, means over tokens.
 *
 * repeatRows: y[g, r, c] = scale x[g, c], its transpose.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export interface ColumnSumVariant {
  readonly wide: boolean;
  readonly times: boolean;
}

/** Columns that one workgroup sums. */
export const columnsPerWorkgroup = 64;

export function columnSumShader(v: ColumnSumVariant, header: string): string {
  return wgsl`${header}
${guardedLoad('x', v.wide)}
#if ${v.times}
${guardedLoad('times', v.wide)}
#endif
${guardedStore('y', v.wide)}

var<workgroup> partial: array<vec4<f32>, 64>;

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wid.x * 64u + lid.x * 4u;
  let group = wid.y;
  var sum = vec4<f32>(0.0);
  if (column < u.columns) {
    let left = u.columns - column;
    for (var row = lid.y; row < u.rows; row += 4u) {
      let at = (group * u.rows + row) * u.columns + column;
#if ${v.times}
      sum += readX(at, left) * readTimes(at, left);
#else
      sum += readX(at, left);
#endif
    }
  }
  partial[lid.y * 16u + lid.x] = sum;
  workgroupBarrier();
  if (lid.y == 0u && column < u.columns) {
    let total = (partial[lid.x] + partial[16u + lid.x]) + (partial[32u + lid.x] + partial[48u + lid.x]);
    writeY(group * u.columns + column, u.columns - column, u.scale * total);
  }
}
`;
}

export function repeatRowsShader(v: { readonly wide: boolean }, header: string): string {
  const element = (offset: number): string => {
    const at = `i + ${offset}u`;
    return `loadX((${at}) / (u.rows * u.columns) * u.columns + (${at}) % u.columns)`;
  };
  return elementwise(
    header,
    guardedStore('y', v.wide),
    v.wide
      ? '  writeY(i, left, u.scale * loadX4(i / (u.rows * u.columns) * u.columns + i % u.columns));'
      : `  var value = vec4<f32>(${element(0)});
  if (left > 1u) { value.y = ${element(1)}; }
  if (left > 2u) { value.z = ${element(2)}; }
  if (left > 3u) { value.w = ${element(3)}; }
  writeY(i, left, u.scale * value);`,
  );
}
