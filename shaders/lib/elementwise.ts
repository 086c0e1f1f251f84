/** The frame of elementwise kernels: each thread handles four elements i..i+3 of `u.count`, `left` of which exist. */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** Elements that one workgroup of an elementwise kernel handles. */
export const elementsPerWorkgroup = 256;

/** `declarations` go before main; `body` sees `i` (first element) and `left`. */
export function elementwise(header: string, declarations: string, body: string): string {
  return wgsl`${header}
${declarations}
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = ((wid.x + wid.y * groups.x) * 64u + thread) * 4u;
  if (i >= u.count) { return; }
  let left = u.count - i;
${body}
}
`;
}
