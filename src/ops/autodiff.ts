/** Differentiation with the elementwise ops it needs supplied. */
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { appendGradients, type GradientRequest } from '../graph/grad';
import type { Tensor } from '../graph/tensor';
import { accumulate, add } from './add';

const gradientOps = { add: (g: Graph, a: Tensor, b: Tensor) => add(g, a, b), accumulate };

/**
 * Gradients of a one-element `loss` with respect to `wrt`; see appendGradients. `scale` is d total / d loss (a
 * microbatch's share of its batch).
 */
export function gradients(
  graph: Graph,
  request: Omit<GradientRequest, 'seed'> & { readonly scale?: number },
): (Tensor | null)[] {
  if (request.loss.elements !== 1) {
    throw new ShapeError(`gradients: the loss has one element: ${request.loss.describe()}`);
  }
  const seed = graph.constant(Float32Array.of(request.scale ?? 1), request.loss.shape);
  return appendGradients(graph, { ...request, seed }, gradientOps);
}

/** Vector-Jacobian product: gradients of sum(value * seed), for tests and probes. */
export function vectorJacobian(
  graph: Graph,
  value: Tensor,
  seed: Tensor,
  wrt: readonly Tensor[],
): (Tensor | null)[] {
  return appendGradients(graph, { loss: value, seed, wrt }, gradientOps);
}
