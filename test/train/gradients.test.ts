/**
 * Loss and gradients of one batch, and the first steps of a recorded run, against the reference; batches cut into
 * shards give the same.
 */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { resolveDitConfig } from '../../src/models/dit/config';
import type { TrainBatch } from '../../src/protocol/trainBatch';
import { replayBatch, replayRun, replaySettings } from '../../src/sessions/replay';
import { TrainSession } from '../../src/sessions/trainSession';
import { difference, expectClose, expectCloseL2 } from '../helpers/compare';
import { testResources, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { openTensors, type GoldenFile } from '../helpers/tensors';

useTestGpu();
afterEach(async () => (await testResources()).state.releaseAll());

const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

const path = (model: string, kind: string, ending: string): string =>
  fixturePath(`dit/${model}.${kind}.${ending}`);

async function load(model: string, about: { config: unknown }): Promise<TrainSession> {
  const { config } = resolveDitConfig(about.config);
  const weights = await openTensors(path(model, 'weights', 'safetensors'));
  return TrainSession.load(await testResources(), config, weights.file);
}

async function batchOf(golden: GoldenFile): Promise<TrainBatch> {
  return {
    samples: golden.shape('latents')[0]!,
    latents: await golden.floats('latents'),
    captions: await golden.floats('captions'),
    rndNormal: await golden.floats('rnd_normal'),
    noise: await golden.floats('noise'),
    maskNoise: await golden.floats('mask_noise'),
    drop: await golden.floats('drop_caption_mask'),
  };
}

/** Fails unless a gradient equals its golden form, whole or compact (see the fixtures' README). */
async function expectGradient(
  golden: GoldenFile,
  name: string,
  values: Float32Array,
  bar: number,
): Promise<number> {
  if (golden.has(name)) return expectCloseL2(values, await golden.floats(name), bar, name).relativeL2;
  const sample = await golden.floats(`${name}.sample`);
  const picked = Float32Array.from(sample, (_, j) => values[(j * 1000003) % values.length]!);
  const norm = (await golden.floats(`${name}.l2`))[0]!;
  const own = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  expect(Math.abs(own - norm) / norm, `${name}: norm ${own} against ${norm}`).toBeLessThan(bar);
  return expectCloseL2(picked, sample, bar, `${name} (sample)`).relativeL2;
}

describeFixtures('training, golden gradients', () => {
  for (const model of ['micro-a', 'micro-b']) {
    for (const kind of ['masked', 'full'] as const) {
      test(`${model}, ${kind}: loss and gradient of every parameter`, async () => {
        const about = JSON.parse(readFileSync(path(model, 'grad', 'json'), 'utf8')) as {
          config: unknown;
          mask_ratio: number;
          p_mean: number;
          p_std: number;
        };
        const golden = await openTensors(path(model, 'grad', 'safetensors'));
        const session = await load(model, about);
        const settings = {
          maskRatio: kind === 'masked' ? about.mask_ratio : 0,
          pMean: about.p_mean,
          pStd: about.p_std,
        };
        const { loss, perSample, inputs } = await session.accumulate(await batchOf(golden), {
          ...settings,
          inputGradients: true,
        });
        const expected = (await golden.floats(`${kind}.loss`))[0]!;
        expect(Math.abs(loss - expected) / expected).toBeLessThan(1e-5);
        expectClose(perSample, await golden.floats(`${kind}.loss_per_sample`), 1e-5, 'loss per sample');
        expectClose(inputs.get('x_in')!, await golden.floats(`${kind}.x_in`), 1e-6, 'x_in');
        expectClose(inputs.get('y_in')!, await golden.floats(`${kind}.y_in`), 1e-6, 'y_in');
        let worst = { name: '', error: 0 };
        const check = async (name: string, values: Float32Array): Promise<void> => {
          const error = await expectGradient(golden, `${kind}.${name}`, values, 3e-4);
          if (error > worst.error) worst = { name, error };
        };
        const gradients = await session.values('grads');
        for (const [name, values] of gradients) await check(`grad.${name}`, values);
        await check('grad_x_in', inputs.get('grad_x_in')!);
        await check('grad_y_in', inputs.get('grad_y_in')!);
        const norm = (await golden.floats(`${kind}.grad_norm`))[0]!;
        expect(Math.abs((await session.gradNorm()) - norm) / norm).toBeLessThan(1e-5);
        report.push(
          `${model} ${kind}: loss off by ${(Math.abs(loss - expected) / expected).toExponential(1)}, ${gradients.size} gradients, worst relative L2 ${worst.error.toExponential(1)} (${worst.name})`,
        );
        session.dispose();
      });
    }
  }

  test('micro-a: steps 0 to 2 of the recorded run, in 1, 2 and 8 shards', async () => {
    const about = JSON.parse(readFileSync(path('micro-a', 'train20', 'json'), 'utf8')) as {
      config: unknown;
      train: unknown;
    };
    const golden = await openTensors(path('micro-a', 'train20', 'safetensors'));
    const settings = replaySettings(about.train);
    const expected = await golden.floats('loss');
    const norms = await golden.floats('grad_norm');
    const losses = new Map<number, number[]>();
    for (const shards of [1, 2, 8]) {
      const session = await load('micro-a', about);
      const lines = await replayRun(session, settings, golden.file, golden.file, {
        steps: 3,
        shard: settings.batch / shards,
      });
      for (const { step, loss, grad_norm: norm } of lines) {
        expect(
          Math.abs(loss - expected[step]!) / expected[step]!,
          `${shards} shards, step ${step}`,
        ).toBeLessThan(1e-5);
        expect(
          Math.abs(norm - norms[step]!) / norms[step]!,
          `norm, ${shards} shards, step ${step}`,
        ).toBeLessThan(1e-5);
      }
      const found = lines.map((line) => line.loss);
      losses.set(shards, found);
      session.dispose();
    }
    for (const shards of [2, 8]) {
      const { error } = difference(losses.get(shards)!, losses.get(1)!);
      expect(error, `${shards} shards against one`).toBeLessThan(1e-6);
      report.push(`micro-a replay: ${shards} shards differ from one by ${error.toExponential(1)}`);
    }
    report.push(
      `micro-a replay: losses off by ${losses
        .get(1)!
        .map((loss, i) => (Math.abs(loss - expected[i]!) / expected[i]!).toExponential(1))
        .join(', ')}`,
    );
  });

  test('micro-a: a step is its parts, and its figures come late', async () => {
    const about = JSON.parse(readFileSync(path('micro-a', 'train20', 'json'), 'utf8')) as {
      config: unknown;
      train: unknown;
    };
    const golden = await openTensors(path('micro-a', 'train20', 'safetensors'));
    const { loss: loss0, adamW, batch: count, clipNorm } = replaySettings(about.train);
    const optimizer = (step: number) => ({ ...adamW, lr: 1e-3, step });
    const settings = { ...loss0, shard: count / 2 };
    const batches = [
      await replayBatch(golden.file, golden.file, 0),
      await replayBatch(golden.file, golden.file, 1),
    ];

    const parts = await load('micro-a', about);
    await parts.startOptimizer({ maxNorm: clipNorm, ema: false });
    const expected = [];
    for (const [index, batch] of batches.entries()) {
      const { loss, perSample } = await parts.accumulate(batch, settings);
      expected.push({ gradNorm: await parts.update(optimizer(index + 1)), loss, perSample });
    }
    const weights = await parts.values('dit');
    parts.dispose();

    const whole = await load('micro-a', about);
    await expect(whole.step(batches[0]!, settings, optimizer(1))).rejects.toThrow(
      'an optimizer must be started',
    );
    await whole.startOptimizer({ maxNorm: clipNorm, ema: false });
    const late = [];
    for (const [index, batch] of batches.entries()) {
      late.push((await whole.step(batch, settings, optimizer(index + 1))).figures);
    }
    expect(await Promise.all(late)).toEqual(expected);
    expect(await whole.values('dit')).toEqual(weights);
    whole.dispose();
  });
});
