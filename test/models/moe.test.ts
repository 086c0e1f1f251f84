/** The mixture of experts as a whole, on the device and through the interpreter. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { SafetensorsFile } from '../../src/formats/safetensors/reader';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { findTensor, loadFloats } from '../../src/formats/tensorFile';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { moe, type MoeOptions } from '../../src/models/dit/moe';
import { vectorJacobian } from '../../src/ops/autodiff';
import { tokensPerExpert } from '../../src/ops/expertRoute';
import { linear } from '../../src/ops/linear';
import { softmax } from '../../src/ops/softmax';
import { interpret } from '../../src/reference/interpret';
import { nodeFile } from '../../src/sources/node';
import { checkOp } from '../helpers/checkOp';
import { expectClose } from '../helpers/compare';
import { runGraph, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { moeFromGate, oneHotMoe } from '../helpers/moe';

useTestGpu();

const names = ['x', 'gate', 'w1', 'w2'] as const;
type Parts = Record<(typeof names)[number], Tensor>;

const build = ({ x, gate, w1, w2 }: Parts, graph: Graph, options: MoeOptions): Tensor =>
  moeFromGate(graph, x, { gate, w1, w2 }, options);

describe('moe', () => {
  const shapes = (b: number, t: number, e: number, d: number, f: number) => ({
    x: { shape: [b, t, d] },
    gate: { shape: [e, d] },
    w1: { shape: [e, d, f] },
    w2: { shape: [e, f, d] },
  });

  test('the experts alone, with gradients', async () => {
    await checkOp({
      inputs: shapes(2, 12, 4, 8, 12),
      build: (g, t) => build(t as Parts, g, { capacity: 2 }),
      wrt: [...names],
    });
  });

  test('in a block: gate and residual, with gradients', async () => {
    await checkOp({
      inputs: {
        ...shapes(2, 7, 3, 6, 5),
        residual: { shape: [2, 7, 6] },
        scale: { shape: [2, 6] },
      },
      build: (g, t) => build(t as Parts, g, { capacity: 1.5, residual: t['residual']!, gate: t['scale']! }),
      wrt: [...names, 'residual', 'scale'],
    });
  });

  test('f16 expert weights', async () => {
    const inputs = shapes(1, 16, 4, 8, 16);
    await checkOp({
      inputs: {
        ...inputs,
        w1: { ...inputs.w1, dtype: 'f16' },
        w2: { ...inputs.w2, dtype: 'f16' },
      },
      build: (g, t) => build(t as Parts, g, { capacity: 2 }),
      wrt: ['x'],
    });
  });

  test('gather and combination equal the products with one-hot matrices', async () => {
    const inputs = {
      ...shapes(2, 12, 4, 8, 12),
      residual: { shape: [2, 12, 8] },
      scale: { shape: [2, 8] },
    };
    const both = await checkOp({
      inputs,
      build: (g, t) => {
        const { x, gate, w1, w2 } = t as Parts;
        const options = { capacity: 2, residual: t['residual']!, gate: t['scale']! };
        const probs = softmax(g, linear(g, x, gate));
        return {
          gathered: moe(g, x, probs, { w1, w2 }, options),
          oneHot: oneHotMoe(g, x, probs, { w1, w2 }, options),
        };
      },
    });
    expectClose(both.get('gathered')!, both.get('oneHot')!, 1e-6, 'gathered against one-hot');
  });

  test('experts that take no tokens add nothing', async () => {
    const inputs = shapes(1, 3, 4, 8, 4);
    const alone = await checkOp({
      inputs,
      build: (g, t) => build(t as Parts, g, { capacity: 1 }),
    });
    expect(alone.get('out')!.every((value) => value === 0)).toBe(true);
    const g = new Graph();
    const [x, gate, w1, w2] = names.map((name) => g.input(name, inputs[name].shape));
    const residual = g.input('residual', [1, 3, 8]);
    const weights = { gate: gate!, w1: w1!, w2: w2! };
    expect(moeFromGate(g, x!, weights, { capacity: 1, residual })).toBe(residual);
  });
});

interface GoldenCase {
  case: string;
  op?: string;
  num_experts: number;
  expert_capacity: number;
  k: number;
  T?: number;
  tokens_tied?: number[];
  tokens_rest?: number[];
}

/** A golden file with the cases that its JSON lists. */
async function openCases(stem: string) {
  const file: SafetensorsFile = await readSafetensors(await nodeFile(fixturePath(`dit/${stem}.safetensors`)));
  return {
    has: (name: string) => file.tensors.has(name),
    shape: (name: string) => findTensor(file, name).shape,
    floats: async (name: string) => loadFloats(file.source, findTensor(file, name)),
  };
}

