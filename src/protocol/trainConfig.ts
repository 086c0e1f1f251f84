/**
 * What a training run is configured by: every setting with its rule and its default. Defaults are upstream's first stage
 * (256 px pretraining of MicroDiT_XL_2), so `{}` is that run; where a default is ours, the comment says so.
 *
 * Names are those of configuration files and of `--set`. trainFields.ts has a sentence on each, train/composerYaml.ts
 * reads upstream's files into this form, train/recipe.ts checks what one field alone cannot tell.
 */
import { FormatError } from '../core/errors';
import { issueText } from '../core/schemaIssue';
import { durationSchema, intervalSchema } from './duration';
import { ditJsonSchema } from './schemas';
import { z } from './schema';

const count = z.int().min(1);
const share = z.number().min(0).lt(1);
const every = intervalSchema.nullable();

/** A transformer: one of upstream's by name, with fields that differ, or all fields. Unknown fields are refused. */
const modelSchema = z.strictObject(ditJsonSchema.shape);

const scheduleSchema = z.strictObject({
  /** cosine: from 1 to `alpha` over the run; constant: `alpha`. */
  kind: z.enum(['cosine', 'constant']).default('cosine'),
  /** "0ba": none. */
  warmup: durationSchema.default('2500ba'),
  alpha: z.number().min(0).default(0.33),
  /** End of the cosine. */
  t_max: intervalSchema.default('1dur'),
  /** Composer steps its scheduler before it counts the batch: batch b runs at f(b - 1), and batch 0 at f(0). */
  composer_lag: z.boolean().default(true),
});

const emaSchema = z.strictObject({
  smoothing: z.number().min(0).lt(1).default(0.99975),
  /** The copy is taken at the end of the batch that brings the counter here. */
  start: durationSchema.default('0ba'),
  every: intervalSchema.default('1ba'),
});

const dataSchema = z.strictObject({
  train: z.array(z.string().min(1)).default(['sa1b', 'cc12m', 'textcaps', 'jdb/train', 'diffdb']),
  eval: z.array(z.string().min(1)).default(['coco2014']),
  /** What the latents and captions were computed with. */
  vae: z.string().min(1).default('stabilityai/stable-diffusion-xl-base-1.0'),
  text_encoder: z.string().min(1).default('openclip:hf-hub:apple/DFN5B-CLIP-ViT-H-14-378'),
  shuffle: z.boolean().default(true),
  drop_last: z.boolean().default(true),
  caption_drop: z.number().min(0).max(1).default(0.1),
});

const trainSchema = z.strictObject({
  batch: count.default(2048),
  /** Ours; upstream's stages have 256, 64, 32 and 16 a GPU. Any division gives the same mean. */
  microbatch: z
    .union([z.literal('auto'), count], { error: 'must be "auto" or a whole number from 1' })
    .default('auto'),
  max_duration: intervalSchema.default('250000ba'),
  mask_ratio: share.default(0.75),
  p_mean: z.number().default(-0.6),
  p_std: z.number().positive().default(1.2),
  optimizer: z.enum(['AdamW'], { error: 'must be "AdamW"' }).default('AdamW'),
  lr: z.number().min(0).default(2.4e-4),
  betas: z.tuple([share, share]).default([0.9, 0.999]),
  eps: z.number().positive().default(1e-8),
  weight_decay: z.number().min(0).default(0.1),
  /** 0: no clipping. */
  clip_norm: z.number().min(0).default(0.25),
  schedule: scheduleSchema.prefault({}),
  ema: emaSchema.nullable().default(null),
});

const startSchema = z.strictObject({
  /** null: fresh weights. */
  from: z.string().min(1).nullable().default(null),
  weights_only: z.boolean().default(false),
  strict: z.boolean().default(true),
  ignore: z.array(z.string().min(1)).default([]),
});

const evalSchema = z.strictObject({
  every: every.default('2500ba'),
  batch: count.default(1024),
});

const saveSchema = z.strictObject({
  every: every.default('2500ba'),
  /** -1: all. */
  keep: z
    .int()
    .refine((value) => value === -1 || value >= 1, { error: 'must be -1 (all) or from 1' })
    .default(1),
  /** Ours: upstream has no such thing. */
  snapshot_every: every.default('100ba'),
});

const sampleSchema = z.strictObject({
  every: every.default('2500ba'),
  /** Empty: the page's own suggestions. */
  prompts: z.array(z.string()).default([]),
  steps: z.int().min(2).default(30),
  guidance: z.number().min(1).default(5),
  seed: z.int().default(18),
});

const trainConfigSchema = z.strictObject({
  name: z.string().min(1).max(200).default('run'),
  seed: z.int().min(0).default(18),
  model: modelSchema.default({ arch: 'MicroDiT_XL_2' }),
  data: dataSchema.prefault({}),
  train: trainSchema.prefault({}),
  start: startSchema.prefault({}),
  eval: evalSchema.prefault({}),
  save: saveSchema.prefault({}),
  sample: sampleSchema.prefault({}),
});

/** A run's settings, complete. */
export type TrainConfig = z.infer<typeof trainConfigSchema>;

/** A run's settings as somebody writes them: what is left out has its default. */
export type TrainConfigInput = z.input<typeof trainConfigSchema>;

/** Settings of the exponential moving average of the weights. */
export type EmaSettings = z.infer<typeof emaSchema>;

/** Settings of the learning rate's schedule. */
export type ScheduleSettings = z.infer<typeof scheduleSchema>;

/**
 * Completes and checks settings from anything.
 * @param what names them in messages
 * @throws FormatError `<what>: <path>: <rule>: <actual>`
 */
export function parseTrainConfig(json: unknown, what = 'training settings'): TrainConfig {
  const parsed = trainConfigSchema.safeParse(json);
  if (!parsed.success) throw new FormatError(`${what}: ${issueText(parsed.error.issues, json)}`);
  return parsed.data;
}

/** The first thing that is wrong with settings: where, and in words; null when nothing is. */
export function trainConfigIssue(
  json: unknown,
): { readonly path: readonly PropertyKey[]; readonly text: string } | null {
  const parsed = trainConfigSchema.safeParse(json);
  if (parsed.success) return null;
  const { issues } = parsed.error;
  return { path: issues[0]?.path ?? [], text: issueText(issues, json) };
}
