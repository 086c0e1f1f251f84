/**
 * From settings to the numbers that a training step takes: durations become batches, and what one field alone cannot
 * tell is checked.
 */
import { InputError } from '../core/errors';
import { ditLayout, resolveDitConfig } from '../models/dit/config';
import { parseDuration } from '../protocol/duration';
import type { DitConfig } from '../protocol/schemas';
import type { TrainConfig } from '../protocol/trainConfig';
import type { EmaTiming } from './ema';
import { keptTokens } from './patchMask';
import type { Schedule } from './schedule';

/** What durations other than batches depend on. */
export interface DurationScale {
  /** Samples per batch. */
  readonly batch: number;
  /** Batches per epoch of the data; absent: not known, and "ep" is refused. */
  readonly epoch?: number;
  /** Batches of the whole run; absent: "dur" is refused. */
  readonly run?: number;
}

/**
 * A duration in whole batches: samples are rounded up, shares of the run down, as Composer counts.
 * @throws InputError naming `what` when the scale does not say how long the unit is
 */
export function durationBatches(text: string, scale: DurationScale, what: string): number {
  const duration = parseDuration(text);
  if (!duration)
    throw new InputError(`${what}: a number with a unit, ba, ep, sp or dur: ${JSON.stringify(text)}`);
  const { value, unit } = duration;
  switch (unit) {
    case 'ba':
      return value;
    case 'sp':
      return Math.ceil(value / scale.batch);
    case 'ep':
      if (scale.epoch === undefined)
        throw new InputError(`${what}: epochs need the size of the data: ${text}`);
      return value * scale.epoch;
    case 'dur':
      if (scale.run === undefined) throw new InputError(`${what}: a length, not a share of itself: ${text}`);
      return Math.floor(value * scale.run);
  }
}

/** Batches between two things that happen at intervals: at least one; null for never. */
function intervalBatches(text: string | null, scale: DurationScale, what: string): number | null {
  return text === null ? null : Math.max(1, durationBatches(text, scale, what));
}

/** The numbers of a run. Everything in batches, counted over the whole run. */
export interface TrainRecipe {
  readonly model: DitConfig;
  readonly seed: bigint;
  readonly batch: number;
  /** Samples per shard; null: what fits. */
  readonly microbatch: number | null;
  /** The count at which the run ends. */
  readonly batches: number;
  readonly lr: number;
  readonly schedule: Schedule;
  /** Composer's off-by-one of the schedule. */
  readonly lag: boolean;
  readonly adamW: {
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly weightDecay: number;
  };
  /** 0: no clipping. */
  readonly clipNorm: number;
  readonly loss: { readonly maskRatio: number; readonly pMean: number; readonly pStd: number };
  readonly captionDrop: number;
  readonly ema: Required<EmaTiming> | null;
  readonly every: {
    readonly evaluate: number | null;
    readonly save: number | null;
    readonly snapshot: number | null;
    readonly sample: number | null;
  };
}

/**
 * The recipe of a run.
 * @param epoch batches per epoch of the data, when known
 * @throws FormatError for a model that is none
 * @throws InputError for a microbatch that does not divide the batch, a mask that keeps nothing, a warm-up longer than the
 *   cosine, or epochs without `epoch`
 */
export function trainRecipe(config: TrainConfig, epoch?: number): TrainRecipe {
  const { train, save } = config;
  const { config: model } = resolveDitConfig(config.model, 'model');
  const { batch } = train;
  const microbatch = train.microbatch === 'auto' ? null : train.microbatch;
  if (microbatch !== null && batch % microbatch !== 0) {
    throw new InputError(`train.microbatch: must divide the batch of ${batch}: ${microbatch}`);
  }
  if (train.mask_ratio > 0) keptTokens(ditLayout(model).tokens, train.mask_ratio);
  const part = epoch === undefined ? { batch } : { batch, epoch };
  const batches = durationBatches(train.max_duration, part, 'train.max_duration');
  const scale = { ...part, run: batches };
  const interval = (text: string | null, what: string): number | null => intervalBatches(text, scale, what);
  const { ema } = train;
  return {
    model,
    seed: BigInt(config.seed),
    batch,
    microbatch,
    batches,
    lr: train.lr,
    schedule: batchSchedule(train.schedule, scale),
    lag: train.schedule.composer_lag,
    adamW: {
      beta1: train.betas[0],
      beta2: train.betas[1],
      eps: train.eps,
      weightDecay: train.weight_decay,
    },
    clipNorm: train.clip_norm,
    loss: { maskRatio: train.mask_ratio, pMean: train.p_mean, pStd: train.p_std },
    captionDrop: config.data.caption_drop,
    ema: ema && {
      smoothing: ema.smoothing,
      start: durationBatches(ema.start, scale, 'train.ema.start'),
      every: Math.max(1, durationBatches(ema.every, scale, 'train.ema.every')),
    },
    every: {
      evaluate: interval(config.eval.every, 'eval.every'),
      save: interval(save.every, 'save.every'),
      snapshot: interval(save.snapshot_every, 'save.snapshot_every'),
      sample: interval(config.sample.every, 'sample.every'),
    },
  };
}

function batchSchedule(
  settings: TrainConfig['train']['schedule'],
  scale: Required<Pick<DurationScale, 'run'>> & DurationScale,
): Schedule {
  const warmup = durationBatches(settings.warmup, scale, 'train.schedule.warmup');
  if (settings.kind === 'constant') return { kind: 'constant', warmup, alpha: settings.alpha };
  const tMax = durationBatches(settings.t_max, scale, 'train.schedule.t_max');
  if (tMax <= warmup) {
    throw new InputError(
      `train.schedule.warmup: must be shorter than the cosine of ${tMax} batches: ${settings.warmup}`,
    );
  }
  return { kind: 'cosine', warmup, tMax, alphaF: settings.alpha };
}
