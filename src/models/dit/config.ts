/**
 * Configurations of the diffusion transformer: upstream's two named models, its constructor's defaults, and the size of
 * every block that follows from a configuration.
 *
 * Sizes come from truncating products of doubles, as Python's int() does, so the arithmetic keeps upstream's order.
 */
import { FormatError } from '../../core/errors';
import type { DitConfig, DitConfigJson, Resolved } from '../../protocol/schemas';
import { checkDitConfig, parseDitConfig } from '../../protocol/schemas';

/** Names of upstream's models. */
export type DitArch = 'MicroDiT_Tiny_2' | 'MicroDiT_XL_2';

/** numpy's linspace: `count` values from `first` to `last`, the last exactly that. */
export function linspace(first: number, last: number, count: number): number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i > 0 && i === count - 1 ? last : first + (i > 0 ? i * step : 0),
  );
}

/** What the two named models share. */
const named = {
  input_size: 32,
  patch_size: 2,
  in_channels: 4,
  multiple_of: 256,
  caption_channels: 1024,
  pos_interp_scale: 1,
  norm_eps: 1e-6,
  depth_init: true,
  use_patch_mixer: true,
  patch_mixer_qkv_ratio: 1,
  patch_mixer_mlp_ratio: 4,
  use_bias: false,
  num_experts: 8,
  expert_capacity: 2,
  experts_every_n: 2,
} as const;

const archs = {
  MicroDiT_Tiny_2: {
    ...named,
    dim: 512,
    depth: 16,
    head_dim: 32,
    patch_mixer_depth: 4,
    patch_mixer_dim: 512,
  },
  MicroDiT_XL_2: { ...named, dim: 1024, depth: 28, head_dim: 64, patch_mixer_depth: 6, patch_mixer_dim: 768 },
} as const;

/** Defaults of upstream's `DiT` constructor. They are not those of the named models. */
const constructorDefaults = {
  ...named,
  dim: 1152,
  depth: 28,
  head_dim: 64,
  qkv_multipliers: [1],
  ffn_multipliers: [4],
  patch_mixer_depth: 4,
  patch_mixer_dim: 512,
  patch_mixer_mlp_ratio: 1,
  use_bias: true,
  expert_capacity: 1,
} as const;

/** The configuration of a named model, with `overrides` in place of its own values. */
export function namedDitConfig(arch: DitArch, overrides: Partial<DitConfig> = {}): DitConfig {
  return resolveDitConfig({ arch, ...overrides }, arch).config;
}

/**
 * Completes and checks a transformer's configuration: fields of upstream's constructor, or {"arch": name} with fields
 * that differ, either also wrapped as {"config": {...}}. Absent fields have upstream's defaults; unknown ones are noted.
 * @param what names the file in messages
 * @throws FormatError naming the field, the rule and the value
 */
export function resolveDitConfig(json: unknown, what = 'DiT config'): Resolved<DitConfig> {
  const { config: given, notes } = parseDitConfig(what, json);
  const { arch, qkv_ratio, mlp_ratio, ...fields } = given;
  const known = checkedFields(fields);
  if (!arch) {
    const complete = checkDitConfig(what, { ...constructorDefaults, ...known });
    return { config: checkSizes(what, spread(what, complete)), notes };
  }
  const depth = known.depth ?? archs[arch].depth;
  const complete = checkDitConfig(what, {
    ...archs[arch],
    qkv_multipliers: linspace(...(qkv_ratio ?? [0.5, 1]), depth),
    ffn_multipliers: linspace(...(mlp_ratio ?? [0.5, 4]), depth),
    ...known,
  });
  return { config: checkSizes(what, spread(what, complete)), notes };
}

/** The fields that are there; an absent one must not hide a default. */
function checkedFields(fields: DitConfigJson): Partial<DitConfig> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** One multiplier per block: upstream also takes fewer, each for an equal share of the blocks. */
function spread(what: string, config: DitConfig): DitConfig {
  const { depth, qkv_multipliers, ffn_multipliers } = config;
  const count = ffn_multipliers.length;
  if (qkv_multipliers.length !== count || depth % count !== 0) {
    throw new FormatError(
      `${what}: qkv_multipliers and ffn_multipliers: must be equally many, as many as depth ${depth} or a divisor of it: ` +
        `${qkv_multipliers.length} and ${count}`,
    );
  }
  const share = depth / count;
  const perBlock = (multipliers: readonly number[]): number[] =>
    multipliers.flatMap((multiplier) => new Array<number>(share).fill(multiplier));
  return {
    ...config,
    qkv_multipliers: perBlock(qkv_multipliers),
    ffn_multipliers: perBlock(ffn_multipliers),
  };
}

