/**
 * Configurations told by the shapes of tensors alone: transformers that are one of the two named models, the two
 * autoencoders that they were trained with, TAESD, and CLIP text towers with heads of 64. What shapes do not say is
 * taken from the models that have these shapes, and named in `notes`.
 */
import type { KlConfig, TextConfig, DitConfig } from '../protocol/schemas';
import type { TaesdConfig, VaeHalf } from '../protocol/vae';
import { namedDitConfig, type DitArch } from './dit/config';
import { ditParameters } from './dit/parameters';
import type { ParameterSpec } from './parameters';
import { firstMisfit, type TensorShapes } from './recognise';
import { taesdDecoderParameters, taesdEncoderParameters } from './taesd/parameters';
import { textParameters } from './text/tower';
import { klDecoderParameters, klEncoderParameters } from './vae/parameters';

/** What shapes say. */
export interface Inferred<Config> {
  /** Null where shapes do not say enough. */
  readonly config: Config | null;
  /** What they say, for people: "MicroDiT_XL_2", "3 levels of 16, 32 and 32 channels". */
  readonly words: string;
  /** What was taken from elsewhere. */
  readonly notes: readonly string[];
}

type Extents = (name: string) => readonly number[];

const extentsIn =
  (tensors: TensorShapes, prefix: string): Extents =>
  (name) =>
    tensors.get(prefix + name)?.shape ?? [];

/** How many of `name(0)`, `name(1)`, ... there are from the first on. */
function countOf(name: (index: number) => string, has: (name: string) => boolean): number {
  let count = 0;
  while (has(name(count))) count++;
  return count;
}

// ---- Diffusion transformer ------------------------------------------------------------------------------------------

const archs: readonly DitArch[] = ['MicroDiT_Tiny_2', 'MicroDiT_XL_2'];

/**
 * The configuration of a transformer that is one of upstream's two named models in all its shapes, at any picture size
 * and with any number of latent or caption channels; null otherwise. Position embeddings of other sizes than 32 have
 * the scale that upstream trains them with, size / 32.
 */
export function inferDitConfig(
  tensors: TensorShapes,
  prefix = '',
): { readonly arch: DitArch; readonly config: DitConfig } | null {
  const shape = extentsIn(tensors, prefix);
  const channels = shape('x_embedder.proj.weight')[1];
  const captionChannels = shape('y_embedder.y_proj.fc1.weight')[1];
  const tokens = shape('pos_embed')[1];
  if (!channels || !captionChannels || !tokens) return null;
  const size = 2 * Math.round(Math.sqrt(tokens));
  for (const arch of archs) {
    const config = namedDitConfig(arch, {
      input_size: size,
      in_channels: channels,
      caption_channels: captionChannels,
      pos_interp_scale: size / 32,
    });
    if (firstMisfit(tensors, prefix, ditParameters(config)) === null) return { arch, config };
  }
  return null;
}

/** What shapes say of any MicroDiT: "dim 64, depth 4, 4 latent channels, caption width 32". */
export function ditShapeWords(tensors: TensorShapes, prefix = ''): string {
  const shape = extentsIn(tensors, prefix);
  const depth = countOf(
    (index) => `${prefix}blocks.${index}.norm1.weight`,
    (name) => tensors.has(name),
  );
  const [dim = 0, channels = 0] = shape('x_embedder.proj.weight');
  const captions = shape('y_embedder.y_proj.fc1.weight')[1] ?? 0;
  return `dim ${dim}, depth ${depth}, ${channels} latent channels, caption width ${captions}`;
}

// ---- Autoencoders ---------------------------------------------------------------------------------------------------

/** The autoencoders of the released models: what their shapes do not say. */
const knownKl = [
  {
    name: 'SDXL',
    widths: [128, 256, 512, 512],
    channels: 4,
    scale: 0.13025,
    note: 'scaling factor 0.13025 and 32 groups are those of stabilityai/stable-diffusion-xl-base-1.0; the autoencoder of Stable Diffusion 1 and 2 has the same shapes and 0.18215: a config.json beside the file would tell',
  },
  {
    name: 'ostris/vae-kl-f8-d16',
    widths: [128, 128, 256, 512],
    channels: 16,
    scale: 0.2614,
    note: 'scaling factor 0.2614 and 32 groups are those of the present config.json of ostris/vae-kl-f8-d16; one beside the file counts',
  },
] as const;

/** The tensors of one half or both. */
export function klTable(config: KlConfig, half: VaeHalf): ParameterSpec[] {
  return [
    ...(half === 'decoder' ? [] : klEncoderParameters(config)),
    ...(half === 'encoder' ? [] : klDecoderParameters(config)),
  ];
}

