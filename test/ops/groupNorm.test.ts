import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { groupNorm, groupNormApply, groupNormStats } from '../../src/ops/groupNorm';
import { sliceRows, reshape } from '../../src/ops/view';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { runGraph, useTestGpu } from '../helpers/device';

useTestGpu();

describe('groupNorm', () => {
  const cases: [shape: number[], groups: number, silu: boolean][] = [
    [[2, 3, 5, 8], 2, false],
    [[1, 1, 1, 6], 2, true],
    [[2, 4, 3, 24], 8, true],
    [[1, 5, 4, 15], 5, false],
    [[1, 13, 11, 80], 16, true],
  ];
  for (const [shape, groups, silu] of cases) {
    test(`[${shape.join(', ')}] in ${groups} groups${silu ? ', silu' : ''}`, async () => {
      const channels = shape.at(-1)!;
      await checkOp({
        inputs: { x: { shape }, weight: { shape: [channels] }, bias: { shape: [channels] } },
        build: (g, t) => groupNorm(g, t['x']!, t['weight']!, t['bias']!, { groups, eps: 1e-6, silu }),
        wrt: ['x', 'weight', 'bias'],
      });
    });
  }

  test('values far from zero keep their deviations', async () => {
    const shape = [1, 20, 20, 12];
    await checkOp({
      inputs: {
        x: { shape, data: normals(4800, 5).map((value) => 100 + value) },
        weight: { shape: [12] },
        bias: { shape: [12] },
      },
      build: (g, t) => groupNorm(g, t['x']!, t['weight']!, t['bias']!, { groups: 3, eps: 1e-6 }),
      tolerance: 2e-5,
    });
  });

  test('a constant picture gives the bias', async () => {
    const results = await checkOp({
      inputs: {
        x: { shape: [1, 9, 9, 8], data: new Float32Array(648).fill(0.7) },
        weight: { shape: [8] },
        bias: { shape: [8], data: new Float32Array(8).fill(0.25) },
      },
      build: (g, t) => groupNorm(g, t['x']!, t['weight']!, t['bias']!, { groups: 4, eps: 1e-6 }),
      tolerance: 1e-3,
    });
    expect(Math.abs(results.get('out')![100]! - 0.25)).toBeLessThan(2e-4);
  });

  // rows of the picture, then how many each band has; chunks of sums are 64 pixels
  const bands: [shape: number[], groups: number, rows: number[]][] = [
    [[2, 7, 5, 8], 2, [3, 3, 1]],
    [[1, 40, 6, 15], 5, [16, 16, 8]],
    [[1, 9, 16, 24], 8, [9]],
  ];
  for (const [shape, groups, rows] of bands) {
    test(`[${shape.join(', ')}] in bands of ${rows.join(', ')} rows`, async () => {
      const [batch, , width, channels] = shape as [number, number, number, number];
      const names = rows.map((_, index) => `x${index}`);
      const inputs = Object.fromEntries(
        rows.map((count, i) => [names[i]!, { shape: [batch, count, width, channels] }]),
      );
      await checkOp({
        inputs: { ...inputs, weight: { shape: [channels] }, bias: { shape: [channels] } },
        build: (g, t) => {
          const picture = names.map((name) => t[name]!);
          const stats = groupNormStats(g, picture, { groups, eps: 1e-6 });
          const apply = (x: Tensor): Tensor =>
            groupNormApply(g, x, stats, t['weight']!, t['bias']!, { silu: true });
          return { stats, ...Object.fromEntries(picture.map((x, i) => [`y${i}`, apply(x)])) };
        },
      });
    });
  }

  test('bands of whole chunks give the bytes of the whole picture', async () => {
    const [height, width, channels] = [24, 32, 8];
    const graph = new Graph();
    const x = graph.input('x', [1, height, width, channels]);
    const [weight, bias] = [graph.input('weight', [channels]), graph.input('bias', [channels])];
    const norm = { groups: 2, eps: 1e-6 };
    graph.output('whole', groupNorm(graph, x, weight, bias, norm));
    const rows = [0, 10, 20].map((start) => {
      const part = sliceRows(
        graph,
        reshape(graph, x, [height, width, channels]),
        start,
        Math.min(start + 10, 24),
      );
      return reshape(graph, part, [1, ...part.shape]);
    });
    const stats = groupNormStats(graph, rows, norm);
    rows.forEach((part, i) => graph.output(`band${i}`, groupNormApply(graph, part, stats, weight, bias)));
    const { outputs } = await runGraph(graph, {
      x: Float32Array.from(normals(x.elements, 1), (value) => 3 + value),
      weight: Float32Array.from(normals(channels, 2)),
      bias: Float32Array.from(normals(channels, 3)),
    });
    const parts = rows.map((_, i) => Buffer.from(outputs.get(`band${i}`)!));
    expect(Buffer.concat(parts).equals(Buffer.from(outputs.get('whole')!))).toBe(true);
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [1, 2, 2, 6]);
    const w = g.input('w', [6]);
    const v = g.input('v', [4]);
    expect(() => groupNorm(g, x, w, w, { groups: 4, eps: 1e-6 })).toThrow(
      'groupNorm: x is [B, ..., C] with C a multiple of 4 groups: f32 [1, 2, 2, 6]',
    );
    expect(() => groupNorm(g, x, w, v, { groups: 2, eps: 1e-6 })).toThrow(
      'groupNorm: weight and bias have C elements: f32 [6], f32 [4] for x f32 [1, 2, 2, 6]',
    );
    const norm = { groups: 2, eps: 1e-6 };
    const rule =
      'groupNormStats: bands are [B, ..., C] with C a multiple of 2 groups, equal but for a smaller last one';
    expect(() => groupNormStats(g, [], norm)).toThrow('groupNormStats: at least one band: none given');
    expect(() => groupNormStats(g, [x, g.input('more', [1, 3, 2, 6])], norm)).toThrow(
      `${rule}: f32 [1, 2, 2, 6], f32 [1, 3, 2, 6]`,
    );
    expect(() => groupNormStats(g, [x, g.input('wide', [1, 2, 2, 8])], norm)).toThrow(rule);
    expect(() => groupNormApply(g, x, g.input('stats', [2, 2, 6]), w, w)).toThrow(
      'groupNormApply: x is [B, ..., C] and its statistics [B, 2, C]: f32 [1, 2, 2, 6], f32 [2, 2, 6]',
    );
    expect(() => groupNormApply(g, x, g.input('ours', [1, 2, 6]), w, v)).toThrow(
      'groupNormApply: weight and bias have C elements: f32 [6], f32 [4] for x f32 [1, 2, 2, 6]',
    );
  });
});
