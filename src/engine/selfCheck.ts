/**
 * The self-check: every op at small sizes on the device, against the same graph in float64 on the CPU. Answers the
 * question "does this browser, driver and GPU compute what it should?" for anybody, in the page.
 */
import { packHalf, unpackHalf } from '../core/float16';
import { messageOf } from '../core/errors';
import { noError, packInt8, quantizeRows } from '../core/int8';
import { elementCount } from '../core/shape';
import { Graph, scaleName } from '../graph/graph';
import { planGraph } from '../graph/plan';
import type { Tensor, TensorSpec } from '../graph/tensor';
import { StateStore } from '../gpu/pages';
import { readState } from '../gpu/readback';
import { Run } from '../gpu/run';
import { vectorJacobian } from '../ops/autodiff';
import type { SelfCheckReport, SelfCheckRow } from '../protocol/messages';
import { torchRandn } from '../random/torchRandn';
import { interpret } from '../reference/interpret';
import type { SessionResources } from '../sessions/resources';
import { selfCheckCases, type CaseTensor, type SelfCheckCase } from './selfCheckCases';

export interface SelfCheckHooks {
  readonly signal?: AbortSignal;
  /** After each case; `of`: how many there are. */
  readonly onRow?: (row: SelfCheckRow, of: number) => void;
}

/** A given value on both sides: as the device gets it, and as float64. */
interface Given {
  readonly spec: TensorSpec;
  readonly words: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  readonly values: Float64Array<ArrayBuffer>;
}

const group = 'selfCheck';

/** Runs `cases` one after another. A case that fails is a row, not an exception. @throws when aborted */
export async function runSelfCheck(
  resources: Pick<SessionResources, 'device' | 'scratch'>,
  hooks: SelfCheckHooks = {},
  cases: readonly SelfCheckCase[] = selfCheckCases,
): Promise<SelfCheckReport> {
  const began = performance.now();
  const rows: SelfCheckRow[] = [];
  for (const [index, check] of cases.entries()) {
    hooks.signal?.throwIfAborted();
    const row = await runCase(resources, check, index + 1);
    resources.device.assertAlive();
    rows.push(row);
    hooks.onRow?.(row, cases.length);
  }
  return { rows, ms: performance.now() - began };
}

async function runCase(
  { device, scratch }: Pick<SessionResources, 'device' | 'scratch'>,
  check: SelfCheckCase,
  seed: number,
): Promise<SelfCheckRow> {
  const { stem, what, tolerance } = check;
  const began = performance.now();
  const state = new StateStore(device);
  device.gpu.pushErrorScope('validation');
  let error: number;
  let problem = '';
  try {
    const { graph, inputs, states } = trace(check, seed);
    const held = new Map(Object.entries(states).map(([name, { values }]) => [`${group}:${name}`, values]));
    const given = Object.fromEntries(Object.entries(inputs).map(([name, { values }]) => [name, values]));
    const expected = interpret(graph, { inputs: given, state: held });

    const specs = new Map(Object.entries(states).map(([name, { spec }]) => [name, spec]));
    if (specs.size > 0) await state.allocate(group, specs);
    for (const [name, { words }] of Object.entries(states)) state.write(`${group}:${name}`, words);
    const run = await Run.create(planGraph(graph, device.profile), { device, state, scratch });
    try {
      for (const name of run.plan.inputs.keys()) run.write(name, inputs[name]!.words);
      run.replay();
      error = 0;
      for (const [name, tensor] of graph.outputs) {
        error = Math.max(error, largestError(await run.readBytes(name), tensor, expected.get(name)!));
      }
      for (const [name, { spec }] of Object.entries(states)) {
        const full = `${group}:${name}`;
        error = Math.max(error, largestError(await readState(state, full), spec, held.get(full)!));
      }
    } finally {
      run.destroy();
    }
  } catch (thrown) {
    error = Infinity;
    problem = messageOf(thrown);
  } finally {
    state.releaseAll();
  }
  const invalid = await device.gpu.popErrorScope();
  if (invalid && problem === '') problem = invalid.message;
  const passed = problem === '' && error <= tolerance;
  return { stem, what, error, tolerance, passed, ms: performance.now() - began, problem };
}

