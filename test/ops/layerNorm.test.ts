import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { layerNorm } from '../../src/ops/layerNorm';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const eps = 1e-6;

describe('layerNorm', () => {
  for (const software of [true, false]) {
    for (const shape of [
      [1, 5],
      [7, 64],
      [3, 30],
      [2, 1030],
    ]) {
      test(`[${shape.join(', ')}], plain, ${software ? 'a row per thread' : 'rows shared'}`, async () => {
        await checkOp({
          inputs: { x: { shape } },
          build: (g, t) => layerNorm(g, t['x']!, { eps }),
          wrt: ['x'],
          profile: { software },
        });
      });
    }
  }

  test('weight and bias', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 70, 12] }, w: { shape: [12] }, b: { shape: [12] } },
      build: (g, t) => layerNorm(g, t['x']!, { eps, weight: t['w']!, bias: t['b']! }),
      wrt: ['x', 'w', 'b'],
    });
  });

  for (const width of [48, 18]) {
    test(`modulated, width ${width}`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [3, 9, width] },
          w: { shape: [width] },
          shift: { shape: [3, width] },
          scale: { shape: [3, width] },
        },
        build: (g, t) =>
          layerNorm(g, t['x']!, { eps, weight: t['w']!, shift: t['shift']!, scale: t['scale']! }),
        wrt: ['x', 'w', 'shift', 'scale'],
      });
    });
  }

  test('modulated by chosen rows, more than one chunk of tokens', async () => {
    await checkOp({
      inputs: {
        x: { shape: [2, 70, 16] },
        w: { shape: [16] },
        shift: { shape: [4, 16] },
        scale: { shape: [4, 16] },
        rows: { shape: [2], dtype: 'u32', data: [3, 1] },
      },
      build: (g, t) =>
        layerNorm(g, t['x']!, {
          eps,
          weight: t['w']!,
          shift: t['shift']!,
          scale: t['scale']!,
          rows: t['rows']!,
        }),
      wrt: ['x', 'w'],
    });
  });

  test('a row of equal values, and a mean far above the deviation', async () => {
    const data = Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? 3.7 : 1000 + Math.sin(i)));
    const results = await checkOp({
      inputs: { x: { shape: [2, 32], data } },
      build: (g, t) => layerNorm(g, t['x']!, { eps }),
      tolerance: 1e-3,
    });
    expect([...results.get('out')!.subarray(0, 32)]).toEqual(new Array(32).fill(0));
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3, 8]);
    const w = g.input('w', [7]);
    const s = g.input('s', [4, 8]);
    expect(() => layerNorm(g, x, { eps, weight: w })).toThrow(
      'layerNorm: weight has the width of x: f32 [7], x f32 [2, 3, 8]',
    );
    expect(() => layerNorm(g, x, { eps, shift: s, scale: s })).toThrow(
      'layerNorm: the rows of x divide evenly among the samples: 6 rows, 4 samples',
    );
  });
});
