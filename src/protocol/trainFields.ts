/**
 * A sentence on every setting of a run: what the page shows beside its field and `--set` may change. Defaults come from
 * the schema, so a field that was left out has exactly what stands here.
 */
import { parseTrainConfig, type TrainConfig } from './trainConfig';

/** One setting. */
export interface TrainField {
  /** Dotted path in the settings. */
  readonly path: string;
  readonly label: string;
  /** One sentence. */
  readonly meaning: string;
  /** null: nothing, never, or (model.*) as the named model has it. */
  readonly default: unknown;
  /** Of the value; '' where it has none. "duration": a number with ba, ep, sp or dur. */
  readonly unit: string;
}

type Row = readonly [path: string, label: string, unit: string, meaning: string];

const general: readonly Row[] = [
  ['name', 'Name', '', 'What the run is called in lists and file names.'],
  ['seed', 'Seed', '', 'Of initial weights, order of the data and every draw during training.'],
];

const model: readonly Row[] = [
  ['model.arch', 'Architecture', '', 'One of the two published models; other fields of the model change it.'],
  ['model.input_size', 'Latent size', 'latent pixels', 'Edge of the latents: 32 for 256 px, 64 for 512 px.'],
  ['model.patch_size', 'Patch size', 'latent pixels', 'Edge of a patch, always 2: a token is one patch.'],
  ['model.in_channels', 'Latent channels', '', 'Channels of the latents: 4 with SDXL, 16 with Ostris.'],
  ['model.caption_channels', 'Caption width', '', 'Width of the text encoder that made the captions.'],
  [
    'model.pos_interp_scale',
    'Position scale',
    '',
    'Divides patch coordinates: 1 at 256 px, 2 at 512 px, so that both cover the same range.',
  ],
  ['model.dim', 'Width', '', 'Width of the backbone.'],
  ['model.depth', 'Blocks', '', 'Transformer blocks of the backbone.'],
  ['model.head_dim', 'Head width', '', 'Width of an attention head, everywhere.'],
  [
    'model.multiple_of',
    'Rounding',
    '',
    'Hidden widths of feed-forwards are rounded up to multiples of this.',
  ],
  ['model.norm_eps', 'Norm epsilon', '', 'Added to the variance in every layer norm.'],
  [
    'model.depth_init',
    'Depth initialisation',
    '',
    'Initial output layers shrink with the depth of their own block; else with the depth of all.',
  ],
  [
    'model.qkv_ratio',
    'Attention ratios',
    '',
    'First and last attention width relative to the width, with a named model.',
  ],
  [
    'model.mlp_ratio',
    'Feed-forward ratios',
    '',
    'First and last hidden width relative to the width, with a named model.',
  ],
  [
    'model.qkv_multipliers',
    'Attention multipliers',
    '',
    'Attention width of each block, relative to the width.',
  ],
  [
    'model.ffn_multipliers',
    'Feed-forward multipliers',
    '',
    'Hidden width of each block, relative to the width.',
  ],
  [
    'model.use_patch_mixer',
    'Patch mixer',
    '',
    'Always on: a few blocks see all patches before some are masked.',
  ],
  ['model.patch_mixer_depth', 'Mixer blocks', '', 'Transformer blocks of the patch mixer.'],
  ['model.patch_mixer_dim', 'Mixer width', '', 'Width of the patch mixer.'],
  [
    'model.patch_mixer_qkv_ratio',
    'Mixer attention ratio',
    '',
    "Attention width of the mixer's blocks, relative to their width.",
  ],
  [
    'model.patch_mixer_mlp_ratio',
    'Mixer feed-forward ratio',
    '',
    "Hidden width of the mixer's blocks, relative to their width.",
  ],
  ['model.use_bias', 'Biases', '', 'Always off, as in the published models.'],
  ['model.num_experts', 'Experts', '', 'Feed-forwards in a block of experts.'],
  ['model.expert_capacity', 'Expert capacity', 'experts/token', 'Experts that work on a token on average.'],
  ['model.experts_every_n', 'Expert spacing', 'blocks', 'Every n-th block has experts.'],
];

const data: readonly Row[] = [
  ['data.train', 'Training data', '', 'Data sets to train on: precomputed latents and captions.'],
  ['data.eval', 'Evaluation data', '', 'Data sets to measure the loss on; never trained on.'],
  ['data.vae', 'Image encoder', '', 'What the latents were made with.'],
  ['data.text_encoder', 'Text encoder', '', 'What the captions were encoded with.'],
  ['data.shuffle', 'Shuffle', '', 'A new order of the samples in every epoch.'],
  [
    'data.drop_last',
    'Drop the rest',
    '',
    'Samples that do not fill a batch at the end of an epoch are left out.',
  ],
  [
    'data.caption_drop',
    'Caption drop',
    '',
    'Share of captions replaced by zeros, so that guidance has an unconditional half.',
  ],
];

