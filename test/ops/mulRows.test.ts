import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { vectorJacobian } from '../../src/ops/autodiff';
import { mulRows } from '../../src/ops/mulRows';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('mulRows', () => {
  const cases: [x: readonly number[], g: readonly number[]][] = [
    [
      [1, 1],
      [1, 1],
    ],
    [
      [3, 5, 7],
      [3, 7],
    ],
    [
      [2, 9, 64],
      [2, 64],
    ],
    [
      [6, 12],
      [3, 12],
    ],
  ];
  for (const [x, gain] of cases) {
    test(`[${x.join(', ')}] by [${gain.join(', ')}]`, async () => {
      await checkOp({
        inputs: { x: { shape: x }, gain: { shape: gain } },
        build: (g, t) => mulRows(g, t['x']!, t['gain']!),
        wrt: ['x', 'gain'],
        tolerance: 2e-6,
      });
    });
  }

  test('one number for each sample', async () => {
    for (const width of [5, 8]) {
      await checkOp({
        inputs: { x: { shape: [4, 3, width] }, gain: { shape: [4, 1] } },
        build: (g, t) => mulRows(g, t['x']!, t['gain']!),
        wrt: ['x'],
        tolerance: 1e-6,
      });
    }
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [4, 3, 5]);
    expect(() => mulRows(g, x, g.input('gain', [4, 3]))).toThrow(
      'mulRows: g is [B, D] or [B, 1] for x [B, ..., D]: x f32 [4, 3, 5], g f32 [4, 3]',
    );
    const one = g.input('one', [4, 1]);
    const y = mulRows(g, x, one);
    expect(() => vectorJacobian(g, y, y, [one])).toThrow(
      'mulRows: only g of full width is differentiated: x f32 [4, 3, 5], g f32 [4, 1]',
    );
  });
});
