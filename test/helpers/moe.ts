/** Other forms of the mixture of experts: from its gate's weight, and upstream's with one-hot matrices. */
import type { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { moe, type MoeOptions, type MoeWeights } from '../../src/models/dit/moe';
import { add } from '../../src/ops/add';
import { expertRoute, tokensPerExpert } from '../../src/ops/expertRoute';
import { gatherRows } from '../../src/ops/gatherRows';
import { linear } from '../../src/ops/linear';
import { mulRows } from '../../src/ops/mulRows';
import { softmax } from '../../src/ops/softmax';
import { reshape, sliceRows } from '../../src/ops/view';

/** moe of x [B, T, d] with the router's probabilities made here: `gate` [E, d]. */
export function moeFromGate(
  graph: Graph,
  x: Tensor,
  weights: MoeWeights & { readonly gate: Tensor },
  options: MoeOptions,
): Tensor {
  const probs = softmax(graph, linear(graph, x, weights.gate));
  return moe(graph, x, probs, weights, options);
}

/** The numbers 1 on the diagonal of [n, n]. */
function identity(graph: Graph, n: number): Tensor {
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data[i * (n + 1)] = 1;
  return graph.constant(data, [n, n]);
}

/**
 * Upstream's form of moe: dispatch and combination are products with one-hot matrices. P_e [B K, B T] has a row for each
 * token that expert e takes, with a 1 in the token's column:
 *
 *   x_e = P_e x;  h_e = gelu_erf(x_e w1_e) w2_e;  y = sum over e of P_e^T (g_e * h_e);  g_e = row sums of P_e probs[:, e]
 */
export function oneHotMoe(
  graph: Graph,
  x: Tensor,
  probs: Tensor,
  weights: MoeWeights,
  options: MoeOptions,
): Tensor {
  const { capacity, residual, gate, gateRows } = options;
  const [tokens, experts, width] = [probs.dim(1), probs.dim(2), x.width];
  const chosen = tokensPerExpert(tokens, experts, capacity);
  const rows = x.rows;
  const { picks } = expertRoute(graph, probs, x, chosen);
  const flat = reshape(graph, x, [rows, width]);
  const flatProbs = reshape(graph, probs, [rows, experts]);
  const oneHot = gatherRows(graph, identity(graph, rows), reshape(graph, picks, [picks.elements]));
  const columns = identity(graph, experts);
  const slots = picks.dim(1);
  let sum: Tensor | null = null;
  for (let e = 0; e < experts; e++) {
    const one = <T extends readonly number[]>(tensor: Tensor, shape: T): Tensor =>
      reshape(graph, sliceRows(graph, tensor, e, e + 1), shape);
    const P = sliceRows(graph, oneHot, e * slots, (e + 1) * slots);
    const taken = linear(graph, P, flat, { layout: 'kn' });
    const w1 = one(weights.w1, weights.w1.shape.slice(1));
    const w2 = one(weights.w2, weights.w2.shape.slice(1));
    const hidden = linear(graph, taken, w1, { layout: 'kn', act: 'gelu_erf' });
    const h = linear(graph, hidden, w2, { layout: 'kn' });
    const column = linear(graph, flatProbs, one(columns, [1, experts]));
    const g = linear(graph, P, column, { layout: 'kn' });
    const weighted = reshape(graph, mulRows(graph, reshape(graph, h, [slots, 1, width]), g), [slots, width]);
    const back = linear(graph, P, weighted, { layout: 'kn', transA: true });
    sum = sum ? add(graph, sum, back) : back;
  }
  let y = reshape(graph, sum!, x.shape);
  if (gate) y = mulRows(graph, y, gateRows ? gatherRows(graph, gate, gateRows) : gate);
  return residual ? add(graph, residual, y) : y;
}
