/** How model code gets its parameters, and how it shows its inner values. */
import type { Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';

/** The parameter of an upstream name, as a tensor of the graph being traced. */
export type Weights = (name: string) => Tensor;

/**
 * Receives inner values by the name of the upstream module that makes them ("blocks.3", "blocks.3.attn"). Some exist
 * only for the tap (values before a fused epilogue), so tracing with one appends a few nodes.
 */
export type Tap = (name: string, value: Tensor) => void;

/** The value of a linear or combineExperts node before its gate and residual: what upstream's module returns. */
export function beforeEpilogue(value: Tensor): Tensor {
  return value.node.outputs[1]!;
}

/** Runs `trace` under the scope `name`, with names of upstream modules spelled from it. */
export function scoped<T>(graph: Graph, weights: Weights, name: string, trace: (weights: Weights) => T): T {
  return graph.scope(name, () => trace((inner) => weights(`${name}.${inner}`)));
}
