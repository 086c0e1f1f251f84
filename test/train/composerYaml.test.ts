/** Upstream's configuration files, in their shape and with their numbers, and what is refused. */
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseTrainConfig } from '../../src/protocol/trainConfig';
import { readTrainConfig } from '../../src/train/composerYaml';
import { applyOverrides } from '../../src/train/overrides';
import { stageConfig, type StageName } from '../../src/train/presets';
import { trainRecipe } from '../../src/train/recipe';

interface Stage {
  readonly mask: number;
  readonly res: number;
  readonly scale: number;
  readonly mean: number;
  readonly std: number;
  readonly lr: string;
  readonly scheduler: string;
  readonly clip: number;
  readonly ema?: string;
  readonly length: string;
  readonly micro: number;
  readonly every: string;
  readonly sets: readonly string[];
  readonly load?: string;
}

const resume = `
  load_ignore_keys: ["state/optimizers/AdamW/param_groups/initial_lr", "state/optimizers/AdamW/param_groups/lr",
    "state/schedulers/LambdaLR/base_lrs", "state/schedulers/LambdaLR/_last_lr"]`;
const all = ['sa1b', 'cc12m', 'textcaps', 'jdb/train', 'diffdb'];
const large = ['sa1b', 'cc12m_minres512', 'textcaps', 'jdb/train'];
const average = (smoothing: number, start: string): string =>
  `{_target_: diffusion.algorithms.ema.EMA, half_life: null, smoothing: ${smoothing}, update_interval: 1ba, ema_start: ${start}}`;

const stages: Record<StageName, Stage> = {
  '256-pretrain': {
    ...{ mask: 0.75, res: 32, scale: 1, mean: -0.6, std: 1.2, lr: '2.4e-4', clip: 0.25, sets: all },
    ...{ length: '250000ba', micro: 256, every: '2500ba' },
    scheduler:
      '{_target_: composer.optim.CosineAnnealingWithWarmupScheduler, t_warmup: 2500ba, alpha_f: 0.33}',
  },
  '256-finetune': {
    ...{ mask: 0, res: 32, scale: 1, mean: -0.6, std: 1.2, lr: '8e-5', clip: 0.25, sets: all },
    ...{ length: '280000ba', micro: 64, every: '2500ba', load: `${resume}` },
    scheduler: '{_target_: composer.optim.ConstantScheduler, alpha: 1.0}',
  },
  '512-pretrain': {
    ...{ mask: 0.75, res: 64, scale: 2, mean: 0, std: 0.6, lr: '8e-5', clip: 0.5, sets: large },
    ...{ length: '50000ba', micro: 32, every: '2500ba', ema: average(0.99975, '25000ba') },
    scheduler: '{_target_: composer.optim.ConstantWithWarmupScheduler, t_warmup: 500ba, alpha: 1.0}',
    load: `
  load_weights_only: true
  load_strict_model_weights: false
  load_ignore_keys: ["state/model/dit.pos_embed"]`,
  },
  '512-finetune': {
    ...{ mask: 0, res: 64, scale: 2, mean: 0, std: 0.6, lr: '8e-5', clip: 0.5, sets: large },
    ...{ length: '55000ba', micro: 16, every: '500ba', ema: average(0.9975, '1000ba') },
    scheduler: '{_target_: composer.optim.ConstantScheduler, alpha: 1.0}',
    load: `
  load_strict_model_weights: false${resume}`,
  },
};

