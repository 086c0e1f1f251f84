import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import type { Tensor } from '../../src/graph/tensor';
import { vectorJacobian } from '../../src/ops/autodiff';
import { linear, type LinearOptions } from '../../src/ops/linear';
import { reshape } from '../../src/ops/view';
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

    test(`silu gate, N = ${n}`, async () => {
      await checkOp({
        inputs: { x: { shape: [5, 12] }, w: { shape: [n, 12] }, v: { shape: [n, 12] }, r: { shape: [5, n] } },
        build: (g, t) => linear(g, t['x']!, t['w']!, { siluGate: t['v']!, residual: t['r']!, scale: 0.7 }),
        wrt: ['x', 'w', 'v', 'r'],
      });
    });
  }

  // every form: few rows, edges that cut strips of four and tiles, a tile's second workgroup, enough for large tiles
  for (const gemmTile of ['small', 'large', 'direct', 'naive'] as const) {
    for (const [m, n, k] of [
      [3, 44, 16],
      [41, 37, 18],
      [520, 260, 8],
    ] as const) {
      test(`silu gate, ${gemmTile} form, [${m}, ${k}] x [${n}, ${k}] twice`, async () => {
        await checkOp({
          inputs: { x: { shape: [m, k] }, w: { shape: [n, k] }, v: { shape: [n, k] } },
          build: (g, t) => linear(g, t['x']!, t['w']!, { siluGate: t['v']! }),
          // its backward is of other products, which have forms of their own
          wrt: gemmTile === 'direct' && m < 100 ? ['x', 'w', 'v'] : [],
          profile: { gemmTile },
        });
      });
    }

    test(`silu gate, ${gemmTile} form, batched [9, 8] x [8, 20] twice, f16`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [2, 9, 8] },
          w: { shape: [2, 8, 20], dtype: 'f16' },
          v: { shape: [2, 8, 20], dtype: 'f16' },
        },
        build: (g, t) => linear(g, t['x']!, t['w']!, { layout: 'kn', batched: true, siluGate: t['v']! }),
        wrt: gemmTile === 'direct' ? ['x'] : [],
        profile: { gemmTile },
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

  // a scale for each of the N outputs; sizes reach whole words and loads by element, whole and cut strips of columns
  for (const gemmTile of ['direct', 'small', 'naive'] as const) {
    for (const [m, n, k] of [
      [9, 24, 16],
      [70, 37, 15],
      [5, 40, 14],
    ] as const) {
      test(`int8 weights, ${gemmTile} form, [${m}, ${k}] x [${n}, ${k}]`, async () => {
        await checkOp({
          inputs: {
            x: { shape: [m, k] },
            w: { shape: [n, k], dtype: 'i8', channels: n },
            v: { shape: [n, k], dtype: 'i8', channels: n },
            bias: { shape: [n] },
          },
          build: (g, t) => linear(g, t['x']!, t['w']!, { bias: t['bias']!, siluGate: t['v']!, scale: 0.5 }),
          profile: { gemmTile },
        });
      });
    }

    for (const [m, k, n] of [
      [36, 8, 12],
      [10, 5, 7],
    ] as const) {
      test(`int8 weights, ${gemmTile} form, 3 experts of [${k}, ${n}]`, async () => {
        await checkOp({
          inputs: { x: { shape: [3, m, k] }, w: { shape: [3, k, n], dtype: 'i8', channels: 3 * n } },
          build: (g, t) => linear(g, t['x']!, t['w']!, { layout: 'kn', batched: true, act: 'gelu_erf' }),
          profile: { gemmTile },
        });
      });
    }
  }

  test('int8 weights that fill large tiles', async () => {
    await checkOp({
      inputs: { x: { shape: [520, 12] }, w: { shape: [515, 12], dtype: 'i8', channels: 515 } },
      build: (g, t) => linear(g, t['x']!, t['w']!),
      profile: { gemmTile: 'large' },
    });
  });

  test('int8 weights of a patch embedding, through a view; every input at once', async () => {
    const build = (g: Graph, t: Readonly<Record<string, Tensor>>): Tensor => {
      const { x, w, rows: gateRows, ...epilogue } = t;
      return linear(g, x!, reshape(g, w!, [8, 12]), { ...epilogue, gateRows: gateRows! });
    };
    await checkOp({
      inputs: {
        x: { shape: [2, 6, 12] },
        w: { shape: [8, 3, 2, 2], dtype: 'i8', channels: 8 },
        bias: { shape: [8] },
        residual: { shape: [6, 8] },
        gate: { shape: [3, 8] },
        rows: { shape: [2], dtype: 'u32', data: [2, 0] },
      },
      build,
    });
    // as many buffers as any device has to take
    const g = new Graph();
    const given = { x: g.input('x', [2, 6, 12]), w: g.quantized('group:w', [8, 3, 2, 2], 8) };
    const shapes = { bias: [8], residual: [6, 8], gate: [3, 8] };
    const extras = Object.entries(shapes).map(([name, shape]) => [name, g.input(name, shape)] as const);
    g.output('y', build(g, { ...given, ...Object.fromEntries(extras), rows: g.input('rows', [2], 'u32') }));
    expect(planGraph(g, plainProfile).dispatches[0]!.bindings).toHaveLength(8);
  });

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

  test('int8 weights have no derivative', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3]);
    const y = linear(g, x, g.quantized('group:w', [4, 3], 4));
    expect(() => vectorJacobian(g, y, g.input('dy', [2, 4]), [x])).toThrow(
      'linear: a product with int8 weights has no derivative: w i8 [4, 3]',
    );
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
    const bare = g.input('bare', [5, 3], 'i8');
    expect(attempt({}, bare)).toThrow('linear: int8 weights have scales, others none: w i8 [5, 3]');
    const turned = g.quantized('group:turned', [3, 5], 5);
    expect(attempt({ layout: 'kn' }, turned)).toThrow(
      'linear: int8 weights are [N, K] (nk), or [E, K, N] (kn) and batched: w i8 [3, 5] (kn)',
    );
    expect(attempt({}, g.quantized('group:few', [6, 3], 3))).toThrow(
      'linear: int8 weights have a scale for each output: f32 [3] with N 6, batch 1',
    );
    expect(attempt({ siluGate: w }, fits)).toThrow(
      'linear: the silu gate is stored as w is: f32 [4, 5], w f32 [5, 3]',
    );
    expect(attempt({ siluGate: fits, gate: g.input('gate', [1, 5]) }, fits)).toThrow(
      'a silu gate goes with neither gate nor',
    );
    expect(attempt({ bias: v }, fits)).toThrow('linear: bias has N elements: f32 [4] with M 2, N 5, batch 1');
  });
});
