/**
 * A training run on the built-in emoji with a very small model: it learns, and a run that is saved, let go and resumed from
 * its checkpoint goes on with the same bits.
 */
import { resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openLatentsFile } from '../../src/data/latentsFile';
import type { Dataset } from '../../src/data/dataset';
import { parseTrainConfig } from '../../src/protocol/trainConfig';
import { TrainRun } from '../../src/sessions/trainRun';
import { nodeFolder } from '../../src/sources/node';
import { Checkpoints } from '../../src/store/checkpoints';
import { sizeConfig } from '../../src/train/presets';
import { trainRecipe, type TrainRecipe } from '../../src/train/recipe';
import { testResources, useTestGpu } from '../helpers/device';
import { FakeLocks, FakeStorage } from '../store/fakes';

useTestGpu();
afterEach(async () => (await testResources()).state.releaseAll());

const emoji = async (): Promise<Dataset> =>
  openLatentsFile(
    await nodeFolder(resolve(import.meta.dirname, '../../public/data/emoji-64')),
    'train.safetensors',
  );

/** Nano's little sister: two blocks of width 32, one of them with experts, and a mixer of two. */
const model = sizeConfig('Nano', {
  ...{ dim: 32, depth: 2, patch_mixer_depth: 2, patch_mixer_dim: 32, num_experts: 2 },
  ...{ qkv_multipliers: [1, 1], ffn_multipliers: [1, 2] },
});

function recipe(changes: object = {}): TrainRecipe {
  return trainRecipe(
    parseTrainConfig({
      model,
      seed: 5,
      train: {
        ...{ batch: 4, microbatch: 2, mask_ratio: 0.5, lr: 2e-3, max_duration: '100ba' },
        schedule: { kind: 'constant', warmup: '2ba', alpha: 1 },
        ema: { smoothing: 0.5, start: '2ba', every: '1ba' },
        ...changes,
      },
    }),
  );
}

interface Line {
  readonly step: number;
  readonly lr: number;
  readonly loss: number;
  readonly gradNorm: number;
}

async function steps(run: TrainRun, count: number): Promise<Line[]> {
  const done = [];
  for (let i = 0; i < count; i++) done.push(await run.next());
  return Promise.all(
    done.map(async ({ step, lr, figures }) => {
      const { loss, gradNorm } = await figures;
      return { step, lr, loss, gradNorm };
    }),
  );
}

async function allValues(run: TrainRun): Promise<Map<string, Uint8Array>> {
  const values = new Map<string, Uint8Array>();
  for await (const { group, name, bytes } of run.pieces()) values.set(`${group}:${name}`, bytes);
  return values;
}

async function save(run: TrainRun, checkpoints: Checkpoints): Promise<void> {
  const head = {
    ...{ step: run.step, counters: {}, cursor: run.cursor, evaluation: null, profile: null },
    ...{ program: 'test', groups: run.groups(), metrics: new Uint8Array(0) },
  };
  await checkpoints.save('run', head, run.pieces());
}

test('saved, let go and resumed: the same losses, weights, moments and average, bit for bit', async () => {
  const resources = await testResources();
  const dataset = await emoji();
  const checkpoints = new Checkpoints(new FakeStorage(), new FakeLocks());

  const first = await TrainRun.start(resources, recipe(), dataset);
  const before = await steps(first, 4);
  await save(first, checkpoints);
  const expected = await steps(first, 4);
  const values = await allValues(first);
  first.dispose();
  expect(resources.state.bytes()).toBe(0);

  // the schedule's first two steps are at rate 0, as upstream's
  expect(before.map(({ step, lr }) => [step, lr])).toEqual([
    ...[
      [0, 0],
      [1, 0],
      [2, 1e-3],
      [3, 2e-3],
    ],
  ]);
  expect(expected.map(({ step }) => step)).toEqual([4, 5, 6, 7]);
  for (const { loss, gradNorm } of [...before, ...expected]) {
    expect(loss).toBeGreaterThan(0.1);
    expect(gradNorm).toBeGreaterThan(0);
  }

  await checkpoints.read('run', async ({ checkpoint }) => {
    const { cursor, groups } = checkpoint.manifest;
    const run = await TrainRun.resume(resources, recipe(), dataset, {
      cursor: cursor as TrainRun['cursor'],
      groups: groups as ReturnType<TrainRun['groups']>,
      pieces: checkpoint.pieces(),
    });
    expect(run.step).toBe(4);
    expect(await steps(run, 4)).toEqual(expected);
    const resumed = await allValues(run);
    expect([...resumed.keys()]).toEqual([...values.keys()]);
    for (const [name, bytes] of values) expect(resumed.get(name), name).toEqual(bytes);
    run.dispose();
  });
});

test('a cancelled step has changed nothing and is made again', async () => {
  const resources = await testResources();
  const dataset = await emoji();
  const run = await TrainRun.start(resources, recipe(), dataset);
  const cancelled = new AbortController();
  cancelled.abort();
  await expect(run.next(cancelled.signal)).rejects.toMatchObject({ code: 'cancelled' });
  expect(run.step).toBe(0);
  const [line] = await steps(run, 1);
  run.dispose();
  const other = await TrainRun.start(resources, recipe(), dataset);
  expect((await steps(other, 1))[0]).toEqual(line);
  other.dispose();
});

test('data and checkpoints of another model are refused, and nothing stays', async () => {
  const resources = await testResources();
  const dataset = await emoji();
  const wide = { ...recipe(), model: { ...model, caption_channels: 64 } };
  await expect(TrainRun.start(resources, wide, dataset)).rejects.toThrow(
    "captions must have the model's width 64: [16, 96]",
  );
  const large = { ...recipe(), model: { ...model, input_size: 32 } };
  await expect(TrainRun.start(resources, large, dataset)).rejects.toThrow(
    "latents must be the model's [4, 32, 32]: they are [4, 16, 16]",
  );
  const run = await TrainRun.start(resources, recipe(), dataset);
  const { cursor } = run;
  const groups = run.groups();
  run.dispose();
  const none = (async function* () {})();
  const without = groups.filter(({ name }) => name !== 'ema');
  await expect(
    TrainRun.resume(resources, recipe(), dataset, { cursor, groups: without, pieces: none }),
  ).rejects.toThrow('checkpoint: must have the groups dit, m, v, ema: it has dit, m, v');
  const renamed = groups.map((group) => ({ ...group, tensors: group.tensors.slice(1) }));
  await expect(
    TrainRun.resume(resources, recipe(), dataset, { cursor, groups: renamed, pieces: none }),
  ).rejects.toThrow('checkpoint: dit:pos_embed must be f32');
  expect(resources.state.bytes()).toBe(0);
});
