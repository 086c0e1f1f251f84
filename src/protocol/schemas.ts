/**
 * Model configurations as files give them, checked with zod and brought to one form: the transformer's (upstream's field
 * names), the autoencoder's (diffusers' config.json) and the text tower's (open_clip's or Hugging Face's). Fields that
 * this program does not know are passed over and named in `notes`; fields that would change what is computed and cannot
 * be honoured are refused.
 */
import { FormatError } from '../core/errors';
import { issueText } from '../core/schemaIssue';
import { z } from './schema';

/** A configuration and what its reader wants to tell about it. */
export interface Resolved<Config> {
  readonly config: Config;
  readonly notes: readonly string[];
}

const size = z.int().min(1);
const ratio = z.number().positive();

/**
 * Checks `json` against a schema.
 * @throws FormatError `<what>: <field>: <rule>: <actual>`
 */
function check<Schema extends z.ZodType>(what: string, schema: Schema, json: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new FormatError(`${what}: ${issueText(parsed.error.issues, json)}`);
  return parsed.data;
}

// ---- Diffusion transformer ------------------------------------------------------------------------------------------

/** Fields of upstream's `DiT` constructor, all optional: see resolveDitConfig for what stands in for the absent. */
const ditFields = {
  input_size: size,
  patch_size: z.literal(2, { error: 'must be 2' }),
  in_channels: size,
  dim: size,
  depth: size,
  head_dim: size,
  multiple_of: size,
  caption_channels: size,
  pos_interp_scale: ratio,
  norm_eps: z.number().positive(),
  depth_init: z.boolean(),
  qkv_multipliers: z.array(ratio).min(1),
  ffn_multipliers: z.array(ratio).min(1),
  use_patch_mixer: z.literal(true, {
    error: 'must be true: the reference has no model without a patch mixer',
  }),
  patch_mixer_depth: size,
  patch_mixer_dim: size,
  patch_mixer_qkv_ratio: ratio,
  patch_mixer_mlp_ratio: ratio,
  use_bias: z.literal(false, { error: 'must be false: layers with biases are not supported' }),
  num_experts: size,
  expert_capacity: ratio,
  experts_every_n: size,
};

const ditSchema = z.object(ditFields);

/** A transformer's configuration, complete, in upstream's names. The multipliers have one entry per block. */
export type DitConfig = z.infer<typeof ditSchema>;

const ratioRange = z.tuple([ratio, ratio]);
export const ditJsonSchema = z.looseObject({
  ...ditSchema.partial().shape,
  /** One of upstream's named models, which the other fields then change. */
  arch: z.literal(['MicroDiT_Tiny_2', 'MicroDiT_XL_2']).optional(),
  /** With `arch`: first and last multiplier, as upstream's functions take them. */
  qkv_ratio: ratioRange.optional(),
  mlp_ratio: ratioRange.optional(),
});

/** A transformer's configuration as a file gives it. */
export type DitConfigJson = z.infer<typeof ditJsonSchema>;

/** Checks the fields of a transformer's configuration; a wrapping {"config": {...}} is taken off. */
export function parseDitConfig(what: string, json: unknown): Resolved<DitConfigJson> {
  const inner = unwrap(json, 'config', (outer) => !('dim' in outer) && !('arch' in outer));
  const config = check(what, ditJsonSchema, inner);
  return { config, notes: unknownFields(what, config, Object.keys(ditJsonSchema.shape)) };
}

/** Checks a complete configuration, as resolved ones are. */
export function checkDitConfig(what: string, config: unknown): DitConfig {
  return check(what, ditSchema, config);
}

// ---- AutoencoderKL --------------------------------------------------------------------------------------------------

const nothing = z.null().optional();
const klSchema = z.looseObject({
  _class_name: z.literal('AutoencoderKL').optional(),
  in_channels: z.literal(3).default(3),
  out_channels: z.literal(3).default(3),
  latent_channels: size,
  block_out_channels: z.array(size).min(1),
  layers_per_block: size.default(1),
  norm_num_groups: size.default(32),
  act_fn: z.literal(['silu', 'swish']).default('silu'),
  down_block_types: z.array(z.literal('DownEncoderBlock2D')).optional(),
  up_block_types: z.array(z.literal('UpDecoderBlock2D')).optional(),
  mid_block_add_attention: z.boolean().default(true),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
  latents_mean: nothing,
  latents_std: nothing,
  use_quant_conv: z.boolean().default(true),
  use_post_quant_conv: z.boolean().default(true),
});

/** An AutoencoderKL, in diffusers' names. The factor from picture to latent is 2^(levels - 1). */
export interface KlConfig {
  readonly in_channels: 3;
  readonly out_channels: 3;
  readonly latent_channels: number;
  /** Width of each level, finest first. */
  readonly block_out_channels: readonly number[];
  /** Resnets per level of the encoder; the decoder has one more. */
  readonly layers_per_block: number;
  readonly norm_num_groups: number;
  readonly mid_block_add_attention: boolean;
  /** Multiplies latents after encoding, divides them before decoding. */
  readonly scaling_factor: number;
  readonly use_quant_conv: boolean;
  readonly use_post_quant_conv: boolean;
}

/** Passed over without a note: they change nothing that is computed here. */
const klIgnored = ['_diffusers_version', '_name_or_path', 'sample_size', 'force_upcast'];

/**
 * Reads diffusers' config.json of an AutoencoderKL.
 * @throws FormatError for another class of model or fields that do not fit each other
 */