const yamlOf = (name: string, s: Stage): string => `
exp_name: ${name}
seed: 18
algorithms:
${s.ema ? `  ema: ${s.ema}\n` : ''}  low_precision_layernorm:
    precision: amp_bf16
  gradient_clipping:
    clipping_type: norm
    clip_norm: ${s.clip}
model:
  _target_: micro_diffusion.models.model.create_latent_diffusion
  vae_name: stabilityai/stable-diffusion-xl-base-1.0
  text_encoder_name: openclip:hf-hub:apple/DFN5B-CLIP-ViT-H-14-378
  dit_arch: MicroDiT_XL_2
  precomputed_latents: true
  in_channels: 4
  pos_interp_scale: ${s.scale.toFixed(1)}
  dtype: 'bfloat16'
  latent_res: ${s.res}
  p_mean: ${s.mean}
  p_std: ${s.std}
  train_mask_ratio: ${s.mask}
dataset:
  image_size: ${8 * s.res} # pixels
  train_batch_size: 2048
  eval_batch_size: 1024
  cap_drop_prob: 0.1
  train: &loader
    _target_: micro_diffusion.datasets.latents_loader.build_streaming_latents_dataloader
    datadir: [${s.sets.join(', ')}]
    drop_last: true
    shuffle: true
    prefetch_factor: 2
    num_workers: 2
    persistent_workers: true
    pin_memory: true
  eval:
    <<: *loader
    datadir: coco2014
    drop_last: false
optimizer:
  _target_: torch.optim.AdamW
  lr: ${s.lr}
  weight_decay: 0.1
  eps: 1.0e-8
  betas:
    - 0.9
    - 0.999
scheduler: ${s.scheduler}
logger:
  progress:
    _target_: composer.loggers.TensorboardLogger
callbacks:
  speed_monitor: {_target_: composer.callbacks.speed_monitor.SpeedMonitor, window_size: 3}
  lr_monitor: {_target_: composer.callbacks.lr_monitor.LRMonitor}
  runtime_estimator: {_target_: composer.callbacks.runtime_estimator.RuntimeEstimator}
  optimizer_monitor: {_target_: composer.callbacks.OptimizerMonitor}
  image_monitor:
    _target_: micro_diffusion.models.callbacks.LogDiffusionImages
    prompts:
      - a lighthouse in the fog
      - three red apples
    guidance_scale: 5
    sampling_steps: 30
    seed: \${seed}
  nan_catcher: {_target_: micro_diffusion.models.callbacks.NaNCatcher}
trainer:
  _target_: composer.Trainer
  device: gpu
  max_duration: ${s.length}
  eval_interval: ${s.every}
  save_interval: ${s.every}
  save_num_checkpoints_to_keep: 1
  device_train_microbatch_size: ${s.micro}
  run_name: \${exp_name}
  seed: \${seed}
  save_folder: ./trained_models/\${exp_name}/${s.load ?? ''}
  save_overwrite: true
  autoresume: false
  fsdp_config:
    sharding_strategy: "SHARD_GRAD_OP"
misc:
  compile: true
`;

