import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { attention } from '../../src/ops/attention';
import { checkOp } from '../helpers/checkOp';
import { normals } from '../helpers/compare';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('attention', () => {
  const cases: [
    batch: number,
    queries: number,
    keys: number,
    heads: number,
    headDim: number,
    causal: boolean,
  ][] = [
    [2, 16, 7, 2, 16, false],
    [1, 33, 33, 1, 32, true],
    [1, 20, 19, 2, 64, false],
    [2, 5, 1, 3, 8, false],
    [1, 9, 10, 2, 5, false],
    [1, 10, 9, 1, 100, false],
  ];
  for (const [batch, queries, keys, heads, headDim, causal] of cases) {
    test(`[${batch}, ${queries}] over ${keys} keys, ${heads} x ${headDim}${causal ? ', causal' : ''}`, async () => {
      const width = heads * headDim;
      await checkOp({
        inputs: {
          q: { shape: [batch, queries, width] },
          k: { shape: [batch, keys, width] },
          v: { shape: [batch, keys, width] },
        },
        build: (g, t) => attention(g, t['q']!, t['k']!, t['v']!, { heads, causal }),
        wrt: ['q', 'k', 'v'],
      });
    });
  }

  for (const software of [true, false]) {
    test(`forms ${software ? 'without' : 'with'} workgroup memory`, async () => {
      for (const causal of [false, true]) {
        await checkOp({
          inputs: { q: { shape: [1, 37, 40] }, k: { shape: [1, 37, 40] }, v: { shape: [1, 37, 40] } },
          build: (g, t) => attention(g, t['q']!, t['k']!, t['v']!, { heads: 2, causal }),
          wrt: ['q', 'k', 'v'],
          profile: { software },
        });
      }
    });
  }

  // shared by 4 and 8 lanes, by none; four wide and not; more rows than a workgroup holds
  for (const software of [true, false]) {
    for (const [batch, queries, heads, headDim] of [
      [2, 19, 3, 16],
      [1, 7, 2, 5],
      [1, 10, 2, 100],
    ] as const) {
      const form = software ? 'without' : 'with';
      test(`q normalised: [${batch}, ${queries}], ${heads} x ${headDim}, ${form} workgroup memory`, async () => {
        const width = heads * headDim;
        const q = normals(batch * queries * width, 5).map((value) => 0.7 + 3 * value);
        await checkOp({
          inputs: {
            q: { shape: [batch, queries, width], data: q },
            k: { shape: [batch, 6, width] },
            v: { shape: [batch, 6, width] },
          },
          build: (g, t) => attention(g, t['q']!, t['k']!, t['v']!, { heads, normalizeQ: 1e-6 }),
          wrt: ['q', 'k', 'v'],
          profile: { software },
        });
      });
    }
  }

  test('large scores', async () => {
    const big = Float32Array.from({ length: 64 }, (_, i) => 40 * Math.sin(i * 1.7));
    await checkOp({
      inputs: {
        q: { shape: [1, 4, 16], data: big },
        k: { shape: [1, 4, 16], data: big },
        v: { shape: [1, 4, 16] },
      },
      build: (g, t) => attention(g, t['q']!, t['k']!, t['v']!, { heads: 2 }),
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const q = g.input('q', [1, 4, 16]);
    const k = g.input('k', [1, 5, 16]);
    const v = g.input('v', [1, 6, 16]);
    expect(() => attention(g, q, k, v, { heads: 2 })).toThrow(
      'attention: q, k and v share B and W, k and v share Tk: q f32 [1, 4, 16], k f32 [1, 5, 16], v f32 [1, 6, 16]',
    );
    expect(() => attention(g, q, k, k, { heads: 3 })).toThrow(
      'attention: the width is heads times at most 128: 16 for 3 heads',
    );
    expect(() => attention(g, q, k, k, { heads: 2, causal: true })).toThrow('as many keys as queries');
  });
});
