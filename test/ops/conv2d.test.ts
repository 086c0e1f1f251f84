import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { conv2d, type Conv2dOptions } from '../../src/ops/conv2d';
import { vectorJacobian } from '../../src/ops/autodiff';
import { checkOp, type CheckInput } from '../helpers/checkOp';
import { useTestGpu } from '../helpers/device';

useTestGpu();

interface Case {
  x: [batch: number, height: number, width: number, channels: number];
  outputs: number;
  form?: Pick<Conv2dOptions, 'stride' | 'upsample' | 'padding' | 'rows' | 'act'>;
  bias?: boolean;
  residual?: [number, number, number, number];
  weights?: 'f16' | 'i8';
  gradients?: boolean;
  /** Planned as for a GPU: tiles in workgroup memory, which a software driver's plan avoids. */
  tiled?: boolean;
  /** In the benchmark's naive form. */
  naive?: boolean;
}

// few variants, each a pipeline that takes a software driver a second to compile; several sizes for each
const cases: Case[] = [
  { x: [2, 7, 6, 3], outputs: 5, bias: true, gradients: true },
  { x: [1, 9, 8, 40], outputs: 36, bias: true, residual: [1, 9, 8, 36], gradients: true },
  { x: [1, 9, 8, 40], outputs: 36, bias: true, residual: [1, 9, 8, 36], tiled: true },
  { x: [2, 7, 6, 8], outputs: 12, form: { stride: 2 }, bias: true, tiled: true },
  { x: [2, 3, 4, 8], outputs: 5, form: { upsample: 2 }, tiled: true },
  { x: [1, 18, 15, 16], outputs: 68, bias: true, residual: [1, 18, 15, 68] },
  { x: [2, 7, 6, 8], outputs: 12, form: { stride: 2 }, bias: true, gradients: true },
  { x: [1, 2, 2, 4], outputs: 4, form: { stride: 2 }, bias: true },
  { x: [1, 5, 8, 5], outputs: 6, form: { stride: 2 } },
  { x: [2, 7, 6, 8], outputs: 12, form: { stride: 2, padding: 'both' }, gradients: true },
  { x: [1, 1, 1, 8], outputs: 12, form: { stride: 2, padding: 'both' } },
  { x: [1, 5, 4, 8], outputs: 12, form: { act: 'relu' }, bias: true, residual: [1, 5, 4, 12] },
  {
    ...{ x: [2, 8, 5, 8], outputs: 12, form: { stride: 2, padding: 'both', act: 'relu' }, tiled: true },
    ...{ bias: true, residual: [2, 4, 3, 12] },
  },
  { x: [2, 3, 4, 8], outputs: 4, form: { upsample: 2 }, gradients: true },
  { x: [1, 1, 1, 4], outputs: 40, form: { upsample: 2 }, gradients: true },
  { x: [1, 4, 3, 3], outputs: 3, form: { upsample: 2 } },
  // parts of a picture: rows of the neighbours above and below
  { x: [2, 7, 6, 8], outputs: 12, form: { rows: { top: 0, bottom: 0 } }, bias: true, gradients: true },
  { x: [1, 3, 4, 8], outputs: 5, form: { rows: { top: 1, bottom: 0 } }, tiled: true },
  { x: [1, 4, 5, 5], outputs: 6, form: { rows: { top: -1, bottom: 1 } } },
  { x: [2, 4, 3, 8], outputs: 4, form: { upsample: 2, rows: { top: -1, bottom: -1 } }, gradients: true },
  { x: [1, 3, 4, 8], outputs: 4, form: { upsample: 2, rows: { top: 0, bottom: 1 } }, tiled: true },
  { x: [1, 9, 6, 8], outputs: 12, form: { stride: 2, rows: { top: 0, bottom: 0 } }, gradients: true },
  {
    ...{ x: [1, 9, 6, 8], outputs: 12 },
    ...{ form: { stride: 2, padding: 'both', rows: { top: 0, bottom: 0 } }, naive: true },
  },
  { x: [1, 4, 5, 8], outputs: 6, residual: [1, 4, 5, 6], weights: 'f16' },
  { x: [1, 5, 4, 3], outputs: 7, weights: 'f16' },
  { x: [1, 9, 8, 40], outputs: 36, bias: true, residual: [1, 9, 8, 36], weights: 'i8' },
  { x: [1, 9, 8, 40], outputs: 36, bias: true, residual: [1, 9, 8, 36], weights: 'i8', tiled: true },
  { x: [2, 7, 6, 8], outputs: 5, form: { stride: 2, act: 'relu' }, bias: true, weights: 'i8' },
  { x: [2, 3, 4, 8], outputs: 5, form: { upsample: 2 }, weights: 'i8', tiled: true },
  { x: [1, 5, 4, 3], outputs: 7, bias: true, weights: 'i8' },
  { x: [1, 5, 4, 3], outputs: 8, residual: [1, 5, 4, 8], weights: 'i8', tiled: true },
  { x: [1, 4, 5, 7], outputs: 6, bias: true, weights: 'i8', naive: true },
  { x: [2, 7, 6, 8], outputs: 12, form: { stride: 2 }, bias: true, naive: true },
  {
    x: [1, 4, 5, 8],
    outputs: 6,
    form: { upsample: 2 },
    residual: [1, 8, 10, 6],
    weights: 'f16',
    naive: true,
  },
];