describe("upstream's files", () => {
  test.each(Object.entries(stages))('%s gives the stage', (name, stage) => {
    const { config, unknown, notes, unused } = readTrainConfig(yamlOf(name, stage));
    const expected = stageConfig(name as StageName);
    expect(config).toEqual({
      ...expected,
      model: { ...expected.model, in_channels: 4 },
      sample: { ...expected.sample, prompts: ['a lighthouse in the fog', 'three red apples'] },
    });
    expect(unknown).toEqual([]);
    expect(
      notes.some((note) => /algorithms.ema: upstream's trainer knows no moving average/.test(note)),
    ).toBe(stage.ema !== undefined);
    expect(unused.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        ...['algorithms.low_precision_layernorm', 'model.dtype', 'dataset.train.num_workers', 'logger'],
        ...['callbacks.nan_catcher', 'trainer.fsdp_config', 'trainer.save_folder', 'misc.compile'],
      ]),
    );
    for (const { path, reason } of unused) expect(reason.length, path).toBeGreaterThan(10);
    expect(() => trainRecipe(config)).not.toThrow();
  });

  const base = yamlOf('run', stages['256-pretrain']);
  const read = (from: string | RegExp, into: string): ReturnType<typeof readTrainConfig> => {
    const changed = base.replace(from, into);
    if (changed === base) throw new Error(`nothing replaced: ${String(from)}`);
    return readTrainConfig(changed, 'run.yaml');
  };

  test('unknown keys are listed, at any depth, those without a value too', () => {
    const { unknown } = read('seed: 18\n', 'seed: 18\nextra: {deep: {er: 1}, other: [1, 2]}\nempty:\n');
    expect(unknown).toEqual(['extra.deep.er', 'extra.other', 'empty']);
    expect(read('  device: gpu', '  device: gpu\n  precision: amp_fp16').unknown).toEqual([
      'trainer.precision',
    ]);
    expect(read('  in_channels: 4', '  in_channels: 4\n  __proto__: {a: 1}').unknown).toEqual([
      'model.__proto__.a',
    ]);
  });

  test('every leaf of the file ends in one place', () => {
    const { unknown, unused } = read('misc:', 'surplus: 1\nmisc:');
    expect(unknown).toEqual(['surplus']);
    expect(new Set(unused.map(({ path }) => path)).size).toBe(unused.length);
  });

  test.each([
    ['lr: 2.4e-4', 'lr: fast', 'run.yaml: optimizer.lr: expected number, received string: "fast"'],
    ['lr: 2.4e-4', 'lr: -1', 'run.yaml: optimizer.lr: '],
    [
      'max_duration: 250000ba',
      'max_duration: long',
      'run.yaml: trainer.max_duration: must be a number with a unit',
    ],
    ['dit_arch: MicroDiT_XL_2', 'dit_arch: DiT_XL', 'run.yaml: model.dit_arch: '],
    ['- 0.999', '- 1.5', 'run.yaml: optimizer.betas.1: '],
    ['torch.optim.AdamW', 'torch.optim.SGD', 'run.yaml: optimizer._target_: must be "AdamW": "SGD"'],
    [
      'CosineAnnealingWithWarmupScheduler',
      'PolynomialScheduler',
      'run.yaml: scheduler._target_: must be one of',
    ],
    ['alpha_f: 0.33', 'alpha: 0.33', 'run.yaml: scheduler.alpha: belongs to schedules that are constant'],
    [', t_warmup: 2500ba', '', 'run.yaml: scheduler._target_: needs t_warmup'],
    [
      'image_size: 256',
      'image_size: 512',
      'run.yaml: dataset.image_size: must be eight times model.latent_res 32: 512',
    ],
    [
      'precomputed_latents: true',
      'precomputed_latents: false',
      'run.yaml: model.precomputed_latents: must be true: false',
    ],
    [
      'clipping_type: norm',
      'clipping_type: value',
      'run.yaml: algorithms.gradient_clipping: clipping_type must be "norm"',
    ],
    ['train_mask_ratio: 0.75', 'train_mask_ratio: 1', 'run.yaml: model.train_mask_ratio: '],
    [
      '  seed: ${seed}\n  save',
      '  seed: 3\n  save',
      'run.yaml: trainer.seed: must be the seed of the file: 3',
    ],
    [
      '  seed: ${seed}\n  save',
      '  seed: ${sed}\n  save',
      'run.yaml: trainer.seed: a reference names another key of the file: ${sed}',
    ],
    ['exp_name: run', 'exp_name: ${oc.env:HOME}', 'run.yaml: exp_name: a reference names another key'],
    ['exp_name: run', 'exp_name: ${exp_name}', 'run.yaml: exp_name: references must not lead in a circle'],
    [
      'exp_name: run',
      'exp_name: run\nexp_name: again',
      'line 3, column 1: not YAML that is read here: Map keys must be unique',
    ],
    ['seed: 18', 'seed: !!python/object:os.system 18', 'not YAML that is read here: Unresolved tag'],
    ['seed: 18', 'seed: [18', 'not YAML that is read here: '],
    ['exp_name: run', 'defaults: [other]', 'run.yaml: defaults: one file is read'],
  ])('%j as %j is refused', (from, into, message) => {
    expect(() => read(from, into)).toThrow(message);
  });

  test('aliases that multiply are refused, and text without end', () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 0; i < 8; i++) {
      const [from, into] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
      bomb.push(`${into}: &${into} [${new Array<string>(10).fill(`*${from}`).join(', ')}]`);
    }
    expect(() => readTrainConfig(`trainer: {}\n${bomb.join('\n')}`)).toThrow(/Excessive alias count/);
    expect(() => readTrainConfig(`name: ${'x'.repeat(1 << 20)}`)).toThrow(/at most 1048576 characters/);
    expect(() => readTrainConfig('['.repeat(100_000))).toThrow(/not YAML that is read here/);
    expect(() => readTrainConfig('- 1')).toThrow('configuration: a configuration is a mapping of keys');
  });

  test('whole numbers are epochs, 0 is never', () => {
    const { config } = read('eval_interval: 2500ba', 'eval_interval: 0');
    expect([config.eval.every, config.sample.every]).toEqual([null, null]);
    const epochs = read('max_duration: 250000ba', 'max_duration: 3').config;
    expect(epochs.train.max_duration).toBe('3ep');
    expect(trainRecipe(epochs, 1000).batches).toBe(3000);
    expect(() => trainRecipe(epochs)).toThrow('train.max_duration: epochs need the size of the data: 3ep');
  });

  test('a half-life is a smoothing', () => {
    const average = 'algorithms:\n  ema: {half_life: 100ba, update_interval: 10ba}\n';
    const { config } = read('algorithms:\n', average);
    expect(config.train.ema).toMatchObject({ start: '0ba', every: '10ba' });
    expect(config.train.ema!.smoothing ** 10).toBeCloseTo(0.5, 12);
    expect(() =>
      read('algorithms:\n', 'algorithms:\n  ema: {half_life: 1ep, update_interval: 1ba}\n'),
    ).toThrow(/algorithms.ema: half_life and update_interval/);
    expect(() => read('algorithms:\n', 'algorithms:\n  ema: {smooth: 1}\n')).toThrow(/and no smooth/);
  });
});

