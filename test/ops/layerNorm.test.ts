import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { layerNorm, projectNorm } from '../../src/ops/layerNorm';
import { planGraph } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import { concatRows, reshape } from '../../src/ops/view';
import { checkOp, type CheckOp } from '../helpers/checkOp';
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

  // one output, ragged, a router's, a final layer's, the most there may be; rows shared by 1, 4, 16 and 64 lanes
  for (const software of [true, false]) {
    for (const [outputs, width] of [
      [1, 8],
      [3, 30],
      [8, 260],
      [16, 64],
      [64, 12],
    ] as const) {
      const what = `${outputs} products of [2, 9, ${width}], ${software ? 'a row per thread' : 'rows shared'}`;
      test(`with modulation and ${what}`, async () => {
        await checkOp({
          inputs: {
            x: { shape: [2, 9, width] },
            w: { shape: [width] },
            shift: { shape: [2, width] },
            scale: { shape: [2, width] },
            narrow: { shape: [outputs, width] },
          },
          build: (g, t) => {
            const options = { eps, weight: t['w']!, shift: t['shift']!, scale: t['scale']! };
            const { y, projected } = projectNorm(g, t['x']!, options, { weight: t['narrow']! });
            return { projected, y };
          },
          wrt: ['x', 'w', 'shift', 'scale', 'narrow'],
          profile: { software },
        });
      });

      test(`with biases and ${what}`, async () => {
        await checkOp({
          inputs: {
            x: { shape: [2, 9, width] },
            w: { shape: [width] },
            b: { shape: [width] },
            narrow: { shape: [outputs, width] },
            bias: { shape: [outputs] },
          },
          build: (g, t) => {
            const product = { weight: t['narrow']!, bias: t['bias']! };
            const { y, projected } = projectNorm(
              g,
              t['x']!,
              { eps, weight: t['w']!, bias: t['b']! },
              product,
            );
            return { projected, y };
          },
          wrt: ['x', 'w', 'b', 'narrow', 'bias'],
          profile: { software },
        });
      });
    }
  }

  test('softmax of the products: a gradient through both results, f16 weights', async () => {
    const check = (dtype: 'f32' | 'f16'): CheckOp => ({
      inputs: {
        x: { shape: [3, 7, 32] },
        shift: { shape: [4, 32] },
        scale: { shape: [4, 32] },
        rows: { shape: [3], dtype: 'u32', data: [3, 0, 1] },
        narrow: { shape: [5, 32], dtype },
      },
      build: (g, t) => {
        const options = { eps, shift: t['shift']!, scale: t['scale']!, rows: t['rows']! };
        const { y, projected } = projectNorm(g, t['x']!, options, { weight: t['narrow']!, softmax: true });
        const both = concatRows(
          g,
          [y, projected].map((tensor) => reshape(g, tensor, [tensor.elements, 1])),
        );
        return { both, y, projected };
      },
      wrt: dtype === 'f32' ? ['x', 'narrow'] : ['x'],
    });
    await checkOp(check('f32'));
    await checkOp(check('f16'));
  });

  test('the products alone: y is not written', async () => {
    const g = new Graph();
    const product = { weight: g.input('narrow', [4, 16]) };
    g.output('projected', projectNorm(g, g.input('x', [6, 16]), { eps }, product).projected);
    const plan = planGraph(g, plainProfile);
    expect(plan.dispatches.map(({ op }) => op)).toEqual(['layerNorm']);
    expect(plan.memory.scratch).toBe(0);
    expect(plan.macs).toBe(6 * 4 * 16);
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
    expect(() => projectNorm(g, x, { eps }, { weight: w })).toThrow(
      'layerNorm: the narrow weight is f32 or f16 [N, D] with N at most 64: f32 [7], x f32 [2, 3, 8]',
    );
    expect(() => projectNorm(g, x, { eps }, { weight: g.input('many', [65, 8]) })).toThrow('f32 [65, 8]');
    expect(() => projectNorm(g, x, { eps }, { weight: s, bias: w })).toThrow(
      'layerNorm: the narrow bias has N elements: f32 [7], weight f32 [4, 8]',
    );
  });
});
