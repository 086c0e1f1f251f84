/**
 * Parts together: what a model still lacks, which of its parts were not made for each other, and the ModelParts of a set
 * that is whole, or of a bundle.
 */
import { FormatError, NotFoundError } from '../core/errors';
import type { Bundle } from '../formats/bundle';
import type { BundleManifest } from '../formats/manifest';
import { openTensorFile } from '../formats/openTensorFile';
import { loadTokenizer } from '../models/text/tokenizer';
import { findModels, type FoundModel, type ModelKind } from '../models/recognise';
import type { MissingPart, Role } from '../protocol/library';
import { identifyPart } from './identifyParts';
import { identifyTokenizer } from './identifyTokenizer';
import type { IdentifiedPart, PartContent, TokenizerContent } from './identifyTypes';
import { checkParts, type ModelParts } from './modelParts';
import { latentChannels } from './vaePlan';

type ContentOf<R extends Role> = Extract<PartContent, { readonly role: R }>;

/** Parts by role, as many as there are. */
export interface PartSet {
  readonly dit: ContentOf<'dit'> | null;
  readonly vae: ContentOf<'vae'> | null;
  readonly text: ContentOf<'text'> | null;
  readonly tokenizer: ContentOf<'tokenizer'> | null;
}

/** Ids of the released models' vocabulary, whose tokenizer comes with the program. */
export const clipVocabulary = 49408;

/** Settings of a model that says none. */
export const usualDefaults: ModelParts['defaults'] = { steps: 30, guidance: 5, prompts: [] };

/** Whether the program's own tokenizer serves: the tower is CLIP's and no other tokenizer is chosen. */
function usesOwnTokenizer({ text, tokenizer }: PartSet): boolean {
  return tokenizer === null && text?.config.vocab === clipVocabulary;
}

// ---- What is missing ------------------------------------------------------------------------------------------------

/** Roles that nothing fills, with the numbers that their parts must have. */
export function missingParts(parts: PartSet): MissingPart[] {
  const missing: MissingPart[] = [];
  const { dit, vae, text } = parts;
  if (!dit) {
    const numbers = [
      ...(vae ? [`${latentChannels(vae.model)} latent channels`] : []),
      ...(text ? [`caption width ${text.config.width}`] : []),
    ];
    const channels = vae ? latentChannels(vae.model) : null;
    const file =
      channels === 16
        ? 'dit_16_channel_37M_real_and_synthetic_data.pt'
        : channels === 4
          ? 'dit_4_channel_37M_real_and_synthetic_data.pt'
          : 'dit_*.pt';
    missing.push({
      role: 'dit',
      words: `A diffusion transformer (MicroDiT)${numbers.length > 0 ? ` with ${numbers.join(' and ')}` : ''}.`,
      where: `VSehwag24/MicroDiT, ckpts/${file} (4.67 GB)`,
    });
  }
  if (!vae) {
    const channels = dit?.config.in_channels;
    missing.push({
      role: 'vae',
      words: `An autoencoder${channels === undefined ? '' : ` with ${channels} latent channels`}.`,
      where: vaePlaces(channels),
    });
  }
  if (!text) {
    missing.push({
      role: 'text',
      words: `A CLIP text tower${dit ? ` of width ${dit.config.caption_channels}` : ''}.`,
      where:
        dit && dit.config.caption_channels !== 1024
          ? 'where the transformer comes from: the released models have width 1024'
          : 'apple/DFN5B-CLIP-ViT-H-14-378, open_clip_pytorch_model.bin (3.95 GB) with open_clip_config.json',
    });
  }
  if (text && !parts.tokenizer && !usesOwnTokenizer(parts)) {
    missing.push({
      role: 'tokenizer',
      words: `A tokenizer.json of ${text.config.vocab.toLocaleString('en')} ids.`,
      where: "beside the text tower's weights; only CLIP's own (49,408 ids) comes with this program",
    });
  }
  return missing;
}

function vaePlaces(channels: number | undefined): string {
  const sdxl =
    'stabilityai/stable-diffusion-xl-base-1.0, folder vae: diffusion_pytorch_model.safetensors (335 MB) with config.json';
  const tiny = 'madebyollin/taesdxl (5 MB) for a fast, coarser one';
  const ostris = 'ostris/vae-kl-f8-d16: diffusion_pytorch_model.safetensors (115 MB) with config.json';
  if (channels === 4) return `${sdxl}; ${tiny}`;
  if (channels === 16) return ostris;
  return channels === undefined
    ? `${sdxl}, or ${ostris}`
    : 'where the transformer comes from: the released models have 4 or 16 channels';
}

// ---- What does not fit ----------------------------------------------------------------------------------------------

/** Parts that were not made for each other, one sentence each. */
export function conflictsOf({ dit, vae, text, tokenizer }: PartSet): string[] {
  const conflicts: string[] = [];
  if (dit && vae && dit.config.in_channels !== latentChannels(vae.model)) {
    const channels = dit.config.in_channels;
    conflicts.push(
      `The autoencoder must have the transformer's ${channels} latent channels: ${vae.file.source.name} has ${latentChannels(vae.model)}. ${vaeWish(channels)}`,
    );
  }
  if (vae?.half === 'encoder') {
    conflicts.push(
      `The autoencoder must have a decoder, to make pictures of latents: ${vae.file.source.name} has the encoder only.`,
    );
  }
  if (dit && text && dit.config.caption_channels !== text.config.width) {
    conflicts.push(
      `The text tower must have the transformer's caption width ${dit.config.caption_channels}: ${text.file.source.name} has ${text.config.width}.${dit.config.caption_channels === 1024 ? ' The released models want apple/DFN5B-CLIP-ViT-H-14-378.' : ''}`,
    );
  }
  if (text && tokenizer) conflicts.push(...tokenizerConflicts(text, tokenizer));
  return conflicts;
}

