import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { groupNorm } from '../../src/ops/groupNorm';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

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
  });
});
