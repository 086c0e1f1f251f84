import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { vectorJacobian } from '../../src/ops/autodiff';
import { gatherRows, noRow } from '../../src/ops/gatherRows';
import { checkOp, type CheckInput } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const u32 = (shape: number[], data: number[]): CheckInput => ({ shape, dtype: 'u32', data });

/** A permutation of 0..count-1, the same every time. */
function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  return order.sort((a, b) => ((a * 7919) % 104729) - ((b * 7919) % 104729));
}

/** Positions of each row in `index`: the inverse, `entries` wide. */
function invert(index: readonly number[], rows: number, entries: number): number[] {
  const inverse = Array.from({ length: rows * entries }, () => noRow);
  const filled = Array.from({ length: rows }, () => 0);
  index.forEach((row, at) => {
    if (row < rows) inverse[row * entries + filled[row]!++] = at;
  });
  return inverse;
}

describe('gatherRows', () => {
  // rows kept of rows, width: one row, MicroDiT's masking at a small width, widths that are no multiple of 4
  const masks: [rows: number, kept: number, width: number][] = [
    [1, 1, 3],
    [64, 16, 96],
    [40, 24, 7],
    [512, 130, 20],
  ];
  for (const [rows, kept, width] of masks) {
    const order = shuffled(rows);
    const restore = invert(order.slice(0, kept), rows, 1);
    test(`keeps ${kept} of [${rows}, ${width}]`, async () => {
      await checkOp({
        inputs: {
          x: { shape: [rows, width] },
          keep: u32([kept], order.slice(0, kept)),
          restore: u32([rows, 1], restore),
        },
        build: (g, t) => gatherRows(g, t['x']!, t['keep']!, t['restore']),
        wrt: ['x'],
        tolerance: 0,
      });
    });

    test(`restores [${kept}, ${width}] to ${rows} rows, zeros between`, async () => {
      const results = await checkOp({
        inputs: {
          x: { shape: [kept, width] },
          restore: u32([rows], restore),
          keep: u32([kept], order.slice(0, kept)),
        },
        build: (g, t) => gatherRows(g, t['x']!, t['restore']!, t['keep']),
        wrt: ['x'],
        tolerance: 0,
      });
      const zeros = results.get('out')!.filter((value) => value === 0).length;
      expect(zeros).toBe((rows - kept) * width);
    });
  }

  for (const width of [24, 5]) {
    test(`rows taken several times and never, width ${width}`, async () => {
      const index = [2, 0, 2, 4, noRow, 2, 0];
      await checkOp({
        inputs: {
          x: { shape: [6, width] },
          index: u32([7], index),
          inverse: u32([6, 3], invert(index, 6, 3)),
        },
        build: (g, t) => gatherRows(g, t['x']!, t['index']!, t['inverse']),
        wrt: ['x'],
        gradientTolerance: 1e-6,
      });
    });

    test(`sums of rows, width ${width}`, async () => {
      const index = [0, 3, 3, noRow, noRow, noRow, 1, 2];
      await checkOp({
        inputs: {
          x: { shape: [5, width] },
          index: u32([4, 2], index),
          inverse: u32([5, 2], [0, noRow, 3, noRow, 3, noRow, 0, 1, noRow, noRow]),
        },
        build: (g, t) => gatherRows(g, t['x']!, t['index']!, t['inverse']),
        wrt: ['x'],
        tolerance: 1e-6,
      });
    });
  }

  for (const width of [16, 6]) {
    test(`an f16 table, width ${width}`, async () => {
      await checkOp({
        inputs: { x: { shape: [9, width], dtype: 'f16' }, index: u32([5], [8, 0, 3, 3, noRow]) },
        build: (g, t) => gatherRows(g, t['x']!, t['index']!),
        tolerance: 0,
      });
    });
  }

  test('wrong shapes are named; a derivative needs the inverse', () => {
    const g = new Graph();
    const x = g.input('x', [4, 8]);
    const index = g.input('index', [3], 'u32');
    expect(() => gatherRows(g, g.input('flat', [8]), index)).toThrow(
      'gatherRows: x is f32 or f16 [R, D]: f32 [8]',
    );
    expect(() => gatherRows(g, x, g.input('floats', [3]))).toThrow(
      'gatherRows: index is u32 [M] or [M, F]: f32 [3]',
    );
    expect(() => gatherRows(g, x, index, g.input('inverse', [3, 2], 'u32'))).toThrow(
      'gatherRows: inverse is u32 [R, F], a row for each row of x: x f32 [4, 8], inverse u32 [3, 2]',
    );
    const y = gatherRows(g, x, index);
    const seed = g.constant(new Float32Array(y.elements), y.shape);
    expect(() => vectorJacobian(g, y, seed, [x])).toThrow(
      'gatherRows: a derivative needs the inverse index: none given for f32 [4, 8]',
    );
  });
});
