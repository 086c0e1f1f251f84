/**
 * What each key of upstream's configuration files becomes here, or why it becomes nothing.
 */
import { isMapping } from './yamlFile';
import { smoothingOfHalfLife } from './ema';
import { parseDuration } from '../protocol/duration';

/** What a rule may ask and say while it converts a value. */
export interface KeyContext {
  /** Another value of the file by its path, references resolved. */
  readonly at: (path: string) => unknown;
  /** @throws FormatError naming the key and its value */
  readonly refuse: (rule: string) => never;
  readonly note: (text: string) => void;
}

/** From a key's value to settings by path. undefined: the default stays. */
export type KeyRule = (value: unknown, context: KeyContext) => Record<string, unknown>;

const to =
  (setting: string): KeyRule =>
  (value) => ({ [setting]: value });

/** A key that only one value is known of. */
const only =
  (...known: readonly unknown[]): KeyRule =>
  (value, { refuse }) =>
    known.includes(value) ? {} : refuse(`must be ${known.map((item) => JSON.stringify(item)).join(' or ')}`);

/** Composer's times: a text with a unit, or whole epochs. */
const duration = (value: unknown): unknown =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? `${value}ep` : value;

/** As a duration; 0 is never. */
const interval = (value: unknown): unknown => {
  const never = value === 0 || (typeof value === 'string' && parseDuration(value)?.value === 0);
  return never ? null : duration(value);
};

const list = (value: unknown): unknown => (typeof value === 'string' ? [value] : value);

const schedulers: Record<string, Record<string, unknown>> = {
  CosineAnnealingWithWarmupScheduler: { kind: 'cosine', warmup: undefined, alpha: 0 },
  CosineAnnealingScheduler: { kind: 'cosine', warmup: '0ba', alpha: 0 },
  ConstantWithWarmupScheduler: { kind: 'constant', warmup: undefined, alpha: 1 },
  ConstantScheduler: { kind: 'constant', warmup: '0ba', alpha: 1 },
};

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The last part of a dotted Python name. */
const className = (value: unknown): string => textOf(value).split('.').at(-1) ?? '';

const scheduler: KeyRule = (value, { refuse, at }) => {
  const known = schedulers[className(value)];
  if (!known) return refuse(`must be one of ${Object.keys(schedulers).join(', ')}`);
  // Composer's own defaults: what the file leaves out is not upstream's stage but these.
  return {
    'train.schedule.kind': known.kind,
    'train.schedule.warmup':
      known.warmup ?? (at('scheduler.t_warmup') === undefined ? refuse('needs t_warmup') : undefined),
    'train.schedule.alpha':
      at('scheduler.alpha_f') === undefined && at('scheduler.alpha') === undefined ? known.alpha : undefined,
  };
};

/** A key that belongs to schedules of one kind. */
const ofSchedule =
  (
    setting: string,
    kind: 'cosine' | 'constant',
    convert: (value: unknown) => unknown = (value) => value,
  ): KeyRule =>
  (value, { at, refuse }) => {
    const name = className(at('scheduler._target_'));
    if (schedulers[name]?.kind !== kind)
      return refuse(`belongs to schedules that are ${kind}, not to ${name || 'none'}`);
    return { [setting]: convert(value) };
  };

const warmup: KeyRule = (value, { at, refuse }) => {
  const name = className(at('scheduler._target_'));
  if (!/WithWarmup/.test(name)) return refuse(`belongs to schedules with warm-up, not to ${name || 'none'}`);
  return { 'train.schedule.warmup': value === 0 ? '0ba' : duration(value) };
};

const ema: KeyRule = (value, { refuse, note }) => {
  if (value === null) return {};
  if (!isMapping(value)) return refuse('must be a mapping');
  const known = ['_target_', 'half_life', 'smoothing', 'update_interval', 'ema_start'];
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined) return refuse(`has ${known.join(', ')} and no ${other}`);
  const every = value.update_interval ?? '1ba';
  let { smoothing } = value;
  if (value.half_life != null) {
    if (smoothing != null) return refuse('has smoothing or half_life, not both');
    const half = parseDuration(textOf(value.half_life));
    const step = parseDuration(textOf(every));
    if (!half || !step || half.unit !== step.unit || half.value === 0 || step.value === 0) {
      return refuse('half_life and update_interval must be durations above zero in one unit');
    }
    smoothing = smoothingOfHalfLife(half.value, step.value);
  }
  if (smoothing == null) return refuse('needs smoothing or half_life');
  note(
    "upstream's trainer knows no moving average and runs without one; here it is kept beside the weights, which train the same",
  );
  return {
    'train.ema.smoothing': smoothing,
    'train.ema.start': value.ema_start == null ? undefined : duration(value.ema_start),
    'train.ema.every': duration(every),
  };
};

const clip: KeyRule = (value, { refuse }) => {
  if (value === null) return { 'train.clip_norm': 0 };
  if (!isMapping(value)) return refuse('must be a mapping');
  const known = ['clipping_type', 'clip_norm', 'clipping_threshold'];
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined) return refuse(`has ${known.join(', ')} and no ${other}`);
  if ((value.clipping_type ?? 'norm') !== 'norm') return refuse('clipping_type must be "norm"');
  return { 'train.clip_norm': value.clip_norm ?? value.clipping_threshold ?? refuse('needs clip_norm') };
};

const imageSize: KeyRule = (value, { at, refuse }) => {
  const latents = at('model.latent_res') ?? 32;
  return value === 8 * Number(latents)
    ? {}
    : refuse(`must be eight times model.latent_res ${JSON.stringify(latents)}`);
};

