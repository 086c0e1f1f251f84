/** The frame of kernels that work on rows one by one: each thread handles four columns of one row of the result. */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** Workgroups that `count` rows of `columns` elements take. */
export function rowStripWorkgroups(count: number, columns: number): number {
  return Math.ceil((count * Math.ceil(columns / 4)) / 64);
}

/**
 * Rows 0..u.count-1 of u.columns elements. `declarations` go before main; `body` sees `row`, `column` (the first of the
 * four) and `left`, how many columns there are from it on.
 */
export function rowStrips(header: string, declarations: string, body: string): string {
  return wgsl`${header}
${declarations}
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let strip = (wid.x + wid.y * groups.x) * 64u + thread;
  let strips = (u.columns + 3u) / 4u;
  let row = strip / strips;
  if (row >= u.count) { return; }
  let column = strip % strips * 4u;
  let left = u.columns - column;
${body}
}
`;
}
