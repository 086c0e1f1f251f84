/**
 * Ready-made runs: upstream's four stages with their numbers, and models of five sizes.
 *
 * A stage goes on from the one before it: pretraining at 256 px with three quarters of the patches masked, a finish without
 * masking, and the same at 512 px.
 */
import { linspace, resolveDitConfig, type DitArch } from '../models/dit/config';
import type { DitConfig } from '../protocol/schemas';
import { parseTrainConfig, type TrainConfig, type TrainConfigInput } from '../protocol/trainConfig';

/** Upstream's stages in their order. */
export const stageNames = ['256-pretrain', '256-finetune', '512-pretrain', '512-finetune'] as const;
export type StageName = (typeof stageNames)[number];

/**
 * What a finetuning stage leaves out of its checkpoint. The first two match nothing, since groups are a list in it;
 * upstream's files have them all the same.
 */
const learningRateKeys = [
  'state/optimizers/AdamW/param_groups/initial_lr',
  'state/optimizers/AdamW/param_groups/lr',
  'state/schedulers/LambdaLR/base_lrs',
  'state/schedulers/LambdaLR/_last_lr',
];

/** What the four stages share is the settings' defaults. */
const stages: Record<StageName, TrainConfigInput> = {
  '256-pretrain': {
    model: { arch: 'MicroDiT_XL_2', input_size: 32, pos_interp_scale: 1 },
    train: { microbatch: 256 },
  },
  '256-finetune': {
    model: { arch: 'MicroDiT_XL_2', input_size: 32, pos_interp_scale: 1 },
    train: {
      microbatch: 64,
      mask_ratio: 0,
      lr: 8e-5,
      max_duration: '280000ba', // cumulative: 30,000 more
      schedule: { kind: 'constant', warmup: '0ba', alpha: 1 },
    },
    start: { ignore: learningRateKeys },
  },
  '512-pretrain': {
    model: { arch: 'MicroDiT_XL_2', input_size: 64, pos_interp_scale: 2 },
    data: { train: ['sa1b', 'cc12m_minres512', 'textcaps', 'jdb/train'] },
    train: {
      microbatch: 32,
      p_mean: 0,
      p_std: 0.6,
      lr: 8e-5,
      max_duration: '50000ba', // the counter starts again
      clip_norm: 0.5,
      schedule: { kind: 'constant', warmup: '500ba', alpha: 1 },
      // As upstream's file asks; upstream's trainer never applies it.
      ema: { smoothing: 0.99975, start: '25000ba', every: '1ba' },
    },
    start: { weights_only: true, strict: false, ignore: ['state/model/dit.pos_embed'] },
  },
  '512-finetune': {
    model: { arch: 'MicroDiT_XL_2', input_size: 64, pos_interp_scale: 2 },
    data: { train: ['sa1b', 'cc12m_minres512', 'textcaps', 'jdb/train'] },
    train: {
      microbatch: 16,
      mask_ratio: 0,
      p_mean: 0,
      p_std: 0.6,
      lr: 8e-5,
      max_duration: '55000ba', // cumulative: 5,000 more
      clip_norm: 0.5,
      schedule: { kind: 'constant', warmup: '0ba', alpha: 1 },
      ema: { smoothing: 0.9975, start: '1000ba', every: '1ba' },
    },
    eval: { every: '500ba' },
    save: { every: '500ba' },
    sample: { every: '500ba' },
    start: { strict: false, ignore: learningRateKeys },
  },
};

/** The settings of a stage of upstream's, for MicroDiT_XL_2. `start.from` is for the caller to fill in. */
export function stageConfig(stage: StageName): TrainConfig {
  return parseTrainConfig({ name: stage, ...stages[stage] }, `stage ${stage}`);
}

/** Models by size, smallest first. */
export const modelSizes = ['Nano', 'Micro', 'Mini', 'MicroDiT_Tiny_2', 'MicroDiT_XL_2'] as const;
export type ModelSize = (typeof modelSizes)[number];

/** Of the three that are ours: the published models' shape, made narrower and shorter. */
const ownSizes: Record<Exclude<ModelSize, DitArch>, Partial<DitConfig> & { readonly depth: number }> = {
  // The bundled model's, 1.8 M: 64 px pictures, captions of its own small text tower.
  Nano: {
    ...{ input_size: 16, caption_channels: 96, dim: 96, depth: 6, head_dim: 32, multiple_of: 32 },
    ...{ patch_mixer_depth: 2, patch_mixer_dim: 64, num_experts: 4 },
  },
  // 6.0 M.
  Micro: {
    ...{ dim: 128, depth: 8, head_dim: 32, multiple_of: 32 },
    ...{ patch_mixer_depth: 2, patch_mixer_dim: 128, num_experts: 8 },
  },
  // 25 M. Like XL its mixer is narrower than its backbone.
  Mini: {
    ...{ dim: 256, depth: 10, head_dim: 32, multiple_of: 64 },
    ...{ patch_mixer_depth: 2, patch_mixer_dim: 192, num_experts: 8 },
  },
};

/**
 * The configuration of a size. Latents of 32 x 32 x 4 and captions of width 1024 as upstream's, except Nano.
 * @param overrides what the data demand: input_size, in_channels, caption_channels, pos_interp_scale
 * @throws FormatError when the result is no model
 */
export function sizeConfig(size: ModelSize, overrides: Partial<DitConfig> = {}): DitConfig {
  if (size === 'MicroDiT_Tiny_2' || size === 'MicroDiT_XL_2') {
    return resolveDitConfig({ arch: size, ...overrides }, size).config;
  }
  const own = ownSizes[size];
  return resolveDitConfig({ ...schedules(own.depth), ...shared, ...own, ...overrides }, size).config;
}

/** What ours have from the published models where the constructor's defaults differ. */
const shared = {
  patch_mixer_mlp_ratio: 4,
  use_bias: false,
  expert_capacity: 2,
  caption_channels: 1024,
} as const;

/** Widths that grow from block to block, as the published models'. */
function schedules(depth: number): Pick<DitConfig, 'qkv_multipliers' | 'ffn_multipliers'> {
  return { qkv_multipliers: linspace(0.5, 1, depth), ffn_multipliers: linspace(0.5, 4, depth) };
}
