/**
 * Every case of the golden file of operations through this project's ops on the device: outputs and gradients within
 * what its README asks for. The worst error per op is printed at the end.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { vectorJacobian } from '../../src/ops/autodiff';
import { mulRows } from '../../src/ops/mulRows';
import { adamW, clipScale, packHyper, squareSum } from '../../src/ops/optimizer';
import { concatRows, reshape } from '../../src/ops/view';
import { runEffect } from '../helpers/checkEffect';
import { difference } from '../helpers/compare';
import { runGraph, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openTensors, type GoldenFile } from '../helpers/tensors';
import { goldenBuilders, tolerancesOf, type GoldenCase } from './goldenBuilders';

useTestGpu();

interface AdamWCase {
  readonly case: string;
  readonly op: 'adamw';
  readonly lr: readonly number[];
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
}

interface ClipCase {
  readonly case: string;
  readonly op: 'clip';
  readonly max_norm: number;
}

/** Worst error seen of an op, forward and gradient. */
interface Worst {
  cases: number;
  forward: number;
  gradient: number;
}

/** [B, H, T, d] to [B, T, H, d]. */
function swapHeads(values: Float32Array, shape: readonly number[]): Float32Array {
  const [batch, heads, tokens, width] = shape as [number, number, number, number];
  const swapped = new Float32Array(values.length);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < tokens; t++) {
        const from = ((b * heads + h) * tokens + t) * width;
        swapped.set(values.subarray(from, from + width), ((b * tokens + t) * heads + h) * width);
      }
    }
  }
  return swapped;
}