const train: readonly Row[] = [
  ['train.batch', 'Batch', 'samples', 'Samples per optimizer step.'],
  [
    'train.microbatch',
    'Microbatch',
    'samples',
    'Samples on the GPU at once; "auto" takes what fits, and the result is the same.',
  ],
  [
    'train.max_duration',
    'Length',
    'duration',
    'Where the run ends, counted with the batches of the run it continues.',
  ],
  ['train.mask_ratio', 'Mask ratio', '', 'Share of patches that the backbone does not see; 0 shows all.'],
  ['train.p_mean', 'Noise mean', 'ln sigma', 'Mean of the logarithm of the noise level.'],
  ['train.p_std', 'Noise spread', 'ln sigma', 'Standard deviation of the logarithm of the noise level.'],
  [
    'train.optimizer',
    'Optimizer',
    '',
    'AdamW on all parameters, experts at the full rate, as upstream really runs.',
  ],
  ['train.lr', 'Learning rate', '', 'Base rate, which the schedule multiplies.'],
  ['train.betas', 'Betas', '', "Decay of AdamW's two moments."],
  ['train.eps', 'Epsilon', '', "Added to the root of AdamW's second moment."],
  [
    'train.weight_decay',
    'Weight decay',
    '',
    'Of every parameter, norms and biases too, times the learning rate.',
  ],
  [
    'train.clip_norm',
    'Gradient clip',
    '',
    'Gradients with a larger global norm are scaled down to it; 0 does not clip.',
  ],
  [
    'train.schedule.kind',
    'Schedule',
    '',
    'After the warm-up: cosine goes down to the final factor, constant stays there.',
  ],
  [
    'train.schedule.warmup',
    'Warm-up',
    'duration',
    'The rate rises from 0 over this time; "0ba" starts at once.',
  ],
  [
    'train.schedule.alpha',
    'Final factor',
    '',
    "The cosine's end, or the constant, relative to the base rate.",
  ],
  [
    'train.schedule.t_max',
    'Cosine length',
    'duration',
    'Where the cosine ends; "1dur" is the end of the run.',
  ],
  [
    'train.schedule.composer_lag',
    "Composer's lag",
    '',
    'Batch b runs at the rate of batch b - 1, and the first after a resume at the saved one, as upstream really runs.',
  ],
  [
    'train.ema',
    'Moving average',
    '',
    "Average of the weights to sample with. Upstream's 512 px stages ask for one, but its trainer never applies it.",
  ],
  ['train.ema.smoothing', 'Smoothing', '', 'Share of the old average that stays at each update.'],
  ['train.ema.start', 'Average from', 'duration', 'When the average starts, as a copy of the weights.'],
  ['train.ema.every', 'Average every', 'duration', 'Time between updates of the average.'],
];

const start: readonly Row[] = [
  ['start.from', 'Start from', '', 'A model or checkpoint to go on from; none starts with fresh weights.'],
  ['start.weights_only', 'Weights only', '', 'Counters and optimizer start afresh; else the run goes on.'],
  [
    'start.strict',
    'Strict names',
    '',
    'With weights only: tensors that are missing or too many are an error. A run that goes on is never strict.',
  ],
  [
    'start.ignore',
    'Ignore',
    '',
    'Parts of the checkpoint left out, as shell patterns on paths such as state/model/dit.pos_embed.',
  ],
];

const outputs: readonly Row[] = [
  [
    'eval.every',
    'Evaluate every',
    'duration',
    'Time between measurements of the loss on the evaluation data.',
  ],
  ['eval.batch', 'Evaluation batch', 'samples', 'Samples per batch of an evaluation.'],
  ['save.every', 'Save every', 'duration', 'Time between checkpoints that are kept.'],
  ['save.keep', 'Keep', 'checkpoints', 'Newest checkpoints kept; -1 keeps all.'],
  [
    'save.snapshot_every',
    'Snapshot every',
    'duration',
    'Time between copies of the whole state: a lost GPU or a closed tab costs no more than this.',
  ],
  ['sample.every', 'Sample every', 'duration', 'Time between pictures.'],
  ['sample.prompts', 'Prompts', '', 'What the pictures show; empty: suggestions.'],
  ['sample.steps', 'Steps', 'steps', 'Sampling steps of each picture.'],
  ['sample.guidance', 'Guidance', '', 'How strongly pictures follow their prompt.'],
  ['sample.seed', 'Sample seed', '', 'Of the initial noise, the same every time.'],
];

/** The value at a dotted path, or undefined. */
export function valueAt(config: unknown, path: string): unknown {
  let at: unknown = config;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

/** Every setting in the order of the page. */
export const trainFields: readonly TrainField[] = (() => {
  const defaults: TrainConfig = parseTrainConfig({});
  const withAverage = parseTrainConfig({ train: { ema: {} } });
  return [...general, ...model, ...data, ...train, ...start, ...outputs].map(
    ([path, label, unit, meaning]) => {
      const found = valueAt(path.startsWith('train.ema.') ? withAverage : defaults, path);
      return { path, label, meaning, unit, default: found ?? null };
    },
  );
})();
