/**
 * Replay files: the recorded draws of a training run, per step (`step3.rnd_normal`) or stacked (`rnd_normal` [S, ...]),
 * the data set they pick from (`data.*`, here or in another file), and the run's settings in the .json beside it.
 */
import { FormatError, NotFoundError } from '../core/errors';
import { issueText } from '../core/schemaIssue';
import { shapeText } from '../core/shape';
import { loadFloats, loadInts, nameText, type TensorEntry, type TensorFile } from '../formats/tensorFile';
import { z } from '../protocol/schema';
import { ditLayout } from '../models/dit/config';
import type { DitConfig } from '../protocol/schemas';
import type { TrainBatch } from '../sessions/trainSession';
import type { Schedule } from '../train/schedule';
import { checkShape, readFloats } from './files';

const settingsSchema = z.object({
  optimizer: z.literal('AdamW', { error: 'must be AdamW' }).default('AdamW'),
  lr: z.number().min(0),
  weight_decay: z.number().min(0),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]),
  eps: z.number().positive(),
  /** 0: no clipping. */
  clip_norm: z.number().min(0).default(0),
  microbatch: z.int().min(1),
  schedule: z.string(),
  warmup: z.int().min(0).default(0),
  alpha_f: z.number().default(1),
  t_max: z.int().min(1).optional(),
  mask_ratio: z.number().min(0).lt(1),
  p_mean: z.number(),
  p_std: z.number().min(0),
  ema_smoothing: z.number().min(0).max(1).optional(),
  /** Optimizer steps after which the average starts as a copy of the weights. */
  ema_start: z.int().min(0).default(0),
});

/** The `train` object of a replay file's .json. */
export type ReplaySettings = z.infer<typeof settingsSchema>;

/**
 * Reads the settings from the parsed .json beside a replay file.
 * @throws FormatError naming the field
 */
export function parseReplaySettings(name: string, json: unknown): ReplaySettings {
  const train = typeof json === 'object' && json !== null && 'train' in json ? json.train : undefined;
  if (train === undefined) throw new FormatError(`${name}: must have an object "train": it has none`);
  const parsed = settingsSchema.safeParse(train);
  if (!parsed.success) throw new FormatError(`${name}: train: ${issueText(parsed.error.issues, train)}`);
  return parsed.data;
}

/** The learning-rate schedule in words ("cosine with warmup", "constant", ...) and numbers. @throws FormatError */
export function replaySchedule(name: string, settings: ReplaySettings): Schedule {
  const { warmup, alpha_f: alpha, t_max: tMax, schedule } = settings;
  if (schedule.startsWith('constant')) return { kind: 'constant', warmup, alpha };
  if (schedule.startsWith('cosine') && tMax !== undefined)
    return { kind: 'cosine', warmup, tMax, alphaF: alpha };
  throw new FormatError(
    `${name}: train: schedule must be constant, or cosine with t_max: ${JSON.stringify(schedule)}`,
  );
}

/** The recorded samples of a data set. */
export interface ReplayData {
  readonly samples: number;
  /** [M, C, h, w] */
  readonly latents: Float32Array;
  /** [M, 1, L, C] */
  readonly captions: Float32Array;
}

/** @throws NotFoundError, FormatError when the data do not fit the model */
export async function readReplayData(file: TensorFile, config: DitConfig): Promise<ReplayData> {
  const { in_channels, input_size, caption_channels } = config;
  const latents = await readFloats(file, 'data.latents');
  checkShape(`${file.source.name}: tensor "data.latents"`, latents.shape, [
    'M',
    in_channels,
    input_size,
    input_size,
  ]);
  const samples = latents.shape[0]!;
  const captions = await readFloats(file, 'data.captions');
  checkShape(`${file.source.name}: tensor "data.captions"`, captions.shape, [
    samples,
    1,
    'L',
    caption_channels,
  ]);
  return { samples, latents: latents.data, captions: captions.data };
}

/** The draws of a run, read step by step. */
export class ReplayDraws {
  readonly steps: number;
  readonly batch: number;
  readonly #file: TensorFile;
  readonly #config: DitConfig;
  readonly #stacked: boolean;

  /** @throws NotFoundError, FormatError when the file holds no draws */
  constructor(file: TensorFile, config: DitConfig) {
    this.#file = file;
    this.#config = config;
    const stacked = file.tensors.get('sample_ids');
    this.#stacked = stacked !== undefined;
    const first = stacked ?? file.tensors.get('step0.sample_ids');
    const [outer = 0, inner = 0] = first?.shape ?? [];
    if (!first || first.shape.length !== (stacked ? 2 : 1)) {
      throw new NotFoundError(
        `${file.source.name}: a replay file must have sample_ids [S, B] or step0.sample_ids [B]: ${first ? shapeText(first.shape) : 'it has neither'}`,
      );
    }
    if (stacked) {
      this.steps = outer;
      this.batch = inner;
      return;
    }
    this.batch = outer;
    let steps = 0;
    while (file.tensors.has(`step${steps}.sample_ids`)) steps++;
    this.steps = steps;
  }

  /**
   * Step `step` as a batch, its samples picked from `data`.
   * @throws NotFoundError, FormatError
   */
  async read(step: number, data: ReplayData, masked: boolean): Promise<TrainBatch> {
    const { source } = this.#file;
    const { in_channels, input_size } = this.#config;
    const { tokens } = ditLayout(this.#config);
    const samples = this.batch;
    const ids = await loadInts(source, this.#entry(step, 'sample_ids', [samples]));
    const wrong = ids.find((id) => id < 0 || id >= data.samples);
    if (wrong !== undefined) {
      throw new FormatError(
        `${source.name}: sample_ids of step ${step} must lie in the data set of ${data.samples}: ${wrong}`,
      );
    }
    const draw = (name: string, ...shape: readonly number[]): Promise<Float32Array> =>
      loadFloats(source, this.#entry(step, name, shape));
    return {
      samples,
      latents: pick(data.latents, data.samples, ids),
      captions: pick(data.captions, data.samples, ids),
      rndNormal: await draw('rnd_normal', samples),
      noise: await draw('noise', samples, in_channels, input_size, input_size),
      maskNoise: masked ? await draw('mask_noise', samples, tokens) : new Float32Array(samples * tokens),
      drop: await draw('drop', samples),
    };
  }

  /** One step's part of a tensor, as an entry of its own. */
  #entry(step: number, name: string, shape: readonly number[]): TensorEntry {
    const full = this.#stacked ? name : `step${step}.${name}`;
    const entry = this.#file.tensors.get(full);
    const what = `${this.#file.source.name}: tensor ${nameText(full)}`;
    if (!entry) throw new NotFoundError(`${what} must be in the file: it is not`);
    checkShape(what, entry.shape, this.#stacked ? [this.steps, ...shape] : shape);
    if (!this.#stacked) return entry;
    const bytes = entry.bytes / this.steps;
    return { name: full, dtype: entry.dtype, shape, offset: entry.offset + step * bytes, bytes };
  }
}

/** Rows `ids` of `rows` rows. */
function pick(values: Float32Array, rows: number, ids: Int32Array): Float32Array {
  const width = values.length / rows;
  const out = new Float32Array(ids.length * width);
  ids.forEach((id, row) => out.set(values.subarray(id * width, (id + 1) * width), row * width));
  return out;
}