/** The graph of a case with its gradients, and values for it, the same every time. */
function trace(
  check: SelfCheckCase,
  seed: number,
): { graph: Graph; inputs: Record<string, Given>; states: Record<string, Given> } {
  const graph = new Graph();
  const tensors: Record<string, Tensor> = {};
  const inputs: Record<string, Given> = {};
  const states: Record<string, Given> = {};
  let draw = seed * 100;
  for (const [name, input] of Object.entries(check.inputs)) {
    inputs[name] = give(input, draw++);
    tensors[name] = graph.input(name, input.shape, input.dtype ?? 'f32');
  }
  for (const [name, held] of Object.entries(check.state ?? {})) {
    const full = `${group}:${name}`;
    if (held.dtype === 'i8') {
      const { weights, scales } = giveInt8(held, draw++);
      states[name] = weights;
      states[scaleName(name)] = scales;
      tensors[name] = graph.quantized(full, held.shape, scales.values.length);
      continue;
    }
    states[name] = give(held, draw++);
    tensors[name] = graph.state(full, held.shape, held.dtype ?? 'f32');
  }
  const outputs = Object.entries(check.build(graph, tensors));
  for (const [name, tensor] of outputs) graph.output(name, tensor);
  const first = outputs[0]?.[1];
  if (first && check.wrt) {
    const cotangent = graph.constant(normals(first.elements, draw), first.shape);
    const wrt = check.wrt.map((name) => tensors[name]!);
    vectorJacobian(graph, first, cotangent, wrt).forEach((gradient, index) => {
      if (gradient) graph.output(`gradient ${index}`, gradient);
    });
  }
  return { graph, inputs, states };
}

function normals(count: number, seed: number): Float32Array<ArrayBuffer> {
  return torchRandn({ rng: 'cpu', seed: BigInt(seed), count });
}

function give({ shape, dtype = 'f32', data }: CaseTensor, seed: number): Given {
  const count = elementCount(shape);
  const spec = { shape, dtype };
  if (dtype === 'u32' || dtype === 'i32') {
    const words = Uint32Array.from(data ?? []);
    return { spec, words, values: Float64Array.from(words) };
  }
  const values = data ? Float32Array.from(data) : normals(count, seed);
  if (dtype === 'f32') return { spec, words: values, values: Float64Array.from(values) };
  const words = packHalf(values);
  return { spec, words, values: Float64Array.from(unpackHalf(words, count)) };
}

/** Normals, quantised row by row: the integers, and the scales of the rows. */
function giveInt8({ shape, channels = 1 }: CaseTensor, seed: number): { weights: Given; scales: Given } {
  const { values, scales } = quantizeRows(normals(elementCount(shape), seed), channels, noError());
  return {
    weights: { spec: { shape, dtype: 'i8' }, words: packInt8(values), values: Float64Array.from(values) },
    scales: give({ shape: [channels], data: scales }, seed),
  };
}

/** The elements of a tensor of that spec. */
function elementsOf(bytes: ArrayBuffer, { dtype }: TensorSpec): ArrayLike<number> {
  if (dtype === 'f32') return new Float32Array(bytes);
  return dtype === 'i8' ? new Int8Array(bytes) : new Uint32Array(bytes);
}

/** Largest difference over largest expected value (1 where everything expected is 0). */
function largestError(bytes: ArrayBuffer, spec: TensorSpec, expected: Float64Array): number {
  const actual = elementsOf(bytes, spec);
  let worst = 0;
  let largest = 0;
  expected.forEach((value, index) => {
    const difference = Math.abs((actual[index] ?? NaN) - value);
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference);
    largest = Math.max(largest, Math.abs(value));
  });
  return worst / (largest || 1);
}