export function parseKlConfig(what: string, json: unknown): Resolved<KlConfig> {
  const file = check(what, klSchema, json);
  const levels = file.block_out_channels.length;
  for (const [field, types] of [
    ['down_block_types', file.down_block_types],
    ['up_block_types', file.up_block_types],
  ] as const) {
    if (types && types.length !== levels) {
      throw new FormatError(`${what}: ${field}: must have one entry per level of ${levels}: ${types.length}`);
    }
  }
  const uneven = file.block_out_channels.find((width) => width % file.norm_num_groups !== 0);
  if (uneven !== undefined) {
    throw new FormatError(
      `${what}: block_out_channels: must be multiples of norm_num_groups ${file.norm_num_groups}: ${uneven}`,
    );
  }
  const notes = unknownFields(what, file, [...Object.keys(klSchema.shape), ...klIgnored]);
  if (file.shift_factor)
    notes.push(`${what}: shift_factor ${file.shift_factor} is not used, as in the reference`);
  const { in_channels, out_channels, latent_channels, block_out_channels, layers_per_block } = file;
  const { norm_num_groups, mid_block_add_attention, scaling_factor, use_quant_conv, use_post_quant_conv } =
    file;
  const config: KlConfig = {
    ...{ in_channels, out_channels, latent_channels, block_out_channels, layers_per_block },
    ...{ norm_num_groups, mid_block_add_attention, scaling_factor, use_quant_conv, use_post_quant_conv },
  };
  return { config, notes };
}

// ---- Text tower -----------------------------------------------------------------------------------------------------

/** A CLIP text tower: pre-norm blocks, causal attention, final norm over every position. */
export interface TextConfig {
  /** Positions: ids per text. */
  readonly context: number;
  readonly vocab: number;
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  /** Hidden width of a block's feed-forward as a multiple of `width`. */
  readonly mlpRatio: number;
  readonly act: 'quick_gelu' | 'gelu';
  /** Of every layer norm. */
  readonly eps: number;
}

const openClipSchema = z.looseObject({
  quick_gelu: z.boolean().default(false),
  text_cfg: z.looseObject({
    context_length: size.default(77),
    vocab_size: size.default(49408),
    width: size.default(512),
    heads: size.default(8),
    layers: size.default(12),
    mlp_ratio: ratio.default(4),
    // Towers of another build: other weights, another forward.
    hf_model_name: z.null().optional(),
    hf_tokenizer_name: z.null().optional(),
    no_causal_mask: z.literal(false).optional(),
    embed_cls: z.literal(false).optional(),
    act_kwargs: nothing,
    norm_kwargs: nothing,
  }),
});

const huggingFaceSchema = z.looseObject({
  model_type: z.literal(['clip_text_model', 'clip']).optional(),
  hidden_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  intermediate_size: size.optional(),
  max_position_embeddings: size.default(77),
  vocab_size: size.default(49408),
  hidden_act: z.literal(['quick_gelu', 'gelu']).default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/**
 * Reads open_clip_config.json (with or without its `model_cfg`) or Hugging Face's config.json of a CLIP text model (or
 * of a whole CLIP, whose `text_config` it is).
 * @throws FormatError for other towers or fields that do not fit each other
 */
export function parseTextConfig(what: string, json: unknown): Resolved<TextConfig> {
  const outer = unwrap(json, 'model_cfg');
  const config =
    isObject(outer) && 'text_cfg' in outer ? fromOpenClip(what, outer) : fromHuggingFace(what, outer);
  if (config.width % config.heads !== 0) {
    throw new FormatError(
      `${what}: width ${config.width} must be a multiple of the number of heads: ${config.heads}`,
    );
  }
  if (!Number.isInteger(config.width * config.mlpRatio)) {
    throw new FormatError(
      `${what}: width ${config.width} times the MLP ratio must be whole: ${config.mlpRatio}`,
    );
  }
  return { config, notes: [] };
}

function fromOpenClip(what: string, json: unknown): TextConfig {
  const { quick_gelu, text_cfg: text } = check(what, openClipSchema, json);
  return {
    ...{ context: text.context_length, vocab: text.vocab_size, width: text.width },
    ...{ heads: text.heads, layers: text.layers, mlpRatio: text.mlp_ratio },
    act: quick_gelu ? 'quick_gelu' : 'gelu',
    eps: 1e-5,
  };
}

function fromHuggingFace(what: string, json: unknown): TextConfig {
  const text = check(what, huggingFaceSchema, unwrap(json, 'text_config'));
  return {
    ...{ context: text.max_position_embeddings, vocab: text.vocab_size, width: text.hidden_size },
    ...{ heads: text.num_attention_heads, layers: text.num_hidden_layers },
    mlpRatio: (text.intermediate_size ?? 4 * text.hidden_size) / text.hidden_size,
    act: text.hidden_act,
    eps: text.layer_norm_eps,
  };
}

// ---- Common ---------------------------------------------------------------------------------------------------------

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

/** The object under `key` when there is one (and `when` agrees), else `json` itself. */
function unwrap(
  json: unknown,
  key: string,
  when: (outer: Record<string, unknown>) => boolean = () => true,
): unknown {
  return isObject(json) && isObject(json[key]) && when(json) ? json[key] : json;
}

function unknownFields(what: string, config: object, known: readonly string[]): string[] {
  const unknown = Object.keys(config).filter((field) => !known.includes(field));
  return unknown.length > 0 ? [`${what}: fields that are not known and not used: ${unknown.join(', ')}`] : [];
}