describeFixtures('golden operations', () => {
  const cases = (
    JSON.parse(readFileSync(fixturePath('dit/ops.json'), 'utf8')) as {
      cases: (GoldenCase | AdamWCase | ClipCase)[];
    }
  ).cases;
  const ofOps = (...names: string[]): typeof cases => cases.filter((golden) => names.includes(golden.op));
  const tables = cases.filter((golden): golden is GoldenCase => golden.op in goldenBuilders);
  const summary = new Map<string, Worst>();
  let file: GoldenFile;

  beforeAll(async () => {
    file = await openTensors(fixturePath('dit/ops.safetensors'));
  });

  afterAll(() => {
    for (const [op, { cases: count, forward, gradient }] of summary) {
      console.log(
        `golden ${op.padEnd(18)} ${String(count).padStart(3)} cases, worst error: forward ${forward.toExponential(1)}, gradient ${gradient.toExponential(1)}`,
      );
    }
  });

  /** Compares, and remembers the worst. Golden tensors that are all zero are compared absolutely, to 1e-6. */
  function check(
    op: string,
    kind: 'forward' | 'gradient',
    limit: number,
    name: string,
    actual: Float32Array,
    wanted: Float32Array,
  ): void {
    const d = difference(actual, wanted);
    const isZero = wanted.every((value) => value === 0);
    const worst = summary.get(op) ?? { cases: 0, forward: 0, gradient: 0 };
    if (!isZero) worst[kind] = Math.max(worst[kind], d.error);
    summary.set(op, worst);
    const allowed = isZero ? 1e-6 : limit;
    expect(
      d.error,
      `${name}: worst at ${d.worstIndex}: ${d.actual} against ${d.expected}, error ${d.error.toExponential(2)} > ${allowed}`,
    ).toBeLessThanOrEqual(allowed);
  }

  function count(op: string): void {
    const worst = summary.get(op) ?? { cases: 0, forward: 0, gradient: 0 };
    summary.set(op, { ...worst, cases: worst.cases + 1 });
  }

  test('every op of the file is mapped', () => {
    const known = [...Object.keys(goldenBuilders), 'adamw', 'clip'];
    expect([...new Set(cases.map((golden) => golden.op))].filter((op) => !known.includes(op))).toEqual([]);
  });

  // what a graphics processor would run, where the test device chooses other forms: one case of each such op
  const hardware = ['layernorm.w1152', 'linear.77x130x65', 'attention.h3_d32_5x5_causal'];
  const runs = [
    ...tables.map((golden) => [golden.case, golden, {}] as const),
    ...tables
      .filter((golden) => hardware.includes(golden.case))
      .map(
        (golden) =>
          [`${golden.case}, as on hardware`, golden, { software: false, gemmTile: 'large' }] as const,
      ),
  ];

  test.each(runs)('%s', async (_title, golden, profile) => {
    const name = golden.case;
    const { build, headsFirst, indices: indexNames = [] } = goldenBuilders[golden.op]!;
    const graph = new Graph();
    const inputs: Record<string, Tensor> = {};
    const indices: Record<string, Int32Array> = {};
    const values: Record<string, Float32Array> = {};
    const arrange = (data: Float32Array, shape: readonly number[]): Float32Array =>
      headsFirst ? swapHeads(data, shape) : data;
    for (const [input, shape] of Object.entries(golden.inputs)) {
      if (indexNames.includes(input)) {
        indices[input] = await file.ints(`${name}.in.${input}`);
      } else {
        inputs[input] = graph.input(input, shape);
        values[input] = arrange(await file.floats(`${name}.in.${input}`), shape);
      }
    }
    const out = build(graph, inputs, golden, indices);
    graph.output('out', out);
    const seed = arrange(await file.floats(`${name}.g`), golden.output);
    const wrt = Object.keys(inputs);
    const gradients = vectorJacobian(
      graph,
      out,
      graph.constant(seed, out.shape),
      wrt.map((input) => inputs[input]!),
    );
    gradients.forEach((gradient, i) => graph.output(`grad.${wrt[i]!}`, gradient!));

    const { outputs } = await runGraph(graph, values, profile);
    count(golden.op);
    const limits = tolerancesOf(golden);
    const wanted = arrange(await file.floats(`${name}.out`), golden.output);
    check(golden.op, 'forward', limits.forward, `${name}.out`, new Float32Array(outputs.get('out')!), wanted);
    for (const input of wrt) {
      const title = `${name}.grad.${input}`;
      const actual = new Float32Array(outputs.get(`grad.${input}`)!);
      if (file.has(title)) {
        const whole = arrange(await file.floats(title), golden.inputs[input]!);
        check(golden.op, 'gradient', limits.gradient, title, actual, whole);
        continue;
      }
      const sample = await file.floats(`${title}.sample`);
      const picked = sample.map((_, j) => actual[(j * 1000003) % actual.length]!);
      check(golden.op, 'gradient', limits.gradient, `${title}.sample`, picked, sample);
      const norm = Math.sqrt(actual.reduce((sum, value) => sum + value * value, 0));
      const l2 = await file.floats(`${title}.l2`);
      check(golden.op, 'gradient', limits.gradient, `${title}.l2`, Float32Array.of(norm), l2);
    }
  });

  test.each((ofOps('clip') as ClipCase[]).map((golden) => [golden.case, golden] as const))(
    '%s',
    async (name, golden) => {
      const graph = new Graph();
      const keys = ['a', 'b', 'c'];
      const values: Record<string, Float32Array> = {};
      const inputs: Tensor[] = [];
      for (const key of keys) {
        inputs.push(graph.input(key, file.shape(`${name}.in.${key}`)));
        values[key] = await file.floats(`${name}.in.${key}`);
      }
      const squares = concatRows(
        graph,
        inputs.map((input) => squareSum(graph, input)),
      );
      const { norm, scale } = clipScale(graph, squares, golden.max_norm);
      graph.output('norm', norm);
      const factor = reshape(graph, scale, [1, 1]);
      inputs.forEach((input, i) => {
        graph.output(keys[i]!, mulRows(graph, reshape(graph, input, [1, input.elements]), factor));
      });
      const { outputs } = await runGraph(graph, values);
      count('clip');
      check(
        'clip',
        'forward',
        1e-6,
        `${name}.norm`,
        new Float32Array(outputs.get('norm')!),
        await file.floats(`${name}.norm`),
      );
      for (const key of keys) {
        const wanted = await file.floats(`${name}.out.${key}`);
        check('clip', 'forward', 1e-6, `${name}.out.${key}`, new Float32Array(outputs.get(key)!), wanted);
      }
    },
  );

  test.each((ofOps('adamw') as AdamWCase[]).map((golden) => [golden.case, golden] as const))(
    '%s',
    async (name, golden) => {
      const [beta1, beta2] = golden.betas;
      const keys = ['a', 'b', 'c'];
      const graph = new Graph();
      const hyper = graph.input('hyper', [8]);
      const state: Record<string, Float32Array> = {};
      for (const key of keys) {
        const shape = file.shape(`${name}.p0.${key}`);
        const [p, m, v] = ['weights', 'm', 'v'].map((group) => graph.state(`${group}:${key}`, shape));
        adamW(graph, { p: p!, grad: graph.input(key, shape), m: m!, v: v!, hyper });
        state[`weights:${key}`] = await file.floats(`${name}.p0.${key}`);
        state[`m:${key}`] = new Float32Array(p!.elements);
        state[`v:${key}`] = new Float32Array(p!.elements);
      }
      const steps: Record<string, Float32Array>[] = [];
      for (const [i, lr] of golden.lr.entries()) {
        const settings = { lr, beta1, beta2, eps: golden.eps, weightDecay: golden.weight_decay, step: i + 1 };
        const given: Record<string, Float32Array> = { hyper: packHyper(settings) };
        for (const key of keys) given[key] = await file.floats(`${name}.step${i}.grad.${key}`);
        steps.push(given);
        // from the beginning each time: what a step gives must not depend on how often the state was read
        const after = await runEffect(graph, state, steps);
        for (const key of keys) {
          const wanted = await file.floats(`${name}.step${i}.p.${key}`);
          check(
            'adamw',
            'forward',
            1e-6,
            `${name}.step${i}.p.${key}`,
            after.state.get(`weights:${key}`)!,
            wanted,
          );
        }
        if (i < golden.lr.length - 1) continue;
        for (const key of keys) {
          check(
            'adamw',
            'forward',
            1e-6,
            'exp_avg',
            after.state.get(`m:${key}`)!,
            await file.floats(`${name}.exp_avg.${key}`),
          );
          const squares = await file.floats(`${name}.exp_avg_sq.${key}`);
          check('adamw', 'forward', 1e-6, 'exp_avg_sq', after.state.get(`v:${key}`)!, squares);
        }
      }
      count('adamw');
    },
  );
});
