import { describe, expect, test } from 'vitest';
import { packEdmCoefficients, precondition, sigmaOfDraw } from '../../src/diffusion/edm';
import { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { edmInput, edmLoss } from '../../src/ops/edmLoss';
import { interpret } from '../../src/reference/interpret';
import { checkOp, type CheckInput } from '../helpers/checkOp';
import { expectClose, normals } from '../helpers/compare';
import { runGraph, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openTensors } from '../helpers/tensors';

useTestGpu();

type Latents = readonly [samples: number, channels: number, height: number, width: number];

const sigmasOf = (samples: number): number[] =>
  [...normals(samples, 31)].map((z) => sigmaOfDraw(z, -0.6, 1.2));

const coefficientsOf = ([samples]: Latents): CheckInput => ({
  shape: [samples, 8],
  data: packEdmCoefficients(sigmasOf(samples)),
});

/** Every third patch kept, more or less; 1 = removed. */
function maskOf([samples, , height, width]: Latents, patch: number): CheckInput {
  const tokens = (height / patch) * (width / patch);
  return {
    shape: [samples, tokens],
    data: Float32Array.from({ length: samples * tokens }, (_, i) => ((i * 7) % 3 === 0 ? 0 : 1)),
  };
}

/** noised = x + sigma n, so that errors are of the size of sigma as in training. */
function noisedOf(shape: Latents): Record<string, CheckInput> {
  const size = shape.reduce((a, b) => a * b, 1);
  const latents = normals(size, 41);
  const noise = normals(size, 42);
  const sigmas = sigmasOf(shape[0]);
  const noised = latents.map((x, i) => x + sigmas[Math.floor((i * shape[0]) / size)]! * noise[i]!);
  return { latents: { shape, data: latents }, noised: { shape, data: noised } };
}

describe('edmInput', () => {
  for (const shape of [
    [1, 1, 2, 2],
    [3, 3, 5, 3],
    [2, 16, 16, 16],
  ] as Latents[]) {
    test(`${shape.join(' x ')}`, async () => {
      await checkOp({
        inputs: { latents: { shape }, noise: { shape }, coefficients: coefficientsOf(shape) },
        build: (g, t) => ({ ...edmInput(g, t['latents']!, t['noise']!, t['coefficients']!) }),
        tolerance: 1e-6,
      });
    });
  }
});

describe('edmLoss', () => {
  const shapes: [Latents, patch: number][] = [
    [[1, 4, 4, 4], 2],
    [[3, 3, 6, 4], 2],
    [[2, 5, 9, 6], 3],
    [[2, 16, 20, 16], 2],
    [[5, 4, 32, 32], 2],
  ];
  for (const [shape, patch] of shapes) {
    for (const masked of [false, true]) {
      test(`${shape.join(' x ')}${masked ? ', masked' : ''}`, async () => {
        await checkOp({
          inputs: {
            F: { shape },
            ...noisedOf(shape),
            coefficients: coefficientsOf(shape),
            ...(masked ? { mask: maskOf(shape, patch) } : {}),
          },
          build: (g, t) => ({
            ...edmLoss(g, t['F']!, t['noised']!, t['latents']!, t['coefficients']!, t['mask'], { patch }),
          }),
          wrt: ['F'],
        });
      });
    }
  }

  test('gradient of the losses per sample', async () => {
    const shape: Latents = [3, 4, 6, 6];
    await checkOp({
      inputs: {
        F: { shape },
        ...noisedOf(shape),
        coefficients: coefficientsOf(shape),
        mask: maskOf(shape, 2),
      },
      build: (g, t) =>
        edmLoss(g, t['F']!, t['noised']!, t['latents']!, t['coefficients']!, t['mask'], { patch: 2 })
          .perSample,
      wrt: ['F'],
    });
  });

  test('a sample of which nothing is kept counts as 0', async () => {
    const shape: Latents = [2, 2, 4, 4];
    const mask = new Float32Array(8).fill(1, 0, 4);
    const results = await checkOp({
      inputs: {
        F: { shape },
        ...noisedOf(shape),
        coefficients: coefficientsOf(shape),
        mask: { shape: [2, 4], data: mask },
      },
      build: (g, t) => ({
        ...edmLoss(g, t['F']!, t['noised']!, t['latents']!, t['coefficients']!, t['mask'], { patch: 2 }),
      }),
      wrt: ['F'],
    });
    expect(results.get('perSample')![0]).toBe(0);
    expect(
      results
        .get('grad.F')!
        .subarray(0, 32)
        .every((value) => value === 0),
    ).toBe(true);
  });

  test('the formulas as published: weight, channel mean, pooled patches, mean over kept', async () => {
    const shape: Latents = [2, 3, 4, 6];
    const [samples, channels, height, width] = shape;
    const inputs: Record<string, CheckInput> = { F: { shape }, ...noisedOf(shape), mask: maskOf(shape, 2) };
    const F = normals(samples * channels * height * width, 1);
    const noised = inputs['noised']!.data!;
    const latents = inputs['latents']!.data!;
    const mask = inputs['mask']!.data!;
    const losses = sigmasOf(samples).map((sigma, b) => {
      const { cSkip, cOut, weight } = precondition(sigma);
      let sum = 0;
      let kept = 0;
      for (let row = 0; row < height / 2; row++) {
        for (let column = 0; column < width / 2; column++) {
          const keep = 1 - mask[(b * height * width) / 4 + (row * width) / 2 + column]!;
          let value = 0;
          for (let c = 0; c < channels; c++) {
            for (const [y, x] of [
              [0, 0],
              [0, 1],
              [1, 0],
              [1, 1],
            ] as const) {
              const i = ((b * channels + c) * height + 2 * row + y) * width + 2 * column + x;
              value += (weight * (cSkip * noised[i]! + cOut * F[i]! - latents[i]!) ** 2) / channels / 4;
            }
          }
          sum += keep * value;
          kept += keep;
        }
      }
      return sum / kept;
    });
    const g = new Graph();
    const t = (name: string, extents: readonly number[]) => g.input(name, extents);
    const { loss, perSample } = edmLoss(
      g,
      t('F', shape),
      t('noised', shape),
      t('latents', shape),
      t('coefficients', [samples, 8]),
      t('mask', [samples, 6]),
      { patch: 2 },
    );
    g.output('loss', loss);
    g.output('perSample', perSample);
    const coefficients = packEdmCoefficients(sigmasOf(samples));
    const results = interpret(g, { inputs: { F, noised, latents, mask, coefficients } });
    expectClose(results.get('perSample')!, losses, 1e-6, 'per sample');
    expectClose(results.get('loss')!, [(losses[0]! + losses[1]!) / 2], 1e-6, 'mean');
  });

  test('wrong shapes are named', () => {
    const g = new Graph();
    const x = g.input('x', [2, 4, 6, 6]);
    const c = g.input('c', [2, 8]);
    const m = g.input('m', [2, 4]);
    expect(() => edmLoss(g, x, x, x, c, m, { patch: 2 })).toThrow(
      'edmLoss: the mask is [B, T] = [2, 9]: f32 [2, 4]',
    );
    expect(() => edmLoss(g, x, x, x, c, m, { patch: 4 })).toThrow(
      'edmLoss: patches cover the latents: patch 4, latents f32 [2, 4, 6, 6]',
    );
    expect(() => edmLoss(g, c, x, x, c, null, { patch: 2 })).toThrow(
      'edmLoss: F, noised and latents have one shape: f32 [2, 8], f32 [2, 4, 6, 6], f32 [2, 4, 6, 6]',
    );
    expect(() => edmInput(g, x, x, m)).toThrow(
      'edmInput: coefficients are [B, 8] for latents [B, C, h, w]: f32 [2, 4], latents f32 [2, 4, 6, 6]',
    );
  });
});

describeFixtures('what the reference gave its network', () => {
  for (const [model, pMean, pStd] of [
    ['micro-a', -0.6, 1.2],
    ['micro-b', 0, 0.6],
  ] as const) {
    test(model, async () => {
      const golden = await openTensors(fixturePath(`dit/${model}.grad.safetensors`));
      const shape = golden.shape('latents');
      const draws = await golden.floats('rnd_normal');
      const coefficients = packEdmCoefficients(Array.from(draws, (z) => sigmaOfDraw(z, pMean, pStd)));
      const g = new Graph();
      const input = (name: string): Tensor => g.input(name, shape);
      const { xIn } = edmInput(g, input('latents'), input('noise'), g.constant(coefficients, [shape[0]!, 8]));
      g.output('xIn', xIn);
      const { outputs } = await runGraph(g, {
        latents: await golden.floats('latents'),
        noise: await golden.floats('noise'),
      });
      const wanted = await golden.floats('full.x_in');
      expectClose(new Float32Array(outputs.get('xIn')!), wanted, 1e-6, 'network input');
    });
  }
});
