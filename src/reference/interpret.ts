/**
 * The CPU interpreter: runs any graph through the ops' float64 references. A whole-model oracle, and the base of finite
 * differences. Slow and simple on purpose.
 */
import { invariant, NotFoundError } from '../core/errors';
import { elementCount } from '../core/shape';
import { liveNodes, type Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import { references } from './index';
import type { Values } from './reference';

export interface InterpretInputs {
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  /** State by full name; updated in place by effects. */
  readonly state?: Map<string, Values>;
}

/** Runs `graph`; gives its outputs by name. */
export function interpret(graph: Graph, given: InterpretInputs = {}): Map<string, Values> {
  const values = new Map<Tensor, Values>();
  const state = given.state ?? new Map<string, Values>();
  const valueOf = (tensor: Tensor): Values => {
    if (tensor.node.kind === 'state') {
      const held = state.get(tensor.node.name);
      if (!held) throw new NotFoundError(`interpret: no value for state '${tensor.node.name}'`);
      return held;
    }
    const value = values.get(tensor);
    invariant(value, `interpret: ${tensor.describe()} has no value yet`);
    return value;
  };
  for (const node of liveNodes(graph)) {
    const output = node.outputs[0];
    if (node.kind === 'input') {
      const value = given.inputs?.[node.name];
      if (!value) throw new NotFoundError(`interpret: no value for input '${node.name}'`);
      invariant(
        value.length === elementCount(output!.shape),
        `interpret: input ${node.name} is ${output!.describe()}: ${value.length} values given`,
      );
      values.set(output!, Float64Array.from(value));
    } else if (node.kind === 'constant') {
      values.set(output!, Float64Array.from(node.data!));
    } else if (node.op) {
      const reference = references.get(node.op.name);
      if (!reference) throw new NotFoundError(`interpret: op '${node.op.name}' has no reference`);
      const results = reference.compute(node, node.inputs.map(valueOf));
      results.forEach((result, index) => values.set(node.outputs[index]!, result));
      if (node.op.effect) {
        for (const rule of node.op.alias?.(node) ?? []) {
          const target = node.inputs[rule.input]!;
          if (target.node.kind === 'state') state.set(target.node.name, results[rule.output]!);
        }
      }
    }
  }
  return new Map([...graph.outputs].map(([name, tensor]) => [name, valueOf(tensor)]));
}
