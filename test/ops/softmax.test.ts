import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { softmax, softmaxBackward } from '../../src/ops/softmax';
import { normals } from '../helpers/compare';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('softmax', () => {
  // one element, routing (8 experts), odd widths, several rows to a workgroup and one, wide rows of more than 256 threads
  const shapes: number[][] = [
    [3, 1],
    [2, 16, 8],
    [9, 7],
    [5, 64],
    [4, 77],
    [2, 2, 256],
    [3, 1025],
    [2, 2052],
  ];
  for (const shape of shapes) {
    test(`[${shape.join(', ')}]`, async () => {
      await checkOp({
        inputs: { x: { shape } },
        build: (g, t) => softmax(g, t['x']!),
        wrt: ['x'],
        tolerance: 1e-6,
        gradientTolerance: shape.at(-1) === 1 ? 0 : 2e-6,
      });
    });
  }

  for (const scale of [1e4, 1e-30]) {
    test(`logits of about ${scale}`, async () => {
      const results = await checkOp({
        inputs: { x: { shape: [6, 24], data: normals(6 * 24, 5).map((value) => value * scale) } },
        build: (g, t) => softmax(g, t['x']!),
        tolerance: 1e-6,
      });
      const sums = Array.from({ length: 6 }, (_, row) =>
        results
          .get('out')!
          .subarray(row * 24, row * 24 + 24)
          .reduce((sum, value) => sum + value, 0),
      );
      for (const sum of sums) expect(Math.abs(sum - 1)).toBeLessThan(1e-6);
    });
  }

  test('masked entries (-1e30) get exactly 0, the others the whole', async () => {
    const x = Float32Array.from({ length: 2 * 70 }, (_, i) => (i % 70 < 2 ? 0.5 : -1e30));
    const results = await checkOp({
      inputs: { x: { shape: [2, 70], data: x } },
      build: (g, t) => softmax(g, t['x']!),
      tolerance: 0,
    });
    expect([...results.get('out')!.subarray(0, 4)]).toEqual([0.5, 0.5, 0, 0]);
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    expect(() => softmax(g, g.input('half', [2, 4], 'f16'))).toThrow(
      'softmax: x is f32 [..., N]: f16 [2, 4]',
    );
    expect(() => softmaxBackward(g, g.input('dy', [2, 4]), g.input('y', [4, 2]))).toThrow(
      'softmaxBackward: dy and y have one shape: f32 [2, 4], f32 [4, 2]',
    );
  });
});
