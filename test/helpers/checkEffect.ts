/**
 * checkEffect: ops that change state, on the device against the interpreter: every state tensor and output after the
 * run, and the same bytes from two runs. Complements checkOp, whose inputs are never written.
 */
import { expect } from 'vitest';
import { packHalf } from '../../src/core/float16';
import { readState } from '../../src/gpu/readback';
import { Run } from '../../src/gpu/run';
import type { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import type { TensorSpec } from '../../src/graph/tensor';
import { interpret } from '../../src/reference/interpret';
import type { Values } from '../../src/reference/reference';
import { expectClose } from './compare';
import { testGpu } from './device';

export type Numbers = Readonly<Record<string, ArrayLike<number>>>;

/** State and outputs of one run. */
export interface EffectResult {
  readonly state: ReadonlyMap<string, Float32Array>;
  readonly outputs: ReadonlyMap<string, Float32Array>;
}

/** Allocates the graph's state groups on the device; frees them after `work`. */
export async function withState<T>(graph: Graph, work: () => Promise<T>): Promise<T> {
  const { state } = await testGpu();
  const groups = new Map<string, Map<string, TensorSpec>>();
  for (const [name, tensor] of graph.states) {
    const colon = name.indexOf(':');
    const group = groups.get(name.slice(0, colon)) ?? new Map<string, TensorSpec>();
    group.set(name.slice(colon + 1), tensor);
    groups.set(name.slice(0, colon), group);
  }
  try {
    for (const [group, specs] of groups) await state.allocate(group, specs);
    return await work();
  } finally {
    for (const group of groups.keys()) state.release(group);
  }
}

/**
 * Runs the graph on the device from the given state, by full name, once for each entry of `inputs`.
 * @param inputs the inputs of every replay in turn
 */
export async function runEffect(
  graph: Graph,
  given: Numbers,
  inputs: readonly Numbers[],
): Promise<EffectResult> {
  const resources = await testGpu();
  return withState(graph, async () => {
    const run = await Run.create(planGraph(graph, resources.device.profile), resources);
    try {
      for (const [name, tensor] of graph.states) {
        const values = Float32Array.from(given[name]!);
        resources.state.write(name, tensor.dtype === 'f16' ? packHalf(values) : values);
      }
      for (const values of inputs) {
        for (const [name, value] of run.plan.inputs) {
          run.write(
            name,
            value.dtype === 'f32' ? Float32Array.from(values[name]!) : Uint32Array.from(values[name]!),
          );
        }
        run.replay();
      }
      const state = new Map<string, Float32Array>();
      for (const [name, tensor] of graph.states) {
        if (tensor.dtype === 'f32') state.set(name, new Float32Array(await readState(resources.state, name)));
      }
      const outputs = new Map<string, Float32Array>();
      for (const [name, tensor] of graph.outputs)
        outputs.set(name, (await run.read(name)).subarray(0, tensor.elements));
      return { state, outputs };
    } finally {
      run.destroy();
    }
  });
}

/** The same in the interpreter. */
export function interpretEffect(
  graph: Graph,
  given: Numbers,
  inputs: readonly Numbers[],
): { state: Map<string, Values>; outputs: Map<string, Values> } {
  const state = new Map<string, Values>();
  for (const [name, values] of Object.entries(given))
    state.set(name, Float64Array.from(Float32Array.from(values)));
  let outputs = new Map<string, Values>();
  for (const values of inputs) outputs = interpret(graph, { inputs: values, state });
  return { state, outputs };
}

/** Runs both ways and compares everything; gives the device's result. */
export async function checkEffect(
  graph: Graph,
  given: Numbers,
  inputs: readonly Numbers[] = [{}],
  tolerance = 1e-6,
): Promise<EffectResult> {
  const wanted = interpretEffect(graph, given, inputs);
  const actual = await runEffect(graph, given, inputs);
  const again = await runEffect(graph, given, inputs);
  for (const kind of ['state', 'outputs'] as const) {
    for (const [name, values] of actual[kind]) {
      expectClose(values, wanted[kind].get(name)!, tolerance, `${kind} ${name}`);
      expect(again[kind].get(name), `${name}: two runs give the same bytes`).toEqual(values);
    }
  }
  return actual;
}
