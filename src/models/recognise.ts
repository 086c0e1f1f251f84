/**
 * Which models a weight file holds, told by the names of its tensors: all of them, as a checkpoint of a training run
 * holds transformer, autoencoder and text tower under prefixes of their own. Needs the index only.
 *
 * What their configurations are is told in recogniseConfig.ts, what a file is that holds none of them in
 * recogniseOthers.ts.
 */
import { sameShape, shapeText, type Shape } from '../core/shape';
import type { VaeHalf } from '../protocol/vae';
import type { ParameterSpec } from './parameters';

/** The models that this program knows. */
export type ModelKind = 'dit' | 'autoencoder-kl' | 'taesd' | 'clip-text';

/** A model in a file. */
export interface FoundModel {
  readonly kind: ModelKind;
  /** In front of the model's names in this file: '' or `dit.` and the like. */
  readonly prefix: string;
  /** Of an autoencoder. */
  readonly half?: VaeHalf;
}

/** As much of a tensor as recognising takes. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: Shape }>;

/** Names that every file of a kind has; the first one's place gives the prefix. */
interface Mark {
  readonly kind: ModelKind;
  readonly half?: 'encoder' | 'decoder';
  readonly names: readonly [string, ...string[]];
  /** Prefixes that belong to another naming of the same tensors. */
  readonly not?: RegExp;
}

const marks: readonly Mark[] = [
  {
    kind: 'dit',
    // the first two are MicroDiT's own, the others those of every descendant of DiT
    names: [
      'pooled_y_emb_process.fc1.weight',
      'y_emb_preprocess.attn.qkv.weight',
      'x_embedder.proj.weight',
      'final_layer.linear.weight',
    ],
  },
  {
    kind: 'autoencoder-kl',
    half: 'encoder',
    names: ['encoder.conv_norm_out.weight', 'encoder.conv_in.weight', 'encoder.conv_out.weight'],
  },
  {
    kind: 'autoencoder-kl',
    half: 'decoder',
    names: ['decoder.conv_norm_out.weight', 'decoder.conv_in.weight', 'decoder.conv_out.weight'],
  },
  // diffusers' names, then those of the original files, which hold one half each
  { kind: 'taesd', half: 'encoder', names: ['encoder.layers.0.weight', 'encoder.layers.1.conv.0.weight'] },
  { kind: 'taesd', half: 'decoder', names: ['decoder.layers.0.weight', 'decoder.layers.2.conv.0.weight'] },
  {
    kind: 'taesd',
    half: 'encoder',
    names: ['14.weight', '0.weight', '1.conv.0.weight', '13.conv.4.weight'],
    not: /(^|\.)encoder\.layers\.$/,
  },
  { kind: 'taesd', half: 'decoder', names: ['19.weight', '1.weight', '3.conv.0.weight', '18.conv.4.weight'] },
  // open_clip's names, then Hugging Face's
  { kind: 'clip-text', names: ['token_embedding.weight', 'ln_final.weight', 'positional_embedding'] },
  {
    kind: 'clip-text',
    names: [
      'text_model.embeddings.token_embedding.weight',
      'text_model.final_layer_norm.weight',
      'text_model.embeddings.position_embedding.weight',
    ],
  },
];

/** Prefixes under which a file has all of these names, in the file's order. */
export function prefixesOf(tensors: ReadonlyMap<string, unknown>, names: readonly string[]): string[] {
  const [first = '', ...others] = names;
  const prefixes: string[] = [];
  for (const name of tensors.keys()) {
    if (!name.endsWith(first)) continue;
    const prefix = name.slice(0, name.length - first.length);
    if (prefix !== '' && !prefix.endsWith('.')) continue;
    if (others.every((other) => tensors.has(prefix + other))) prefixes.push(prefix);
  }
  return prefixes;
}

/** Every model in a file: transformers first, then autoencoders, then text towers. Halves of one autoencoder are one. */
export function findModels(tensors: TensorShapes): FoundModel[] {
  const found = new Map<string, FoundModel>();
  for (const { kind, half, names, not } of marks) {
    for (const prefix of prefixesOf(tensors, names)) {
      if (not?.test(prefix)) continue;
      const key = `${kind} ${prefix}`;
      const other = found.get(key)?.half;
      found.set(key, {
        kind,
        prefix,
        ...(half && { half: other && other !== half ? 'both' : half }),
      });
    }
  }
  return [...found.values()];
}

/** The tensors of a parameter, in its pieces' order; null when the file has not all of them. */
function piecesOf<Tensor extends { readonly shape: Shape }>(
  tensors: ReadonlyMap<string, Tensor>,
  prefix: string,
  spec: ParameterSpec,
): { readonly names: readonly string[]; readonly entries: readonly Tensor[]; readonly shape: Shape } | null {
  for (const name of [spec.name, ...(spec.aliases ?? [])]) {
    const entry = tensors.get(prefix + name);
    if (entry) return { names: [prefix + name], entries: [entry], shape: spec.shape };
  }
  const names = (spec.stacked ?? []).map((name) => prefix + name);
  const entries = names.flatMap((name) => tensors.get(name) ?? []);
  if (names.length === 0 || entries.length < names.length) return null;
  return { names, entries, shape: [spec.shape[0]! / names.length, ...spec.shape.slice(1)] };
}

/** Those tensors of a file that a parameter table reads. */
export function tableEntries<Tensor extends { readonly shape: Shape }>(
  tensors: ReadonlyMap<string, Tensor>,
  prefix: string,
  specs: readonly ParameterSpec[],
): Tensor[] {
  return specs.flatMap((spec) => piecesOf(tensors, prefix, spec)?.entries ?? []);
}

const dense = (shape: Shape): Shape => shape.filter((extent) => extent !== 1);

/**
 * The first thing in a file that a parameter table does not agree with, as the end of a sentence; null when the file
 * has every tensor in its shape. Axes of extent 1 do not count, as when weights are loaded.
 */
export function firstMisfit(
  tensors: TensorShapes,
  prefix: string,
  specs: readonly ParameterSpec[],
): string | null {
  for (const spec of specs) {
    const pieces = piecesOf(tensors, prefix, spec);
    if (!pieces) return `tensor ${prefix}${spec.name} must be in the file: it is not`;
    const wrong = pieces.entries.findIndex(({ shape }) => !sameShape(dense(shape), dense(pieces.shape)));
    if (wrong >= 0) {
      return `tensor ${pieces.names[wrong]!} must have shape ${shapeText(pieces.shape)}: it has ${shapeText(pieces.entries[wrong]!.shape)}`;
    }
  }
  return null;
}