/** The configuration of an AutoencoderKL: complete for the two known ones, else only what shapes say in words. */
export function inferKlConfig(tensors: TensorShapes, prefix: string, half: VaeHalf): Inferred<KlConfig> {
  const shape = extentsIn(tensors, prefix);
  const has = (name: string): boolean => tensors.has(prefix + name);
  const side = half === 'encoder' ? 'encoder.down_blocks' : 'decoder.up_blocks';
  const levels = countOf((index) => `${side}.${index}.resnets.0.conv1.weight`, has);
  const resnets = countOf((index) => `${side}.0.resnets.${index}.conv1.weight`, has);
  const widths = Array.from(
    { length: levels },
    (_, index) => shape(`${side}.${index}.resnets.0.conv1.weight`)[0] ?? 0,
  );
  const middle = half === 'encoder' ? 'encoder.mid_block' : 'decoder.mid_block';
  const facts = {
    in_channels: 3,
    out_channels: 3,
    latent_channels:
      half === 'encoder'
        ? (shape('encoder.conv_out.weight')[0] ?? 0) / 2
        : (shape('decoder.conv_in.weight')[1] ?? 0),
    block_out_channels: half === 'encoder' ? widths : widths.toReversed(),
    layers_per_block: half === 'encoder' ? resnets : resnets - 1,
    mid_block_add_attention: has(`${middle}.attentions.0.group_norm.weight`),
    use_quant_conv: has('quant_conv.weight'),
    use_post_quant_conv: has('post_quant_conv.weight'),
  } as const;
  const { latent_channels: channels, block_out_channels: blocks } = facts;
  const words = `levels of ${blocks.join(', ')} channels, ${channels} latent channels`;
  const known = knownKl.find(
    ({ widths: own, channels: z }) => channels === z && own.join() === blocks.join(),
  );
  if (!known) return { config: null, words, notes: [] };
  const config: KlConfig = { ...facts, norm_num_groups: 32, scaling_factor: known.scale };
  if (firstMisfit(tensors, prefix, klTable(config, half)) !== null) {
    return { config: null, words, notes: [] };
  }
  return { config, words: `the shapes of ${known.name}`, notes: [known.note] };
}

/** The name of a known autoencoder with this configuration; null for others. */
export function knownKlName(config: KlConfig): string | null {
  const { latent_channels, block_out_channels, layers_per_block } = config;
  const known = knownKl.find(
    ({ widths, channels }) => latent_channels === channels && widths.join() === block_out_channels.join(),
  );
  return known && layers_per_block === 2 ? known.name : null;
}

/** The tensors of one half or both, in the names of either kind of file. */
export function taesdTable({ latent_channels }: TaesdConfig, half: VaeHalf): ParameterSpec[] {
  return [
    ...(half === 'decoder' ? [] : taesdEncoderParameters(latent_channels)),
    ...(half === 'encoder' ? [] : taesdDecoderParameters(latent_channels)),
  ];
}

/** The configuration of a TAESD. Null for relatives of other layers (TAEF2, TAESANA). */
export function inferTaesdConfig(
  tensors: TensorShapes,
  prefix: string,
  half: VaeHalf,
): Inferred<TaesdConfig> {
  const shape = extentsIn(tensors, prefix);
  const first = (...names: readonly string[]): readonly number[] =>
    names.map(shape).find((extents) => extents.length > 0) ?? [];
  const channels =
    half === 'encoder'
      ? first('encoder.layers.14.weight', '14.weight')[0]
      : first('decoder.layers.0.weight', '1.weight')[1];
  const words = `${channels ?? 'an unknown number of'} latent channels`;
  const config: TaesdConfig = { latent_channels: channels ?? 0 };
  if (!channels || firstMisfit(tensors, prefix, taesdTable(config, half)) !== null) {
    return { config: null, words, notes: [] };
  }
  return { config, words, notes: taesdNotes(channels) };
}

function taesdNotes(channels: number): string[] {
  if (channels === 4) {
    return [
      'a tiny autoencoder for SDXL and one for Stable Diffusion 1 have the same shapes and cannot be told apart: the released 4-channel models need the one for SDXL (madebyollin/taesdxl)',
    ];
  }
  return channels === 16
    ? [
        'tiny autoencoders with 16 channels are made for the latents of Stable Diffusion 3 or FLUX, not for those of ostris/vae-kl-f8-d16: for a released 16-channel model their pictures are wrong',
      ]
    : [];
}

// ---- Text tower -----------------------------------------------------------------------------------------------------

/** The configuration of a CLIP text tower; null where its width is no multiple of 64, the usual width of a head. */
export function inferTextConfig(tensors: TensorShapes, prefix: string): Inferred<TextConfig> {
  const shape = extentsIn(tensors, prefix);
  const has = (name: string): boolean => tensors.has(prefix + name);
  const open = has('token_embedding.weight');
  const [vocab = 0, width = 0] = shape(
    open ? 'token_embedding.weight' : 'text_model.embeddings.token_embedding.weight',
  );
  const [context = 0] = shape(
    open ? 'positional_embedding' : 'text_model.embeddings.position_embedding.weight',
  );
  const layer = (index: number): string =>
    open
      ? `transformer.resblocks.${index}.mlp.c_fc.weight`
      : `text_model.encoder.layers.${index}.mlp.fc1.weight`;
  const layers = countOf(layer, has);
  const hidden = shape(layer(0))[0] ?? 0;
  const words = `width ${width}, ${layers} layers, ${vocab} ids, ${context} positions`;
  if (width === 0 || layers === 0 || width % 64 !== 0) return { config: null, words, notes: [] };
  const config: TextConfig = {
    ...{ context, vocab, width, heads: width / 64, layers },
    ...{ mlpRatio: hidden / width, act: 'quick_gelu', eps: 1e-5 },
  };
  if (firstMisfit(tensors, prefix, textParameters(config)) !== null)
    return { config: null, words, notes: [] };
  const note =
    'heads of 64 channels and the activation QuickGELU are those of apple/DFN5B-CLIP-ViT-H-14-378; open_clip_config.json or config.json beside the file would tell';
  return { config, words, notes: [note] };
}
