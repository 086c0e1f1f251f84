/**
 * checkOp: the whole check of one op at one shape. Test bodies are lists of shapes.
 *
 *   1. reference gradient (the backward ops' references) against central differences of the forward reference, float64;
 *   2. kernel against reference, forward and every gradient: largest error over largest value, worst place named;
 *   3. the same bytes from two runs.
 */
import { expect } from 'vitest';
import type { DType } from '../../src/core/dtype';
import { packHalf, unpackHalf } from '../../src/core/float16';
import { packInt8 } from '../../src/core/int8';
import { elementCount, type Shape } from '../../src/core/shape';
import { Graph, scaleName } from '../../src/graph/graph';
import type { DeviceProfile } from '../../src/graph/profile';
import type { Tensor } from '../../src/graph/tensor';
import { vectorJacobian } from '../../src/ops/autodiff';
import { interpret } from '../../src/reference/interpret';
import { withState } from './checkEffect';
import { expectClose, normals } from './compare';
import { runGraph, testGpu } from './device';

export interface CheckInput {
  readonly shape: Shape;
  readonly dtype?: DType;
  /** Default: standard normals (f32, f16), whole numbers from -127 to 127 (i8). */
  readonly data?: ArrayLike<number>;
  /** Output channels of an i8 input, which is a quantised state tensor; their scales are made up. */
  readonly channels?: number;
}

export interface CheckOp {
  readonly inputs: Readonly<Record<string, CheckInput>>;
  /** Appends the op; gives its output(s). */
  readonly build: (
    graph: Graph,
    inputs: Readonly<Record<string, Tensor>>,
  ) => Tensor | Readonly<Record<string, Tensor>>;
  /** Inputs whose gradient is checked (of the first output). */
  readonly wrt?: readonly string[];
  /** Largest error over largest value; default 1e-5. */
  readonly tolerance?: number;
  readonly gradientTolerance?: number;
  /** Changes of the device's profile: other forms of a kernel than this device would choose. */
  readonly profile?: Partial<DeviceProfile>;
  /** Step of the central differences; default 1e-4. */
  readonly step?: number;
}

