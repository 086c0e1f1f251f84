import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { activation, activationBackward } from '../../src/ops/activation';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

/** Where slopes bend and where exp would overflow, f32 finite throughout. */
const far = [-1e4, -300, -89, -20, -6, -1, -1e-4, 0, 1e-4, 0.5, 1, 3, 6, 20, 89, 300, 1e4];

describe('activation', () => {
  for (const act of ['gelu_tanh', 'gelu_erf', 'silu', 'quick_gelu', 'relu', 'tanh3', 'none'] as const) {
    // relu has no slope at 0 that differences show
    const points = act === 'relu' ? far.filter((x) => Math.abs(x) > 0.1) : far;

    test(act, async () => {
      await checkOp({
        inputs: { x: { shape: [3, 259] } },
        build: (g, t) => activation(g, t['x']!, act),
        wrt: ['x'],
        tolerance: 2e-6,
      });
    });

    test(`${act}, far from zero`, async () => {
      await checkOp({
        inputs: { x: { shape: [points.length], data: points } },
        build: (g, t) => activation(g, t['x']!, act),
        wrt: ['x'],
        tolerance: 2e-6,
        gradientTolerance: 2e-6,
      });
    });
  }

  test('four wide', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 640] } },
      build: (g, t) => activation(g, t['x']!, 'silu'),
      wrt: ['x'],
      tolerance: 2e-6,
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    expect(() => activationBackward(g, g.input('dy', [2, 3]), g.input('x', [3, 2]), 'silu')).toThrow(
      'activationBackward: dy and x have one shape: f32 [2, 3], f32 [3, 2]',
    );
  });
});
