/**
 * Reverse-mode differentiation: appends the backward nodes of a scalar to the same graph.
 *
 * Each op's `vjp` says how its gradient flows. Branches that lead to no wanted tensor (frozen weights, inputs nobody
 * asked about) are skipped. A gradient may be gathered straight into a state tensor ("accumulators"): training adds
 * each microbatch into the gradient buffers without an extra pass.
 */
import { InternalError, invariant, ShapeError } from '../core/errors';
import type { Graph } from './graph';
import { accumulated, opOf } from './op';
import type { Tensor } from './tensor';

/** The two elementwise ops that differentiation itself needs; src/ops/autodiff.ts supplies them. */
export interface GradientOps {
  add(graph: Graph, a: Tensor, b: Tensor): Tensor;
  /** state += gradient, an effect. */
  accumulate(graph: Graph, state: Tensor, gradient: Tensor): void;
}

export interface GradientRequest {
  /** The value to differentiate; any shape. */
  readonly loss: Tensor;
  /** What flows back into it, of its size: a constant 1 for a scalar loss, any vector for a vector-Jacobian product. */
  readonly seed: Tensor;
  readonly wrt: readonly Tensor[];
  /** For members of `wrt`: the state tensor their gradient is added to, instead of being returned. */
  readonly accumulators?: ReadonlyMap<Tensor, Tensor>;
}

/**
 * Gradients of `loss` with respect to each tensor of `wrt`, in order; null where it does not depend on it or where the
 * gradient went into an accumulator.
 * @throws InternalError when the path crosses an op without derivative.
 */
export function appendGradients(graph: Graph, request: GradientRequest, ops: GradientOps): (Tensor | null)[] {
  const { loss, seed, wrt, accumulators = new Map<Tensor, Tensor>() } = request;
  if (seed.elements !== loss.elements) {
    throw new ShapeError(
      `gradients: the seed has the size of the loss: ${seed.describe()}, ${loss.describe()}`,
    );
  }
  const wanted = new Set(wrt);
  const reaches = new Set<Tensor>(wrt);
  const forward = graph.nodes.slice(0, loss.node.id + 1);
  for (const node of forward) {
    if (node.inputs.some((input) => reaches.has(input)))
      for (const output of node.outputs) reaches.add(output);
  }

  const gradients = new Map<Tensor, Tensor>([[loss, seed]]);
  const receive = (tensor: Tensor, gradient: Tensor): void => {
    const sink = accumulators.get(tensor);
    if (sink) {
      ops.accumulate(graph, sink, gradient);
      return;
    }
    const known = gradients.get(tensor);
    gradients.set(tensor, known ? ops.add(graph, known, gradient) : gradient);
  };

  for (const node of forward.reverse()) {
    const op = opOf(node);
    if (!op) continue;
    const needs = node.inputs.map((input) => reaches.has(input));
    const grads = node.outputs.map((output) => gradients.get(output) ?? null);
    if (!needs.some(Boolean) || grads.every((gradient) => gradient === null)) continue;
    if (!op.vjp) {
      throw new InternalError(
        `gradients: every op on the path has a derivative: ${op.name} in '${node.scope}' has none`,
      );
    }
    const results = graph.scope(node.scope ? `${node.scope}/backward` : 'backward', () =>
      op.vjp!({
        graph,
        node,
        inputs: node.inputs,
        outputs: node.outputs,
        attrs: node.attrs,
        grads,
        needs,
        into: (index) => accumulators.get(node.inputs[index]!) ?? null,
      }),
    );
    results.forEach((gradient, index) => {
      const input = node.inputs[index];
      invariant(
        input,
        `gradients: ${op.name} returned ${results.length} gradients for ${node.inputs.length} inputs`,
      );
      if (!needs[index] || gradient === null || gradient === accumulated) return;
      invariant(
        gradient.elements === input.elements,
        `gradients: ${op.name} input ${index} is ${input.describe()}, its gradient ${gradient.describe()}`,
      );
      receive(input, gradient);
    });
    // a gradient that nobody else asks for is not needed any more
    for (const output of node.outputs) if (!wanted.has(output)) gradients.delete(output);
  }
  return wrt.map((tensor) => (accumulators.has(tensor) ? null : (gradients.get(tensor) ?? null)));
}
