import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { patchify, unpatchify, type PatchOrder } from '../../src/ops/patches';
import { interpret } from '../../src/reference/interpret';
import { checkOp } from '../helpers/checkOp';
import { runGraph, useTestGpu } from '../helpers/device';

useTestGpu();

const orders: readonly PatchOrder[] = ['channelSlow', 'channelFast'];

describe('patches', () => {
  // [B, C, h, w], patch: MicroDiT's latents, an odd oblong picture, a single patch, a patch of one element
  const pictures: [shape: [number, number, number, number], patch: number][] = [
    [[2, 4, 32, 32], 2],
    [[3, 5, 6, 9], 3],
    [[1, 3, 4, 4], 4],
    [[2, 3, 5, 2], 1],
  ];
  for (const order of orders) {
    for (const [shape, patch] of pictures) {
      test(`patchify [${shape.join(', ')}] by ${patch}, ${order}`, async () => {
        await checkOp({
          inputs: { x: { shape } },
          build: (g, t) => patchify(g, t['x']!, { patch, order }),
          wrt: ['x'],
          tolerance: 0,
        });
      });

      test(`unpatchify to [${shape.join(', ')}] by ${patch}, ${order}`, async () => {
        const [batch, channels, height, width] = shape;
        const area = patch * patch;
        await checkOp({
          inputs: { x: { shape: [batch, (height * width) / area, channels * area] } },
          build: (g, t) => unpatchify(g, t['x']!, { patch, order, channels, height, width }),
          wrt: ['x'],
          tolerance: 0,
        });
      });
    }

    test(`there and back, ${order}`, async () => {
      const g = new Graph();
      const x = g.input('x', [2, 3, 4, 6]);
      const tokens = patchify(g, x, { patch: 2, order });
      g.output('back', unpatchify(g, tokens, { patch: 2, order, channels: 3, height: 4, width: 6 }));
      const data = Float32Array.from({ length: x.elements }, (_, i) => i);
      expect([...interpret(g, { inputs: { x: data } }).get('back')!]).toEqual([...data]);
      const { outputs } = await runGraph(g, { x: data });
      expect([...new Float32Array(outputs.get('back')!)]).toEqual([...data]);
    });
  }

  test('the columns of a token, written out', () => {
    // two channels of one 2 x 2 patch: channel 0 holds 0 1 / 2 3, channel 1 holds 4 5 / 6 7
    const columns = (order: PatchOrder): number[] => {
      const g = new Graph();
      g.output('y', patchify(g, g.input('x', [1, 2, 2, 2]), { patch: 2, order }));
      return [...interpret(g, { inputs: { x: [0, 1, 2, 3, 4, 5, 6, 7] } }).get('y')!];
    };
    expect(columns('channelSlow')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(columns('channelFast')).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const order = 'channelFast';
    expect(() => patchify(g, g.input('a', [4, 8, 8]), { patch: 2, order })).toThrow(
      'patchify: x is [B, C, h, w]: f32 [4, 8, 8]',
    );
    expect(() => patchify(g, g.input('b', [1, 4, 8, 7]), { patch: 2, order })).toThrow(
      'patchify: the picture is cut into whole patches: 8 x 7, patch 2',
    );
    const picture = { patch: 2, order, channels: 4, height: 8, width: 8 } as const;
    expect(() => unpatchify(g, g.input('c', [1, 15, 16]), picture)).toThrow(
      'unpatchify: x is [B, 16, 16] for 4 channels of 8 x 8, patch 2: f32 [1, 15, 16]',
    );
  });
});
