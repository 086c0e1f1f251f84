import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { linear, type LinearOptions } from '../../src/ops/linear';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('linear', () => {
  const shapes: [m: number, n: number, k: number][] = [
    [1, 5, 3],
    [7, 96, 64],
    [16, 33, 20],
    [65, 70, 36],
    [130, 72, 17],
  ];
  for (const [m, n, k] of shapes) {
    test(`[${m}, ${k}] x [${n}, ${k}]`, async () => {
      await checkOp({
        inputs: { x: { shape: [m, k] }, w: { shape: [n, k] }, bias: { shape: [n] } },
        build: (g, t) => linear(g, t['x']!, t['w']!, { bias: t['bias']! }),
        wrt: ['x', 'w', 'bias'],
      });
    });
  }

  test('experts: batched, input-major weights', async () => {
    await checkOp({
      inputs: { x: { shape: [3, 10, 8] }, w: { shape: [3, 8, 12] } },
      build: (g, t) => linear(g, t['x']!, t['w']!, { layout: 'kn', batched: true, act: 'gelu_erf' }),
      wrt: ['x', 'w'],
    });
  });

  test('batched, output-major weights, scaled', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 9, 5] }, w: { shape: [2, 7, 5] } },
      build: (g, t) => linear(g, t['x']!, t['w']!, { batched: true, scale: 0.25 }),
      wrt: ['x', 'w'],
    });
  });

  for (const act of ['gelu_tanh', 'gelu_erf', 'silu', 'quick_gelu'] as const) {
    test(`epilogue ${act}`, async () => {
      await checkOp({
        inputs: { x: { shape: [2, 5, 12] }, w: { shape: [8, 12] } },
        build: (g, t) => linear(g, t['x']!, t['w']!, { act }),
        wrt: ['x', 'w'],
      });
    });
  }

  for (const n of [8, 6]) {
    test(`epilogue gate and residual, N = ${n}`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [2, 5, 12] },
          w: { shape: [n, 12] },
          residual: { shape: [2, 5, n] },
          gate: { shape: [2, n] },
        },
        build: (g, t) => linear(g, t['x']!, t['w']!, { residual: t['residual']!, gate: t['gate']! }),
        wrt: ['x', 'w', 'residual', 'gate'],
      });
    });

    test(`epilogue silu gate, N = ${n}`, async () => {
      await checkOp({
        inputs: { x: { shape: [5, 12] }, w: { shape: [n, 12] }, s: { shape: [5, n] } },
        build: (g, t) => linear(g, t['x']!, t['w']!, { siluGate: t['s']! }),
        wrt: ['x', 'w', 's'],
      });
    });
  }

  test('gate rows chosen by index, residual repeated', async () => {
    await checkOp({
      inputs: {
        x: { shape: [3, 4, 12] },
        w: { shape: [8, 12] },
        residual: { shape: [4, 8] },
        gate: { shape: [5, 8] },
        rows: { shape: [3], dtype: 'u32', data: [4, 0, 4] },
      },
      build: (g, t) =>
        linear(g, t['x']!, t['w']!, { residual: t['residual']!, gate: t['gate']!, gateRows: t['rows']! }),
    });
  });

  test('residual repeated: its gradient sums', async () => {
    await checkOp({
      inputs: { x: { shape: [3, 4, 12] }, w: { shape: [8, 12] }, residual: { shape: [4, 8] } },
      build: (g, t) => linear(g, t['x']!, t['w']!, { residual: t['residual']! }),
      wrt: ['x', 'residual'],
    });
  });

  for (const k of [16, 15]) {
    test(`f16 weights, K = ${k}`, async () => {
      await checkOp({
        inputs: { x: { shape: [9, k] }, w: { shape: [10, k], dtype: 'f16' } },
        build: (g, t) => linear(g, t['x']!, t['w']!),
        wrt: ['x'],
      });
    });
  }

  // forms that another device would choose
  for (const gemmTile of ['small', 'large', 'direct', 'naive'] as const) {
    const profile = { gemmTile };
    for (const [m, n, k] of [
      [5, 40, 12],
      [130, 72, 17],
    ] as const) {
      test(`${gemmTile} form, [${m}, ${k}] x [${n}, ${k}]`, async () => {
        await checkOp({
          inputs: { x: { shape: [m, k] }, w: { shape: [n, k] }, bias: { shape: [n] } },
          build: (g, t) => linear(g, t['x']!, t['w']!, { bias: t['bias']! }),
          wrt: ['x', 'w'],
          profile,
        });
      });
    }

    test(`${gemmTile} form, experts`, async () => {
      await checkOp({
        inputs: { x: { shape: [2, 36, 8] }, w: { shape: [2, 8, 12] } },
        build: (g, t) => linear(g, t['x']!, t['w']!, { layout: 'kn', batched: true, act: 'gelu_erf' }),
        wrt: ['x', 'w'],
        profile,
      });
    });
  }

  test('naive form, every epilogue', async () => {
    await checkOp({
      inputs: {
        x: { shape: [6, 5] },
        w: { shape: [7, 5], dtype: 'f16' },
        bias: { shape: [7] },
        residual: { shape: [6, 7] },
        gate: { shape: [2, 7] },
      },
      build: (g, t) =>
        linear(g, t['x']!, t['w']!, { bias: t['bias']!, residual: t['residual']!, gate: t['gate']! }),
      profile: { gemmTile: 'naive' },
    });
  });

  test('a product that fills large tiles', async () => {
    await checkOp({
      inputs: { x: { shape: [520, 10] }, w: { shape: [515, 10] } },
      build: (g, t) => linear(g, t['x']!, t['w']!),
      profile: { gemmTile: 'large' },
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3]);
    const w = g.input('w', [4, 5]);
    const v = g.input('v', [4]);
    const attempt =
      (options: LinearOptions, weight = w) =>
      () =>
        linear(g, x, weight, options);
    expect(attempt({})).toThrow('linear: x and w share K: x f32 [2, 3] has 3, w f32 [4, 5] (nk) has 5');
    expect(attempt({}, v)).toThrow('linear: w has 2 axes and x at least 1: x f32 [2, 3], w f32 [4]');
    const fits = g.input('fits', [5, 3]);
    expect(attempt({ bias: v }, fits)).toThrow('linear: bias has N elements: f32 [4] with M 2, N 5, batch 1');
  });
});
