/**
 * normFirst: two jobs for the rows of x [rows, D] in one dispatch. The first u.first rows are layer-normalised,
 *
 *   normed[row] = (x[row] - mean) rstd weight            normed [first, D], weight [D] f32 or f16
 *   shifted[row - first] = x[row] + vector               shifted [rows - first, D], vector [D]
 *
 * and the others get a vector. Saved for the backward pass, where used: stats [first, 2] = mean, rstd. Nothing is
 * accumulated. Rows are shared by `lanes` threads of a workgroup of 64; statistics of rows that need none are taken too,
 * so that all threads of a workgroup come to the barriers.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowStatsText, rowSumText, stripText, type RowLanes } from './lib/rowLanes';
import { guardedLoad, guardedStore } from './lib/text';

export interface NormFirstVariant {
  readonly wide: boolean;
  readonly lanes: RowLanes;
  readonly saveStats: boolean;
}

export function normFirstShader(v: NormFirstVariant, header: string): string {
  return wgsl`${header}
${guardedLoad('x', v.wide)}
${guardedLoad('weight', v.wide)}
${guardedLoad('vector', v.wide)}
${guardedStore('normed', v.wide)}
${guardedStore('shifted', v.wide)}
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}
${rowStatsText(v.lanes)}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  // threads without a row follow the last one to the barriers
  let base = min(row, u.count - 1u) * u.columns;
  let stats = rowStats(base, u.columns, lane, thread);
  if (row >= u.count) { return; }
#if ${v.saveStats}
  if (lane == 0u && row < u.first) {
    storeStats(row * 2u, stats.x);
    storeStats(row * 2u + 1u, stats.y);
  }
#endif
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    let value = readX(base + column, left);
    if (row < u.first) {
      writeNormed(base + column, left, (value - stats.x) * stats.y * readWeight(column, left));
    } else {
      writeShifted(base + column - u.first * u.columns, left, value + readVector(column, left));
    }
  }
}
`;
}