function vaeWish(channels: number): string {
  if (channels === 4)
    return 'The released 4-channel models want that of stabilityai/stable-diffusion-xl-base-1.0.';
  if (channels === 16) return 'The released 16-channel model wants ostris/vae-kl-f8-d16.';
  return 'It must be the one that the transformer was trained with.';
}

function tokenizerConflicts(text: ContentOf<'text'>, { name, vocab, context }: TokenizerContent): string[] {
  const { config } = text;
  const conflicts: string[] = [];
  const ids = (count: number): string => count.toLocaleString('en');
  // Vocabularies are padded to round numbers at most: one much smaller than the tower's belongs to another tower.
  if (vocab > config.vocab || vocab < 0.9 * config.vocab) {
    conflicts.push(
      `The tokenizer must be made for the text tower's vocabulary of ${ids(config.vocab)} ids: ${name} has ${ids(vocab)}.`,
    );
  }
  if (context !== null && context !== config.context) {
    conflicts.push(
      `The tokenizer must give the text tower's ${config.context} ids per text: ${name} gives ${context}.`,
    );
  }
  return conflicts;
}

// ---- Whole models ---------------------------------------------------------------------------------------------------

/** Where the program's own tokenizer comes from. */
export type OwnTokenizer = () => Promise<{ readonly name: string; readonly json: unknown }>;

/**
 * The model of a set of parts.
 * @param manifest of the bundle that the transformer comes from
 * @throws NotFoundError naming what is missing, FormatError naming what does not fit
 */
export async function modelOf(
  parts: PartSet,
  ownTokenizer: OwnTokenizer,
  manifest?: BundleManifest,
): Promise<ModelParts> {
  const what = manifest?.name ?? 'model';
  const missing = missingParts(parts);
  if (missing.length > 0) {
    throw new NotFoundError(
      `${what}: all of its parts must be there: ${missing.map(({ words }) => words.replace(/\.$/, '')).join('; ')}`,
    );
  }
  const conflicts = conflictsOf(parts);
  if (conflicts.length > 0)
    throw new FormatError(`${what}: its parts must fit each other: ${conflicts.join(' ')}`);
  const { dit, vae, text } = parts as { [R in 'dit' | 'vae' | 'text']: ContentOf<R> };
  const { name, json } = parts.tokenizer ?? (await ownTokenizer());
  const pad = parts.tokenizer?.pad ?? null;
  const tokenizer = loadTokenizer(name, json, {
    context: text.config.context,
    ...(pad === null ? {} : { pad }),
  });
  const stem = dit.file.source.name.replace(/^.*[\\/]/, '').replace(/\.[^.]*$/, '');
  const model: ModelParts = {
    name: manifest?.name ?? stem,
    title: manifest?.title ?? stem,
    licence: manifest?.licence ?? '',
    defaults: manifest?.defaults ?? usualDefaults,
    dit: { file: dit.file, prefix: dit.prefix, config: dit.config },
    vae: { file: vae.file, prefix: vae.prefix, model: vae.model },
    text: { file: text.file, prefix: text.prefix, config: text.config, tokenizer },
  };
  checkParts(model);
  return model;
}

/** What a bundle's manifest names, opened and checked. */
export interface BundleParts {
  readonly dit: IdentifiedPart;
  readonly vae: IdentifiedPart;
  readonly text: IdentifiedPart;
  readonly tokenizer: IdentifiedPart;
}

/**
 * Opens a bundle's weight files (their indices only) and reads its configurations.
 * @throws FormatError, NotFoundError when a file is not the part that the manifest says, or cannot be used
 */
export async function openBundleParts(bundle: Bundle, signal?: AbortSignal): Promise<BundleParts> {
  const open = async (
    role: 'dit' | 'vae' | 'text',
    kinds: readonly ModelKind[],
    what: string,
  ): Promise<IdentifiedPart> => {
    const { file: source, config, configName } = bundle[role];
    const file = await openTensorFile(source, signal);
    const found = findModels(file.tensors).find(({ kind }: FoundModel) => kinds.includes(kind));
    if (!found) throw new FormatError(`${source.name}: must hold ${what}, as the manifest says: it does not`);
    const json = typeof config === 'object' && config !== null ? config : {};
    const part = identifyPart(file, found, [{ name: configName, json, rank: 'given' }]);
    if (part.facts.problem !== null) throw new FormatError(part.facts.problem);
    return part;
  };
  const { text, manifest } = bundle;
  return {
    dit: await open('dit', ['dit'], 'a diffusion transformer'),
    vae: await open('vae', ['autoencoder-kl', 'taesd'], 'an autoencoder'),
    text: await open('text', ['clip-text'], 'a CLIP text tower'),
    tokenizer: identifyTokenizer(text.tokenizerName, text.tokenizer, text.tokenizerBytes, manifest.text),
  };
}

/**
 * The model of a bundle.
 * @throws FormatError, NotFoundError
 */
export async function bundleParts(bundle: Bundle, signal?: AbortSignal): Promise<ModelParts> {
  const { dit, vae, text, tokenizer } = await openBundleParts(bundle, signal);
  const parts = {
    dit: dit.content,
    vae: vae.content,
    text: text.content,
    tokenizer: tokenizer.content,
  } as PartSet;
  const none = (): never => {
    throw new NotFoundError(`${bundle.folder.name}: a bundle must have its own tokenizer: it has none`);
  };
  return modelOf(parts, none, bundle.manifest);
}
