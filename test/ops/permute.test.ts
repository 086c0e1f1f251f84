import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { nchwToNhwc, nhwcToNchw } from '../../src/ops/permute';
import { checkOp } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

describe('permute', () => {
  for (const shape of [
    [1, 3, 5, 7],
    [2, 40, 6, 6],
    [3, 1, 1, 9],
  ]) {
    test(`channels first to last ${shape.join('x')}`, async () => {
      await checkOp({
        inputs: { x: { shape } },
        build: (g, t) => nchwToNhwc(g, t['x']!),
        wrt: ['x'],
        tolerance: 0,
      });
    });

    test(`channels last to first ${shape.join('x')}`, async () => {
      await checkOp({
        inputs: { x: { shape } },
        build: (g, t) => nhwcToNchw(g, t['x']!),
        wrt: ['x'],
        tolerance: 0,
      });
    });
  }

  test('there and back is where it was', async () => {
    const results = await checkOp({
      inputs: { x: { shape: [2, 33, 5, 9] } },
      build: (g, t) => ({ back: nhwcToNchw(g, nchwToNhwc(g, t['x']!)), x: nchwToNhwc(g, t['x']!) }),
    });
    const x = results.get('x')!;
    expect(results.get('back')![1 * 45 + 3]).toBe(x[3 * 33 + 1]);
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 3]);
    expect(() => nchwToNhwc(g, x)).toThrow('permute: x is f32 [B, C, H, W]: f32 [2, 3]');
    expect(() => nhwcToNchw(g, x)).toThrow('permute: x is f32 [B, H, W, C]: f32 [2, 3]');
  });
});
