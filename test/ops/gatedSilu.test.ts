import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { gatedSilu } from '../../src/ops/gatedSilu';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('gatedSilu', () => {
  for (const shape of [[1], [3, 7], [2, 9, 64], [5, 1000]]) {
    test(`[${shape.join(', ')}]`, async () => {
      await checkOp({
        inputs: { a: { shape }, b: { shape } },
        build: (g, t) => gatedSilu(g, t['a']!, t['b']!),
        wrt: ['a', 'b'],
        tolerance: 2e-6,
      });
    });
  }

  test('large gates saturate', async () => {
    await checkOp({
      inputs: { a: { shape: [4], data: [-1e4, -100, 100, 1e4] }, b: { shape: [4] } },
      build: (g, t) => gatedSilu(g, t['a']!, t['b']!),
      wrt: ['a', 'b'],
      tolerance: 2e-6,
    });
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    expect(() => gatedSilu(g, g.input('a', [2, 3]), g.input('b', [3, 2]))).toThrow(
      'gatedSilu: all inputs have one shape: f32 [2, 3], f32 [3, 2]',
    );
  });
});