describe('conv2d', () => {
  for (const {
    x,
    outputs,
    form = {},
    bias = false,
    residual,
    weights = 'f32',
    gradients = false,
    tiled,
    naive,
  } of cases) {
    const traits = [
      JSON.stringify(form),
      bias && 'bias',
      residual && 'residual',
      weights !== 'f32' && `${weights} weights`,
      tiled && 'tiled',
      naive && 'naive',
    ];
    test(`[${x.join(', ')}] to ${outputs}, ${traits.filter(Boolean).join(', ')}`, async () => {
      const inputs: Record<string, CheckInput> = {
        x: { shape: x },
        w: { shape: [outputs, 3, 3, x[3]], dtype: weights, channels: outputs },
        ...(bias ? { bias: { shape: [outputs] } } : {}),
        ...(residual ? { residual: { shape: residual } } : {}),
      };
      await checkOp({
        inputs,
        build: (g, { x: picture, w, ...extras }) => conv2d(g, picture!, w!, { ...form, ...extras }),
        wrt: gradients ? Object.keys(inputs) : [],
        profile: tiled ? { gemmTile: 'large', software: false } : naive ? { gemmTile: 'naive' } : {},
      });
    });
  }

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [1, 4, 4, 8]);
    const w = g.input('w', [6, 3, 3, 8]);
    const v = g.input('v', [6, 8, 3, 3]);
    const bias = g.input('bias', [4]);
    const residual = g.input('residual', [1, 4, 4, 8]);
    expect(() => conv2d(g, x, v)).toThrow(
      'conv2d: w is [O, 3, 3, I] with the I of x: x f32 [1, 4, 4, 8], w f32 [6, 8, 3, 3]',
    );
    expect(() => conv2d(g, x, w, { bias })).toThrow(
      'conv2d: bias has O elements: f32 [4] for w f32 [6, 3, 3, 8]',
    );
    expect(() => conv2d(g, x, w, { residual })).toThrow(
      'conv2d: residual has the shape of y: f32 [1, 4, 4, 8] for y [1, 4, 4, 6]',
    );
    expect(() => conv2d(g, x, w, { stride: 2, upsample: 2 })).toThrow(
      'conv2d: stride 2 goes with no enlargement: stride 2, upsample 2',
    );
    expect(() => conv2d(g, x, w, { padding: 'bottom-right' })).toThrow(
      "conv2d: stride 1 is padded on both sides: padding 'bottom-right'",
    );
    expect(() => conv2d(g, g.input('line', [1, 1, 4, 8]), w, { stride: 2 })).toThrow(
      "conv2d: the picture with its padding has at least 3 rows and columns: f32 [1, 1, 4, 8], padding 'bottom-right', rows 0 above, 1 below",
    );
    expect(() => conv2d(g, x, w, { rows: { top: 2, bottom: 0 } })).toThrow(
      'conv2d: at most one row of zeros above and below: 2 above, 0 below',
    );
    expect(() => conv2d(g, x, w, { rows: { top: -1, bottom: -1 } })).toThrow(
      "conv2d: the picture with its padding has at least 3 rows and columns: f32 [1, 4, 4, 8], padding 'both', rows -1 above, -1 below",
    );
  });

  test('int8 weights have a scale for each output, and no derivative', () => {
    const g = new Graph();
    const x = g.input('x', [1, 4, 4, 8]);
    expect(() => conv2d(g, x, g.input('bare', [6, 3, 3, 8], 'i8'))).toThrow(
      'conv2d: int8 weights have a scale for each of their O outputs, others none: w i8 [6, 3, 3, 8], scales none',
    );
    expect(() => conv2d(g, x, g.quantized('group:few', [6, 3, 3, 8], 3))).toThrow(
      'conv2d: int8 weights have a scale for each of their O outputs, others none: w i8 [6, 3, 3, 8], scales f32 [3]',
    );
    const y = conv2d(g, x, g.quantized('group:w', [6, 3, 3, 8], 6));
    expect(() => vectorJacobian(g, y, g.input('dy', [1, 4, 4, 6]), [x])).toThrow(
      'conv2d: a convolution with int8 weights has no derivative: w i8 [6, 3, 3, 8]',
    );
  });

  test('an activation has no gradient', () => {
    const g = new Graph();
    const x = g.input('x', [1, 4, 4, 8]);
    const y = conv2d(g, x, g.input('w', [6, 3, 3, 8]), { act: 'relu' });
    const dy = g.input('dy', [1, 4, 4, 6]);
    expect(() => vectorJacobian(g, y, dy, [x])).toThrow(
      "conv2d: gradients go through a convolution without activation: 'relu'",
    );
  });
});
