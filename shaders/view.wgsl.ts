/** copy: y[start + i] = x[i] for i < count; counts and start are in vec4s when `wide`. */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

export function copyShader(v: { readonly wide: boolean }, header: string): string {
  return wgsl`${header}
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= u.count) { return; }
#if ${v.wide}
  storeY4((u.start + i) * 4u, loadX4(i * 4u));
#else
  storeY(u.start + i, loadX(i));
#endif
}
`;
}