/** Runs every check; gives the GPU's outputs by name, gradients as `grad.<input>`. */
export async function checkOp(check: CheckOp): Promise<Map<string, Float32Array>> {
  const { tolerance = 1e-5, wrt = [] } = check;
  const gradientTolerance = check.gradientTolerance ?? tolerance;
  const values = new Map<string, Float64Array>();
  const upload: Record<string, Float32Array | Uint32Array> = {};
  const weights = new Map<string, { words: Float32Array | Uint32Array; values: Float64Array }>();
  let seed = 1;
  for (const [name, input] of Object.entries(check.inputs)) {
    const dtype = input.dtype ?? 'f32';
    if (dtype === 'i8') {
      const full = `weights:${name}`;
      const integers = wholeNumbers(input, seed++);
      const scales = normals(input.channels ?? 0, seed++).map((value) => (0.5 + Math.abs(value)) / 127);
      weights.set(full, { words: packInt8(integers), values: Float64Array.from(integers) });
      weights.set(scaleName(full), { words: scales, values: Float64Array.from(scales) });
      continue;
    }
    const raw = input.data ?? normals(elementCount(input.shape), seed++);
    if (dtype === 'f16') {
      const packed = packHalf(Float32Array.from(raw));
      upload[name] = packed;
      values.set(name, Float64Array.from(unpackHalf(packed, elementCount(input.shape))));
    } else if (dtype === 'f32') {
      upload[name] = Float32Array.from(raw);
      values.set(name, Float64Array.from(upload[name]));
    } else {
      upload[name] = Uint32Array.from(raw);
      values.set(name, Float64Array.from(raw));
    }
  }

  const trace = (): { graph: Graph; outputs: Record<string, Tensor>; inputs: Record<string, Tensor> } => {
    const graph = new Graph();
    const inputs: Record<string, Tensor> = {};
    for (const [name, input] of Object.entries(check.inputs)) {
      inputs[name] =
        input.dtype === 'i8'
          ? graph.quantized(`weights:${name}`, input.shape, input.channels ?? 0)
          : graph.input(name, input.shape, input.dtype ?? 'f32');
    }
    const built = check.build(graph, inputs);
    const outputs = 'node' in built ? { out: built as Tensor } : { ...(built as Record<string, Tensor>) };
    for (const [name, tensor] of Object.entries(outputs)) graph.output(name, tensor);
    return { graph, outputs, inputs };
  };

  const { graph, outputs, inputs } = trace();
  const first = Object.values(outputs)[0]!;
  let cotangent: Float32Array | null = null;
  if (wrt.length > 0) {
    cotangent = normals(first.elements, 99);
    const gradients = vectorJacobian(
      graph,
      first,
      graph.constant(cotangent, first.shape),
      wrt.map((name) => inputs[name]!),
    );
    gradients.forEach((gradient, index) => {
      const name = wrt[index] ?? '';
      if (!gradient) throw new Error(`checkOp: no gradient for ${name}`);
      graph.output(`grad.${name}`, gradient);
    });
  }
  const given = Object.fromEntries(values);
  const state = new Map([...weights].map(([name, weight]) => [name, weight.values]));
  const expected = interpret(graph, { inputs: given, state });
  if (cotangent) checkDifferences(check, trace, values, cotangent, expected);

  const [bytes, again] = await withState(graph, async () => {
    const resources = await testGpu();
    for (const [name, { words }] of weights) resources.state.write(name, words);
    const first = await runGraph(graph, upload, check.profile);
    const second = await runGraph(graph, upload, check.profile);
    return [first.outputs, second.outputs];
  });
  const results = new Map<string, Float32Array>();
  for (const [name, buffer] of bytes) {
    const tensor = graph.outputs.get(name)!;
    const words =
      tensor.dtype === 'f32' ? new Float32Array(buffer) : Float32Array.from(new Uint32Array(buffer));
    const actual = words.subarray(0, tensor.elements);
    const wanted = expected.get(name)!;
    const limit = name.startsWith('grad.') ? gradientTolerance : tolerance;
    expectClose(actual, wanted, tensor.dtype === 'f32' ? limit : 0, `${name} ${tensor.describe()}`);
    expect(new Uint8Array(again.get(name)!), `${name}: two runs give the same bytes`).toEqual(
      new Uint8Array(buffer),
    );
    results.set(name, actual);
  }
  return results;
}

/** Values of an i8 input: every byte of a word, both signs, the largest magnitude. */
function wholeNumbers({ shape, data }: CheckInput, seed: number): Int8Array {
  const raw = data ?? normals(elementCount(shape), seed).map((value) => Math.round(value * 50));
  return Int8Array.from(raw, (value) => Math.max(-127, Math.min(127, value)));
}

/** Up to 12 elements of each input, spread over it. */
function checkDifferences(
  check: CheckOp,
  trace: () => { graph: Graph; outputs: Record<string, Tensor> },
  values: ReadonlyMap<string, Float64Array>,
  cotangent: Float32Array,
  expected: ReadonlyMap<string, Float64Array>,
): void {
  const step = check.step ?? 1e-4;
  const value = (inputs: Record<string, Float64Array>): number => {
    const { graph, outputs } = trace();
    const out = interpret(graph, { inputs }).get(Object.keys(outputs)[0]!)!;
    return out.reduce((sum, element, i) => sum + element * cotangent[i]!, 0);
  };
  for (const name of check.wrt ?? []) {
    const gradient = expected.get(`grad.${name}`)!;
    const base = values.get(name)!;
    const largest = gradient.reduce((max, g) => Math.max(max, Math.abs(g)), 1e-3);
    const count = Math.min(12, base.length);
    for (let j = 0; j < count; j++) {
      const at = Math.floor((j * base.length) / count);
      const moved = (by: number): Record<string, Float64Array> => {
        const copy = base.slice();
        copy[at] = copy[at]! + by;
        return { ...Object.fromEntries(values), [name]: copy };
      };
      const slope = (value(moved(step)) - value(moved(-step))) / (2 * step);
      const error = Math.abs(slope - gradient[at]!) / largest;
      expect(
        error,
        `reference gradient of ${name}[${at}]: ${String(gradient[at])} against difference quotient ${slope}`,
      ).toBeLessThan(1e-5);
    }
  }
}
