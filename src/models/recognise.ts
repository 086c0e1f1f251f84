/**
 * What a weight file holds, told by the names of its tensors, and the configuration of the two named transformers, told
 * by their shapes. Needs the index only.
 */
import { sameShape, type Shape } from '../core/shape';
import type { DitConfig } from '../protocol/schemas';
import { namedDitConfig, type DitArch } from './dit/config';
import { ditParameters } from './dit/parameters';

/** `tensors`: none of the models that this program knows. */
export type ModelKind = 'dit' | 'autoencoder-kl' | 'taesd' | 'clip-text' | 'tensors';

export interface Recognised {
  readonly kind: ModelKind;
  /** In front of the model's names in this file: '' or `dit.` and the like. */
  readonly prefix: string;
}

/** As much of a tensor as recognising takes. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: Shape }>;

/** Names that every file of a kind has; the first one's place gives the prefix. Tried in this order. */
const marks: readonly { readonly kind: ModelKind; readonly names: readonly string[] }[] = [
  { kind: 'dit', names: ['x_embedder.proj.weight', 'final_layer.linear.weight', 't_embedder.mlp.0.weight'] },
  { kind: 'autoencoder-kl', names: ['decoder.conv_in.weight', 'decoder.conv_norm_out.weight'] },
  { kind: 'taesd', names: ['decoder.layers.0.weight', 'encoder.layers.0.weight'] },
  { kind: 'clip-text', names: ['token_embedding.weight', 'ln_final.weight', 'positional_embedding'] },
  {
    kind: 'clip-text',
    names: ['text_model.embeddings.token_embedding.weight', 'text_model.final_layer_norm.weight'],
  },
];

/** What the tensors of a file are. */
export function recognise(tensors: TensorShapes): Recognised {
  for (const { kind, names } of marks) {
    const [first = '', ...others] = names;
    for (const name of tensors.keys()) {
      if (!name.endsWith(first)) continue;
      const prefix = name.slice(0, name.length - first.length);
      if (prefix !== '' && !prefix.endsWith('.')) continue;
      if (others.every((other) => tensors.has(prefix + other))) return { kind, prefix };
    }
  }
  return { kind: 'tensors', prefix: '' };
}

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
  const shape = (name: string): Shape => tensors.get(prefix + name)?.shape ?? [];
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
    const table = ditParameters(config);
    const fits = table.every((spec) => {
      const entry = tensors.get(prefix + spec.name);
      return entry !== undefined && sameShape(entry.shape, spec.shape);
    });
    if (fits) return { arch, config };
  }
  return null;
}