function checkSizes(what: string, config: DitConfig): DitConfig {
  const { dim, head_dim, patch_mixer_dim, input_size } = config;
  const rules: [boolean, string][] = [
    [dim % head_dim === 0, `dim: must be a multiple of head_dim ${head_dim}: ${dim}`],
    [dim % 4 === 0, `dim: must be a multiple of 4 (position embedding): ${dim}`],
    [
      patch_mixer_dim % head_dim === 0,
      `patch_mixer_dim: must be a multiple of head_dim ${head_dim}: ${patch_mixer_dim}`,
    ],
    [input_size % 2 === 0, `input_size: must be a multiple of patch_size 2: ${input_size}`],
  ];
  for (const [holds, rule] of rules) if (!holds) throw new FormatError(`${what}: ${rule}`);
  const layout = ditLayout(config);
  for (const block of [...layout.mixer, ...layout.blocks]) {
    if (block.qkv < 1 || block.hidden < 1) {
      throw new FormatError(
        `${what}: ${block.name}: its multipliers must leave at least one channel: attention ${block.qkv}, hidden ${block.hidden}`,
      );
    }
  }
  return config;
}

/** Sizes of one transformer block. */
export interface BlockLayout {
  /** Prefix of its tensors, without the dot: `patch_mixer.0`, `blocks.3`. */
  readonly name: string;
  /** D of this block. */
  readonly width: number;
  /** Width of self-attention's queries, keys and values. */
  readonly qkv: number;
  /** Heads of self-attention: qkv / head_dim. */
  readonly heads: number;
  /** Heads of cross-attention, whose width is `width`. */
  readonly crossHeads: number;
  readonly kind: 'dense' | 'moe';
  /** F: hidden width of the gated feed-forward (dense) or of each expert. */
  readonly hidden: number;
}

/** Every size that follows from a configuration, and the few numbers beside them that the forward pass needs. */
export interface DitLayout {
  /** Patches along an edge at the configured input size. */
  readonly grid: number;
  /** T = grid^2. */
  readonly tokens: number;
  /** Pixels along a patch's edge. */
  readonly patch: number;
  /** C. */
  readonly channels: number;
  /** Values per patch: patch^2 C. */
  readonly patchValues: number;
  /** D of the backbone. */
  readonly dim: number;
  readonly headDim: number;
  /** Of every layer norm. */
  readonly eps: number;
  /** Position embedding: coordinate = index / posScale. */
  readonly posScale: number;
  /** E. */
  readonly experts: number;
  /** Capacity factor: an expert takes floor(capacity T / E) tokens. */
  readonly capacity: number;
  readonly captionChannels: number;
  /** Heads of the caption block. */
  readonly captionHeads: number;
  /** F of the caption block. */
  readonly captionHidden: number;
  /** D of the patch mixer. */
  readonly mixerDim: number;
  /** The mixer's width differs from the backbone's, so tokens and captions are mapped in and out. */
  readonly mixerMaps: boolean;
  readonly mixer: readonly BlockLayout[];
  readonly blocks: readonly BlockLayout[];
}

/** The layout of a complete configuration. */
export function ditLayout(config: DitConfig): DitLayout {
  const { dim, depth, head_dim, multiple_of, experts_every_n, patch_mixer_dim, patch_mixer_depth } = config;
  const every = (index: number): boolean => (index + 1) % experts_every_n === 0;
  const block = (
    name: string,
    width: number,
    qkvRatio: number,
    mlpRatio: number,
    moe: boolean,
  ): BlockLayout => {
    const qkv = attentionWidth(width, qkvRatio, head_dim);
    const mlp = Math.trunc(width * mlpRatio);
    return {
      name,
      width,
      qkv,
      heads: qkv / head_dim,
      crossHeads: width / head_dim,
      kind: moe ? 'moe' : 'dense',
      hidden: moe ? roundUp(mlp, multiple_of) : gatedHidden(mlp, multiple_of),
    };
  };
  const grid = config.input_size / config.patch_size;
  return {
    grid,
    tokens: grid * grid,
    patch: config.patch_size,
    channels: config.in_channels,
    patchValues: config.patch_size ** 2 * config.in_channels,
    dim,
    headDim: head_dim,
    eps: config.norm_eps,
    posScale: config.pos_interp_scale,
    experts: config.num_experts,
    capacity: config.expert_capacity,
    captionChannels: config.caption_channels,
    captionHeads: dim / head_dim,
    captionHidden: gatedHidden(Math.trunc(dim * 4), multiple_of),
    mixerDim: patch_mixer_dim,
    mixerMaps: patch_mixer_dim !== dim,
    mixer: Array.from({ length: patch_mixer_depth }, (_, i) =>
      block(
        `patch_mixer.${i}`,
        patch_mixer_dim,
        config.patch_mixer_qkv_ratio,
        config.patch_mixer_mlp_ratio,
        i > 0 && every(i), // the last may be of experts, the first never is
      ),
    ),
    blocks: Array.from({ length: depth }, (_, i) =>
      block(
        `blocks.${i}`,
        dim,
        config.qkv_multipliers[i] as number,
        config.ffn_multipliers[i] as number,
        i < depth - 1 && every(i), // the last never is
      ),
    ),
  };
}

/** Width of self-attention: an even number of heads, unless the ratio is exactly 1. */
function attentionWidth(width: number, qkvRatio: number, headDim: number): number {
  return qkvRatio === 1 ? width : roundUp(Math.trunc(width * qkvRatio), 2 * headDim);
}

/** Hidden width of the gated feed-forward: two thirds, rounded up. */
function gatedHidden(mlp: number, multipleOf: number): number {
  return roundUp(Math.trunc((2 * mlp) / 3), multipleOf);
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
