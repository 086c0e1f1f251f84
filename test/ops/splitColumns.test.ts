import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { add } from '../../src/ops/add';
import { splitColumns } from '../../src/ops/splitColumns';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

const eps = 1e-6;

describe('splitColumns', () => {
  for (const [rows, width] of [
    [5, 48],
    [3, 6],
    [70, 20],
    [2, 320],
  ] as const) {
    test(`q, k and v of [${rows}, ${3 * width}]`, async () => {
      await checkOp({
        inputs: { x: { shape: [rows, 3 * width] } },
        build: (g, t) => {
          const part = (normalize: boolean): { width: number; normalize: boolean } => ({ width, normalize });
          const [q, k, v] = splitColumns(g, t['x']!, [part(true), part(true), part(false)], eps);
          // one value that depends on all of them, so that every part has a gradient
          return { all: add(g, add(g, q!, k!, { beta: 2 }), v!, { beta: -0.5 }), q: q!, k: k!, v: v! };
        },
        wrt: ['x'],
        profile: { software: rows % 2 === 0 },
      });
    });
  }

  test('six plain parts; one alone has a gradient', async () => {
    await checkOp({
      inputs: { x: { shape: [2, 48] } },
      build: (g, t) => {
        const parts = splitColumns(g, t['x']!, new Array(6).fill({ width: 8, normalize: false }), eps);
        return { third: parts[2]!, last: parts[5]! };
      },
      wrt: ['x'],
    });
  });

  test('wrong widths are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 30]);
    const part = (width: number): { width: number; normalize: boolean } => ({ width, normalize: false });
    expect(() => splitColumns(g, x, [part(10), part(20)], eps)).toThrow(
      'splitColumns: the parts are equally wide and make up x: 10 + 20 of f32 [2, 30]',
    );
    expect(() => splitColumns(g, x, new Array(10).fill(part(3)), eps)).toThrow(
      'splitColumns: x [..., P W] is cut into P = 1 to 6 equal parts: 10 parts of f32 [2, 30]',
    );
  });
});