test('our own form is read back as it was written', () => {
  const config = stageConfig('512-finetune');
  const read = readTrainConfig(stringify(config), 'mine.yaml');
  expect(read).toEqual({ config, unused: [], unknown: [], notes: [] });
  expect(() => readTrainConfig('train: {lr: 1e-3, batchsize: 4}', 'mine.yaml')).toThrow(
    /^mine.yaml: train: .*batchsize/,
  );
});

describe('--set', () => {
  const config = parseTrainConfig({});
  const set = (...overrides: string[]): ReturnType<typeof applyOverrides> =>
    applyOverrides(config, overrides);

  test('values as YAML writes them', () => {
    expect(set('train.lr=1e-3').train.lr).toBe(1e-3);
    expect(set('train.betas=[0.9, 0.95]').train.betas).toEqual([0.9, 0.95]);
    expect(set('train.max_duration=100ba').train.max_duration).toBe('100ba');
    expect(set('data.shuffle=false').data.shuffle).toBe(false);
    expect(set('eval.every=null').eval.every).toBeNull();
    expect(set('name=2026').name).toBe('2026');
    expect(set('name=a=b').name).toBe('a=b');
    expect(set('train.microbatch=8', 'train.microbatch=auto').train.microbatch).toBe('auto');
    expect(set('model.arch=MicroDiT_Tiny_2').model.arch).toBe('MicroDiT_Tiny_2');
    expect(config).toEqual(parseTrainConfig({}));
  });

  test('a part of the moving average starts one', () => {
    expect(set('train.ema.smoothing=0.9').train.ema).toEqual({ smoothing: 0.9, start: '0ba', every: '1ba' });
    expect(set('train.ema.smoothing=0.9', 'train.ema=null').train.ema).toBeNull();
  });

  test.each([
    ['train.lr', '--set: a path, "=" and a value: "train.lr"'],
    ['=3', '--set: a path'],
    ['train.rate=3', '--set: a setting of the run, such as train.lr: train.rate'],
    ['lr=3', '(there is train.lr): lr'],
    ['train.schedule=3', '(there is train.schedule.kind'],
    ['train.lr=fast', '--set: train.lr: expected number, received string: "fast"'],
    ['train.lr=null', '--set: train.lr: expected number'],
    ['train.mask_ratio=2', '--set: train.mask_ratio: '],
    ['__proto__.x=1', '--set: a setting of the run'],
    ['model.patch_size=4', '--set: model.patch_size: must be 2: 4'],
  ])('%s is refused', (override, message) => expect(() => set(override)).toThrow(message));
});

describe('recipe', () => {
  const config = parseTrainConfig({});

  test('numbers of the first stage', () => {
    expect(trainRecipe(config)).toMatchObject({
      ...{
        seed: 18n,
        batch: 2048,
        microbatch: null,
        batches: 250_000,
        lr: 2.4e-4,
        lag: true,
        clipNorm: 0.25,
      },
      schedule: { kind: 'cosine', warmup: 2500, tMax: 250_000, alphaF: 0.33 },
      adamW: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 },
      loss: { maskRatio: 0.75, pMean: -0.6, pStd: 1.2 },
      ema: null,
      every: { evaluate: 2500, save: 2500, snapshot: 100, sample: 2500 },
    });
  });

  test('other units', () => {
    const changed = applyOverrides(config, [
      'train.max_duration=10ep',
      'train.schedule.warmup=0.1dur',
      'train.ema.start=4097sp',
      'save.every=1ep',
      'sample.every=null',
    ]);
    expect(trainRecipe(changed, 30)).toMatchObject({
      batches: 300,
      schedule: { warmup: 30, tMax: 300 },
      ema: { start: 3, every: 1 },
      every: { save: 30, sample: null },
    });
  });

  test.each([
    ['train.microbatch=1000', 'train.microbatch: must divide the batch of 2048: 1000'],
    ['train.mask_ratio=0.999', 'mask ratio: at least one of 256 patches stays'],
    [
      'train.schedule.warmup=250000ba',
      'train.schedule.warmup: must be shorter than the cosine of 250000 batches',
    ],
    ['train.max_duration=1dur', 'train.max_duration: a length, not a share of itself: 1dur'],
    ['model.dim=1000', 'model: dim: must be a multiple of head_dim 64: 1000'],
  ])('%s is refused', (override, message) => {
    expect(() => trainRecipe(applyOverrides(config, [override]))).toThrow(message);
  });
});
