import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { normFirst } from '../../src/ops/normFirst';
import { concatRows } from '../../src/ops/view';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const eps = 1e-6;

describe('normFirst', () => {
  // [B, T, D], samples normalised; four-wide and ragged rows shared by 1, 4, 16 and 64 lanes
  const cases: [shape: [number, number, number], count: number][] = [
    [[2, 5, 7], 1],
    [[3, 3, 32], 2],
    [[4, 7, 130], 2],
    [[2, 2, 260], 1],
  ];
  for (const software of [true, false]) {
    for (const [shape, count] of cases) {
      const form = software ? 'a row per thread' : 'rows shared';
      test(`${count} of [${shape.join(', ')}], ${form}`, async () => {
        const width = shape[2];
        await checkOp({
          inputs: { x: { shape }, weight: { shape: [width] }, vector: { shape: [1, width] } },
          build: (g, t) => {
            const options = { count, weight: t['weight']!, vector: t['vector']!, eps };
            const { normed, shifted } = normFirst(g, t['x']!, options);
            return { both: concatRows(g, [normed, shifted]), normed, shifted };
          },
          wrt: ['x', 'weight', 'vector'],
          profile: { software },
        });
      });
    }
  }

  test('f16 weight', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 3, 24] }, weight: { shape: [24], dtype: 'f16' }, vector: { shape: [24] } },
      build: (g, t) => ({
        ...normFirst(g, t['x']!, { count: 1, weight: t['weight']!, vector: t['vector']!, eps }),
      }),
    });
  });

  for (const read of ['normed', 'shifted'] as const) {
    test(`gradient where only the ${read} samples are read`, async () => {
      await checkOp({
        inputs: { x: { shape: [3, 2, 12] }, weight: { shape: [12] }, vector: { shape: [12] } },
        build: (g, t) =>
          normFirst(g, t['x']!, { count: 2, weight: t['weight']!, vector: t['vector']!, eps })[read],
        wrt: read === 'normed' ? ['x', 'weight'] : ['x', 'vector'],
      });
    });
  }

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3, 8]);
    const w = g.input('w', [8]);
    const v = g.input('v', [7]);
    expect(() => normFirst(g, x, { count: 2, weight: w, vector: w, eps })).toThrow(
      'normFirst: x is [B, ..., D] and 1 to B - 1 of its samples are normalised: 2 of f32 [2, 3, 8]',
    );
    expect(() => normFirst(g, x, { count: 1, weight: w, vector: v, eps })).toThrow(
      'normFirst: weight and vector have the width of x: weight f32 [8], vector f32 [7], x f32 [2, 3, 8]',
    );
  });
});
