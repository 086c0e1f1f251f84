import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { columnSum, meanTokens, repeatRows } from '../../src/ops/columnSum';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('columnSum', () => {
  const cases: [groups: number, rows: number, columns: number][] = [
    [1, 1, 1],
    [3, 7, 5],
    [2, 130, 70],
    [1, 64, 256],
  ];
  for (const [groups, rows, columns] of cases) {
    test(`[${groups}, ${rows}, ${columns}]`, async () => {
      await checkOp({
        inputs: { x: { shape: [groups, rows, columns] } },
        build: (g, t) => columnSum(g, t['x']!, { groups, columns, scale: 0.5 }),
        wrt: ['x'],
        tolerance: 2e-6,
      });
    });

    test(`of a product, [${groups}, ${rows}, ${columns}]`, async () => {
      const shape = [groups, rows, columns];
      await checkOp({
        inputs: { x: { shape }, times: { shape } },
        build: (g, t) => columnSum(g, t['x']!, { groups, columns, times: t['times']! }),
        tolerance: 2e-6,
      });
    });
  }

  test('mean over tokens', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 77, 24] } },
      build: (g, t) => meanTokens(g, t['x']!),
      wrt: ['x'],
      tolerance: 2e-6,
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3]);
    expect(() => columnSum(g, x, { columns: 4 })).toThrow(
      'columnSum: x is [1 groups, rows, 4 columns]: f32 [2, 3]',
    );
    expect(() => columnSum(g, x, { columns: 3, times: g.input('t', [3]) })).toThrow(
      'columnSum: x is [1 groups, rows, 3 columns] and so is times: f32 [2, 3], f32 [3]',
    );
  });
});

describe('repeatRows', () => {
  for (const [groups, columns, rows] of [
    [1, 1, 3],
    [3, 7, 5],
    [2, 64, 9],
  ] as const) {
    test(`[${groups}, ${columns}] ${rows} times`, async () => {
      await checkOp({
        inputs: { x: { shape: [groups, columns] } },
        build: (g, t) => repeatRows(g, t['x']!, rows, 0.25),
        wrt: ['x'],
        tolerance: 2e-6,
      });
    });
  }

  test('wrong shapes are named', () => {
    const g = new Graph();
    expect(() => repeatRows(g, g.input('x', [2, 3, 4]), 2)).toThrow(
      'repeatRows: x is [groups, columns]: f32 [2, 3, 4]',
    );
  });
});
