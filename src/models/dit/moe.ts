/**
 * Mixture of experts with expert choice (upstream's ExpertChoiceMoE): every expert takes the K tokens of each sample
 * that want it most, and a token gets the sum of what its experts made of it, each weighted by its probability.
 *
 *   probs = softmax over E of x gate^T;  h_e = gelu_erf(x[picks_e] w1_e) w2_e;  y[t] = sum over e of probs[t, e] h_e[t]
 *
 * The probabilities come with the norm that makes x (see ditBlock).
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { combineExperts, type CombineExpertsOptions } from '../../ops/combineExperts';
import { expertRoute, tokensPerExpert } from '../../ops/expertRoute';
import { linear } from '../../ops/linear';

export interface MoeWeights {
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
 * residual + gate * experts(x), for x [B, T, d] and its probs [B, T, E]; without residual and gate the experts alone. K may
 * be 0: then the experts add nothing.
 * @throws ShapeError
 */
export function moe(
  graph: Graph,
  x: Tensor,
  probs: Tensor,
  weights: MoeWeights,
  options: MoeOptions,
): Tensor {
  const { capacity, ...epilogue } = options;
  const chosen = tokensPerExpert(probs.dim(1), probs.dim(2), capacity);
  if (chosen === 0) return options.residual ?? graph.constant(new Float32Array(x.elements), x.shape);

  const { picks, slots, taken } = expertRoute(graph, probs, x, chosen);
  const product = { layout: 'kn', batched: true } as const;
  const hidden = graph.scope('w1', () => linear(graph, taken, weights.w1, { ...product, act: 'gelu_erf' }));
  const h = graph.scope('w2', () => linear(graph, hidden, weights.w2, product));
  return combineExperts(graph, h, probs, slots, picks, epilogue);
}