/** Keys with a meaning here. The rule of a mapping takes all of it. */
export const settingKeys: ReadonlyMap<string, KeyRule> = new Map<string, KeyRule>([
  ['exp_name', to('name')],
  ['seed', to('seed')],
  ['algorithms.ema', ema],
  ['algorithms.gradient_clipping', clip],
  ['model.vae_name', to('data.vae')],
  ['model.text_encoder_name', to('data.text_encoder')],
  ['model.dit_arch', to('model.arch')],
  ['model.precomputed_latents', only(true)],
  ['model.in_channels', to('model.in_channels')],
  ['model.pos_interp_scale', to('model.pos_interp_scale')],
  ['model.latent_res', to('model.input_size')],
  ['model.p_mean', to('train.p_mean')],
  ['model.p_std', to('train.p_std')],
  ['model.train_mask_ratio', to('train.mask_ratio')],
  ['dataset.image_size', imageSize],
  ['dataset.train_batch_size', to('train.batch')],
  ['dataset.eval_batch_size', to('eval.batch')],
  ['dataset.cap_drop_prob', to('data.caption_drop')],
  ['dataset.train.datadir', (value) => ({ 'data.train': list(value) })],
  ['dataset.train.shuffle', to('data.shuffle')],
  ['dataset.train.drop_last', to('data.drop_last')],
  ['dataset.eval.datadir', (value) => ({ 'data.eval': list(value) })],
  ['optimizer._target_', (value) => ({ 'train.optimizer': className(value) || value })],
  ['optimizer.lr', to('train.lr')],
  ['optimizer.weight_decay', to('train.weight_decay')],
  ['optimizer.eps', to('train.eps')],
  ['optimizer.betas', to('train.betas')],
  ['scheduler._target_', scheduler],
  ['scheduler.t_warmup', warmup],
  ['scheduler.t_max', ofSchedule('train.schedule.t_max', 'cosine', duration)],
  ['scheduler.alpha_f', ofSchedule('train.schedule.alpha', 'cosine')],
  ['scheduler.alpha', ofSchedule('train.schedule.alpha', 'constant')],
  ['callbacks.image_monitor.prompts', to('sample.prompts')],
  ['callbacks.image_monitor.guidance_scale', to('sample.guidance')],
  ['callbacks.image_monitor.sampling_steps', to('sample.steps')],
  ['callbacks.image_monitor.seed', to('sample.seed')],
  ['trainer.max_duration', (value) => ({ 'train.max_duration': duration(value) })],
  [
    'trainer.eval_interval',
    // Upstream draws its pictures in the first batch of an evaluation.
    (value) => ({ 'eval.every': interval(value), 'sample.every': interval(value) }),
  ],
  ['trainer.save_interval', (value) => ({ 'save.every': interval(value) })],
  ['trainer.save_num_checkpoints_to_keep', to('save.keep')],
  ['trainer.device_train_microbatch_size', to('train.microbatch')],
  [
    'trainer.seed',
    (value, { at, refuse }) =>
      at('seed') === undefined || at('seed') === value
        ? { seed: value }
        : refuse('must be the seed of the file'),
  ],
  ['trainer.load_path', to('start.from')],
  ['trainer.load_weights_only', to('start.weights_only')],
  ['trainer.load_strict_model_weights', to('start.strict')],
  ['trainer.load_ignore_keys', (value) => ({ 'start.ignore': value === null ? [] : list(value) })],
]);

/** Keys that are understood and not used. The first that fits is taken, before the settings. */
export const ignoredKeys: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  {
    pattern: /^(model|dataset\.(train|eval)|trainer|callbacks\.image_monitor)\._target_$/,
    reason: 'names a Python class; what it does here is fixed',
  },
  {
    pattern: /^algorithms\.low_precision_layernorm$/,
    reason: 'a speed-up of bf16 training; layer norms are f32 here',
  },
  { pattern: /^model\.dtype$/, reason: 'bf16 autocast; arithmetic is f32 here' },
  {
    pattern: /^dataset\.(train|eval)\.(num_workers|prefetch_factor|persistent_workers|pin_memory)$/,
    reason: 'workers of the PyTorch loader; data are read ahead here by themselves',
  },
  {
    pattern: /^dataset\.eval\.(shuffle|drop_last)$/,
    reason: 'an evaluation takes all samples in their order here; the mean is the same',
  },
  { pattern: /^logger$/, reason: 'loggers; the page draws the curves and the log is a file' },
  {
    pattern: /^callbacks\.(speed_monitor|lr_monitor|runtime_estimator|optimizer_monitor)$/,
    reason: 'a monitor; speed, rate, time left and norms are always recorded here',
  },
  { pattern: /^callbacks\.nan_catcher$/, reason: 'always on here' },
  { pattern: /^trainer\.device$/, reason: 'the device is the one that the page or --adapter chose' },
  {
    pattern: /^trainer\.(fsdp_config|parallelism_config|deepspeed_config)$/,
    reason: 'sharding over several GPUs; there is one device here',
  },
  {
    pattern: /^trainer\.(run_name|save_folder|save_overwrite|autoresume)$/,
    reason: 'where files go; the page keeps runs in the browser, the command line in --out',
  },
  {
    pattern: /^misc\.compile$/,
    reason:
      'nothing is compiled here; upstream neither evaluates nor draws pictures with it, here both happen as the file says',
  },
  { pattern: /^defaults$|^hydra(\.|$)/, reason: "the launcher's own settings" },
];
