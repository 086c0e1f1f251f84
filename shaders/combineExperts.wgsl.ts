/**
 * combineExperts: what the experts made of their tokens, put back in the tokens' places.
 *
 *   sum[row] = sum over e of probs[row, e] h[slots[row, e]]      where expert e chose the row, in the order of e
 *   y[row] = residual[row] + gate[rows[sample], :] sum[row]      residual and gate are optional and structural
 *
 * h [S, D] with S = E B K slots, probs [B T, E], slots u32 [B T, E] (0xffffffff: not chosen), residual, y, sum [B T, D],
 * gate [R, D], rows u32 [B]. `sum` is written only where something reads it.
 *
 * Backward, from dsum, the gradient of sum; both overwrite:
 *   dh[slot] = probs[picks[slot], e] dsum[picks[slot]]           picks u32 [S], e = slot / (B K)
 *   dprobs[row, e] = dot(dsum[row], h[slots[row, e]]), 0 where expert e did not choose the row
 * Picks and slots are each other's inverse, so each result has one source and nothing is added up across threads but the
 * dot product, by 16 lanes in a fixed order.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowLaneThreads, rowSumText } from './lib/rowLanes';
import { rowStrips } from './lib/rowStrips';
import { guardedLoad, guardedStore } from './lib/text';

export interface CombineExpertsVariant {
  readonly wide: boolean;
  readonly residual: boolean;
  readonly gate: boolean;
  /** The row of the gate is chosen by an index. */
  readonly gateRows: boolean;
  readonly saveSum: boolean;
}

export function combineExpertsShader(v: CombineExpertsVariant, header: string): string {
  return rowStrips(
    header,
    wgsl`
${guardedLoad('h', v.wide)}
${guardedStore('y', v.wide)}
#if ${v.residual}
${guardedLoad('residual', v.wide)}
#endif
#if ${v.gate}
${guardedLoad('gate', v.wide)}
#endif
#if ${v.saveSum}
${guardedStore('sum', v.wide)}
#endif
`,
    wgsl`
  var value = vec4<f32>(0.0);
  for (var choice = row * u.experts; choice < (row + 1u) * u.experts; choice++) {
    let slot = loadSlots(choice);
    if (slot < u.slotCount) { value += loadProbs(choice) * readH(slot * u.columns + column, left); }
  }
  let at = row * u.columns + column;
#if ${v.saveSum}
  writeSum(at, left, value);
#endif
#if ${v.gate}
#if ${v.gateRows}
  let sample = loadRows(row / u.tokens);
#else
  let sample = row / u.tokens;
#endif
  value *= readGate(sample * u.columns + column, left);
#endif
#if ${v.residual}
  value += readResidual(at, left);
#endif
  writeY(at, left, value);
`,
  );
}

/** dh: a row for each slot. */
export function combineExpertsBackwardSlotsShader(v: { readonly wide: boolean }, header: string): string {
  return rowStrips(
    header,
    `${guardedLoad('dsum', v.wide)}
${guardedStore('dh', v.wide)}`,
    `  let token = loadPicks(row);
  let share = loadProbs(token * u.experts + row / u.slotsPerExpert);
  writeDh(row * u.columns + column, left, share * readDsum(token * u.columns + column, left));`,
  );
}

/** Lanes that share a dot product. */
const lanes = 16;

/** Probabilities that one workgroup of the next kernel differentiates. */
export const choicesPerWorkgroup = rowLaneThreads / lanes;

/** dprobs: a number for each token and expert. */
export function combineExpertsBackwardProbsShader(v: { readonly wide: boolean }, header: string): string {
  return wgsl`${header}
${guardedLoad('dsum', v.wide)}
${guardedLoad('h', v.wide)}
${rowSumText(lanes, 'f32')}
@compute @workgroup_size(${rowLaneThreads})
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let choice = (wid.x + wid.y * groups.x) * ${choicesPerWorkgroup}u + thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  var slot = 0xffffffffu;
  if (choice < u.choices) { slot = loadSlots(choice); }
  var parts = vec4<f32>(0.0);
  if (slot < u.slotCount) {
    let token = choice / u.experts;
    for (var column = lane * 4u; column < u.columns; column += ${lanes * 4}u) {
      let left = u.columns - column;
      parts += readDsum(token * u.columns + column, left) * readH(slot * u.columns + column, left);
    }
  }
  let dot = rowSum((parts.x + parts.y) + (parts.z + parts.w), thread);
  if (lane == 0u && choice < u.choices) { storeDprobs(choice, dot); }
}
`;
}
