/**
 * Recorded runs: the draws of every step in a tensor file, and the settings beside it. What `train --replay` reads.
 *
 * The data set is `data.latents` [M, C, h, w] and `data.captions` [M, 1, L, C]; draws are per step (`step{i}.sample_ids`,
 * `.rnd_normal`, `.noise`, `.mask_noise`, `.drop`) or stacked (`sample_ids` [S, B], ...).
 */
import { FormatError, NotFoundError } from '../core/errors';
import { findTensor, loadFloats, loadInts, type TensorFile } from '../formats/tensorFile';
import { z } from '../protocol/schema';
import type { TrainBatch } from '../protocol/trainBatch';
import { emaRate } from '../train/ema';
import type { TrainRecipe } from '../train/recipe';
import { usedFactor, type Schedule } from '../train/schedule';
import type { TrainSession } from './trainSession';

const schema = z.object({
  lr: z.number().nonnegative(),
  weight_decay: z.number().nonnegative(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number().positive(),
  clip_norm: z.number().nonnegative(),
  batch: z.int().positive(),
  microbatch: z.int().positive(),
  schedule: z.string(),
  warmup: z.int().nonnegative().default(0),
  alpha_f: z.number().default(1),
  t_max: z.int().positive().optional(),
  steps: z.int().positive(),
  mask_ratio: z.number(),
  p_mean: z.number(),
  p_std: z.number(),
  ema_smoothing: z.number().optional(),
  ema_start: z.int().positive().optional(),
});

export interface ReplaySettings {
  readonly lr: number;
  readonly schedule: Schedule;
  readonly adamW: TrainRecipe['adamW'];
  /** 0: no clipping. */
  readonly clipNorm: number;
  readonly loss: TrainRecipe['loss'];
  readonly batch: number;
  readonly microbatch: number;
  readonly steps: number;
  /** Copy of the weights after `start` steps, then smoothed after every step. */
  readonly ema: { readonly smoothing: number; readonly start: number } | null;
}

/** The settings of a recorded run from the `train` object beside it. @throws FormatError */
export function replaySettings(json: unknown, what = 'replay settings'): ReplaySettings {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FormatError(`${what}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}`);
  }
  const s = parsed.data;
  return {
    lr: s.lr,
    schedule: scheduleOf(what, s.schedule, s.warmup, s.t_max ?? s.steps, s.alpha_f),
    adamW: { beta1: s.betas[0], beta2: s.betas[1], eps: s.eps, weightDecay: s.weight_decay },
    clipNorm: s.clip_norm,
    loss: { maskRatio: s.mask_ratio, pMean: s.p_mean, pStd: s.p_std },
    batch: s.batch,
    microbatch: s.microbatch,
    steps: s.steps,
    ema:
      s.ema_smoothing === undefined || s.ema_start === undefined
        ? null
        : { smoothing: s.ema_smoothing, start: s.ema_start },
  };
}

function scheduleOf(what: string, name: string, warmup: number, tMax: number, alphaF: number): Schedule {
  if (/^cosine/.test(name)) return { kind: 'cosine', warmup, tMax, alphaF };
  if (/^constant/.test(name)) return { kind: 'constant', warmup, alpha: alphaF };
  throw new FormatError(
    `${what}: schedule: cosine or constant, with or without warm-up: ${JSON.stringify(name)}`,
  );
}

/**
 * Step `step` of a recorded run.
 * @param draws file with the draws
 * @param data file with the data set
 * @throws NotFoundError, FormatError
 */
export async function replayBatch(draws: TensorFile, data: TensorFile, step: number): Promise<TrainBatch> {
  const stacked = draws.tensors.has('sample_ids');
  const load = async <T extends Float32Array | Int32Array>(
    name: string,
    read: (source: TensorFile['source'], entry: Parameters<typeof loadFloats>[1]) => Promise<T>,
  ): Promise<T> => {
    const entry = findTensor(draws, stacked ? name : `step${step}.${name}`);
    const values = await read(draws.source, entry);
    if (!stacked) return values;
    const steps = entry.shape[0]!;
    if (step >= steps) {
      throw new NotFoundError(`${draws.source.name}: ${steps} steps are recorded: step ${step} is asked for`);
    }
    const size = values.length / steps;
    return values.slice(step * size, (step + 1) * size) as T;
  };
  const ids = await load('sample_ids', loadInts);
  return {
    samples: ids.length,
    latents: await gather(data, 'data.latents', ids),
    captions: await gather(data, 'data.captions', ids),
    rndNormal: await load('rnd_normal', loadFloats),
    noise: await load('noise', loadFloats),
    maskNoise: await load('mask_noise', loadFloats),
    drop: await load('drop', loadFloats),
  };
}

/** Samples `ids` of a data tensor, one after another. */
async function gather(data: TensorFile, name: string, ids: Int32Array): Promise<Float32Array> {
  const entry = findTensor(data, name);
  const all = await loadFloats(data.source, entry);
  const count = entry.shape[0]!;
  const size = all.length / count;
  const out = new Float32Array(ids.length * size);
  ids.forEach((id, row) => {
    if (id < 0 || id >= count) {
      throw new FormatError(`${data.source.name}: ${name}: sample ids are below ${count}: ${id}`);
    }
    out.set(all.subarray(id * size, (id + 1) * size), row * size);
  });
  return out;
}

/** One line of a training log: f32 values, printed so that they read back exactly. */
export interface ReplayStep {
  /** From 0. */
  readonly step: number;
  readonly loss: number;
  /** Global norm before clipping. */
  readonly grad_norm: number;
  readonly lr: number;
}

export interface ReplayOptions {
  /** Default: all recorded steps. */
  readonly steps?: number;
  /** Samples per shard; default the recorded microbatch. */
  readonly shard?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (line: ReplayStep) => void | Promise<void>;
}

/**
 * Trains `session` through a recorded run. The optimizer starts fresh (moments zero).
 * @throws NotFoundError, FormatError when the recording lacks something
 */
export async function replayRun(
  session: TrainSession,
  settings: ReplaySettings,
  draws: TensorFile,
  data: TensorFile,
  options: ReplayOptions = {},
): Promise<ReplayStep[]> {
  const { ema } = settings;
  await session.startOptimizer({ maxNorm: settings.clipNorm, ema: ema !== null });
  const lines: ReplayStep[] = [];
  for (let step = 0; step < (options.steps ?? settings.steps); step++) {
    const batch = await replayBatch(draws, data, step);
    const lr = settings.lr * usedFactor(settings.schedule, step);
    const { figures } = await session.step(
      batch,
      {
        ...settings.loss,
        shard: options.shard ?? settings.microbatch,
        ...(options.signal ? { signal: options.signal } : {}),
      },
      { ...settings.adamW, lr, step: step + 1, emaRate: emaRate(ema, step) },
    );
    const { loss, gradNorm } = await figures;
    const line = { step, loss, grad_norm: gradNorm, lr };
    lines.push(line);
    await options.onStep?.(line);
  }
  return lines;
}
