/**
 * expertRoute: expert choice. For every sample b and expert e the K tokens with the largest probability.
 *
 *   probs [B, T, E]      what the router gives
 *   picks u32 [E, B K]   entry e B K + b K + rank: the chosen token as a row b T + t of the batch
 *   slots u32 [B T, E]   the inverse: e B K + b K + rank where expert e chose the token, otherwise 0xffffffff
 *   taken [E, B K, D]    rows of x [B, T, D] by picks: what the experts work on
 *
 * rank_t = number of tokens s of the sample with p_s > p_t, or p_s = p_t and s < t: descending, ties to the lower token.
 * Ranks are counted, all against all, so there is no sorting and nothing depends on the order of threads. Probabilities
 * are compared by their bits, which order non-negative floats: a total order whatever the device does with subnormals
 * or NaN, so that ranks are always a permutation and every pick is written.
 *
 * One workgroup per (16 tokens, expert, sample): four lanes count for a token, the sample's keys pass through workgroup
 * memory 256 at a time, and then all lanes together copy the rows of the chosen tokens.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowSumText } from './lib/rowLanes';
import { guardedLoad, guardedStore } from './lib/text';

export interface ExpertRouteVariant {
  /** Which results are wanted. */
  readonly picks: boolean;
  readonly slots: boolean;
  readonly taken: boolean;
  /** Rows of x and taken can be accessed four wide. */
  readonly wide: boolean;
}

/** Lanes that count for one token. */
const lanes = 4;

/** Tokens that one workgroup ranks. */
export const tokensPerWorkgroup = 64 / lanes;

export function expertRouteShader(v: ExpertRouteVariant, header: string): string {
  return wgsl`${header}
#if ${v.taken}
${guardedLoad('x', v.wide)}
${guardedStore('taken', v.wide)}
var<workgroup> targets: array<u32, ${tokensPerWorkgroup}>;
#endif
var<workgroup> keys: array<vec4<u32>, 64>;
${rowSumText(lanes, 'u32')}
const none = 0xffffffffu;

fn key(token: u32, sample: u32, expert: u32) -> u32 {
  // past the last token: smaller than or equal to every key, and later than every token, so never counted
  if (token >= u.tokens) { return 0u; }
  return bitcast<u32>(loadProbs((sample * u.tokens + token) * u.experts + expert));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let expert = wid.y;
  let sample = wid.z;
  let token = wid.x * ${tokensPerWorkgroup}u + thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  let mine = key(token, sample, expert);
  var counts = vec4<u32>(0u);
  for (var start = 0u; start < u.tokens; start += 256u) {
    workgroupBarrier();
    let first = start + thread * 4u;
    keys[thread] = vec4<u32>(
      key(first, sample, expert),
      key(first + 1u, sample, expert),
      key(first + 2u, sample, expert),
      key(first + 3u, sample, expert),
    );
    workgroupBarrier();
    for (var i = lane; i < 64u; i += ${lanes}u) {
      let others = start + i * 4u + vec4<u32>(0u, 1u, 2u, 3u);
      let above = keys[i] > vec4<u32>(mine);
      let tied = (keys[i] == vec4<u32>(mine)) & (others < vec4<u32>(token));
      counts += select(vec4<u32>(0u), vec4<u32>(1u), above | tied);
    }
  }
  let rank = rowSum(counts.x + counts.y + counts.z + counts.w, thread);
  let row = sample * u.tokens + token;
  let chosen = token < u.tokens && rank < u.chosen;
  let slot = select(none, (expert * u.samples + sample) * u.chosen + rank, chosen);
#if ${v.picks}
  if (chosen && lane == 0u) { storePicks(slot, row); }
#endif
#if ${v.slots}
  if (token < u.tokens && lane == 0u) { storeSlots(row * u.experts + expert, slot); }
#endif
#if ${v.taken}
  if (lane == 0u) { targets[thread / ${lanes}u] = slot; }
  workgroupBarrier();
  let source = sample * u.tokens + wid.x * ${tokensPerWorkgroup}u;
  for (var i = 0u; i < ${tokensPerWorkgroup}u; i++) {
    let goal = targets[i];
    if (goal == none) { continue; }
    for (var column = thread * 4u; column < u.columns; column += 256u) {
      let left = u.columns - column;
      writeTaken(goal * u.columns + column, left, readX((source + i) * u.columns + column, left));
    }
  }
#endif
}
`;
}
