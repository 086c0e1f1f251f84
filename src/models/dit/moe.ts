/**
 * Mixture of experts with expert choice (upstream's ExpertChoiceMoE): every expert takes the K tokens of each sample
 * that want it most, and a token gets the sum of what its experts made of it, each weighted by its probability.
 *
 *   probs = softmax over E of x gate^T;  h_e = gelu_erf(x[picks_e] w1_e) w2_e;  y[t] = sum over e of probs[t, e] h_e[t]
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { combineExperts, type CombineExpertsOptions } from '../../ops/combineExperts';
import { expertRoute, tokensPerExpert } from '../../ops/expertRoute';
import { gatherRows } from '../../ops/gatherRows';
import { linear } from '../../ops/linear';
import { reshape } from '../../ops/view';

export interface MoeWeights {
  /** [E, d] */
  readonly gate: Tensor;
  /** [E, d, F] */
  readonly w1: Tensor;
  /** [E, F, d] */
  readonly w2: Tensor;
}

export interface MoeOptions extends CombineExpertsOptions {
  /** Experts that a token gets on average: each takes K = trunc(capacity T / E) tokens of a sample. */
  readonly capacity: number;
}

/**
 * residual + gate * experts(x), for x [B, T, d]; without them the experts alone. K may be 0: then the experts add
 * nothing.
 * @throws ShapeError
 */
export function moe(graph: Graph, x: Tensor, weights: MoeWeights, options: MoeOptions): Tensor {
  const { capacity, ...epilogue } = options;
  const [samples, tokens, width] = [x.dim(0), x.dim(1), x.dim(2)];
  const experts = weights.gate.dim(0);
  const chosen = tokensPerExpert(tokens, experts, capacity);
  if (chosen === 0) return options.residual ?? graph.constant(new Float32Array(x.elements), x.shape);

  const logits = graph.scope('gate', () => linear(graph, x, weights.gate));
  const { probs, picks, slots } = expertRoute(graph, logits, chosen);
  const rows = reshape(graph, x, [samples * tokens, width]);
  const taken = gatherRows(graph, rows, reshape(graph, picks, [picks.elements]), slots);
  const inputs = reshape(graph, taken, [experts, samples * chosen, width]);
  const product = { layout: 'kn', batched: true } as const;
  const hidden = graph.scope('w1', () => linear(graph, inputs, weights.w1, { ...product, act: 'gelu_erf' }));
  const h = graph.scope('w2', () => linear(graph, hidden, weights.w2, product));
  return combineExperts(graph, h, probs, slots, picks, epilogue);
}