function listCases(stem: string): GoldenCase[] {
  const json = JSON.parse(readFileSync(fixturePath(`dit/${stem}.json`), 'utf8')) as { cases: GoldenCase[] };
  return json.cases;
}

type Golden = Awaited<ReturnType<typeof openCases>>;

/** Traces a case; inputs are named `<prefix><name>` in the file. */
async function trace(golden: Golden, prefix: string, capacity: number) {
  const graph = new Graph();
  const inputs: Record<string, Float32Array> = {};
  const parts = {} as Parts;
  for (const name of names) {
    inputs[name] = await golden.floats(prefix + name);
    parts[name] = graph.input(name, golden.shape(prefix + name));
  }
  const y = build(parts, graph, { capacity });
  graph.output('y', y);
  return { graph, inputs, parts, y };
}

/** Every output on the device and through the interpreter. */
async function bothWays(graph: Graph, inputs: Record<string, Float32Array>) {
  const { outputs } = await runGraph(graph, inputs);
  const device = new Map([...outputs].map(([name, bytes]) => [name, new Float32Array(bytes)]));
  return [
    ['device', device],
    ['interpreter', interpret(graph, { inputs })],
  ] as const;
}

describeFixtures('moe against golden numbers', () => {
  for (const golden of listCases('ops').filter(({ op }) => op === 'moe')) {
    test(`${golden.case}: output and gradients`, async () => {
      const file = await openCases('ops');
      const { graph, inputs, parts, y } = await trace(file, `${golden.case}.in.`, golden.expert_capacity);
      const seed = graph.constant(await file.floats(`${golden.case}.g`), y.shape);
      const tensors = names.map((name) => parts[name]);
      vectorJacobian(graph, y, seed, tensors).forEach((gradient, i) => {
        graph.output(`grad.${names[i]!}`, gradient!);
      });
      for (const [where, results] of await bothWays(graph, inputs)) {
        const limit = where === 'device' ? 1e-5 : 1e-6;
        expectClose(results.get('y')!, await file.floats(`${golden.case}.out`), limit, `${where} y`);
        for (const name of names) {
          const wanted = await file.floats(`${golden.case}.grad.${name}`);
          expectClose(results.get(`grad.${name}`)!, wanted, limit, `${where} gradient of ${name}`);
        }
      }
    });
  }

  for (const golden of listCases('moe-edge')) {
    test(`${golden.case}: k = ${golden.k}`, async () => {
      const file = await openCases('moe-edge');
      const prefix = `${golden.case}.`;
      const { graph, inputs, parts, y } = await trace(file, prefix, golden.expert_capacity);
      const [samples, tokens, width] = [parts.x.dim(0), parts.x.dim(1), parts.x.dim(2)];
      expect(tokensPerExpert(tokens, golden.num_experts, golden.expert_capacity)).toBe(golden.k);
      // combineExperts' second input; without tokens there is no such node
      if (golden.k > 0) graph.output('probs', y.node.inputs[1]!);
      for (const [where, results] of await bothWays(graph, inputs)) {
        const actual = results.get('y')!;
        if (golden.k > 0) {
          expectClose(results.get('probs')!, await file.floats(`${prefix}probs`), 1e-5, `${where} probs`);
        }
        if (!golden.tokens_tied) {
          expectClose(actual, await file.floats(`${prefix}out`), 1e-5, `${where} y`);
          continue;
        }
        // which of the tied tokens is taken is not the golden file's business: their sum is
        const row = (b: number, t: number): ArrayLike<number> =>
          actual.subarray((b * tokens + t) * width, (b * tokens + t + 1) * width);
        const sums: number[] = [];
        const rest: number[] = [];
        for (let b = 0; b < samples; b++) {
          for (let c = 0; c < width; c++) {
            sums.push(golden.tokens_tied.reduce((sum, t) => sum + row(b, t)[c]!, 0));
          }
          for (const t of golden.tokens_rest ?? []) rest.push(...Array.from(row(b, t)));
        }
        expectClose(sums, await file.floats(`${prefix}group_sum`), 1e-5, `${where} sum of the tied tokens`);
        if (rest.length > 0) {
          expectClose(rest, await file.floats(`${prefix}out_rest`), 1e-5, `${where} other tokens`);
        }
      }
    });
  }
});
