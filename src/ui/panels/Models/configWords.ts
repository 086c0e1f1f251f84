/** A part's configuration as a person would say it. Fields are read one by one: another program wrote the file. */
import { formatCount } from '../../../core/units';
import type { LibraryPart } from '../../../protocol/library';

/** `28 blocks of width 1024, 8 experts in every other block, …`; '' without a configuration. */
export function configWords({ kind, config }: Pick<LibraryPart, 'kind' | 'config'>): string {
  if (!config) return '';
  const fields = new Map<string, unknown>(Object.entries(config));
  const number = (name: string): number | null => {
    const value = fields.get(name);
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  /** The words around a number, where it is there. */
  const say = (name: string, words: (value: string) => string): string[] => {
    const value = number(name);
    return value === null ? [] : [words(String(value))];
  };
  const together = (...pieces: readonly string[][]): string => pieces.flat().join(', ');
  switch (kind) {
    case 'dit':
      return together(
        say('depth', (depth) => `${depth} blocks`),
        say('dim', (width) => `width ${width}`),
        say('num_experts', (experts) => `${experts} experts`),
        say('patch_mixer_depth', (depth) => `patch mixer of ${depth} blocks`),
        say('input_size', (size) => `latents of ${size} × ${size}`),
        say('in_channels', (channels) => `${channels} channels`),
        say('caption_channels', (channels) => `captions of width ${channels}`),
      );
    case 'autoencoder-kl': {
      const widths = fields.get('block_out_channels');
      return together(
        Array.isArray(widths) ? [`widths ${widths.join(', ')}`] : [],
        say('latent_channels', (channels) => `${channels} latent channels`),
        say('scaling_factor', (factor) => `scaling factor ${factor}`),
      );
    }
    case 'taesd':
      return together(say('latent_channels', (channels) => `${channels} latent channels`));
    case 'clip-text':
      return together(
        say('layers', (layers) => `${layers} layers`),
        say('width', (width) => `width ${width}`),
        say('heads', (heads) => `${heads} heads`),
        say('context', (context) => `${context} tokens a text`),
      );
    case 'tokenizer':
      return together(say('vocab', (words) => `${words} tokens`));
    default:
      kind satisfies never;
      return '';
  }
}

/** `1.17 B values in F32`; with several types, each with its share. */
export function dtypeWords(dtypes: Readonly<Record<string, number>>): string {
  const entries = Object.entries(dtypes).sort(([, a], [, b]) => b - a);
  const [only] = entries;
  if (!only) return '';
  if (entries.length === 1) return only[0];
  return entries.map(([dtype, values]) => `${formatCount(values)} in ${dtype}`).join(', ');
}
