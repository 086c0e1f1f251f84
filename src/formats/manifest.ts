/**
 * tabdit.json: what a bundle is and which files its parts are in. Unknown fields are passed over, so that bundles of a
 * later program still load.
 */
import { FormatError } from '../core/errors';

/** Name of the manifest in its folder. */
export const manifestName = 'tabdit.json';

/** A weight file and the file with its configuration; paths are relative to the bundle. */
export interface BundlePart {
  readonly file: string;
  readonly config: string;
}

/** A bundle's manifest, in the file's own names. */
export interface BundleManifest {
  /** Short name, without spaces: part of file names. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Terms and attribution, to be shown with what the model makes. */
  readonly licence: string;
  /** Pixels along an edge of the pictures. */
  readonly image_size: number;
  readonly latent: { readonly channels: number; readonly size: number; readonly scaling_factor: number };
  readonly dit: BundlePart;
  readonly vae: BundlePart;
  readonly text: BundlePart & { readonly tokenizer: string; readonly context: number; readonly pad: number };
  readonly defaults: {
    readonly steps: number;
    readonly guidance: number;
    readonly prompts: readonly string[];
  };
}

/**
 * Checks a parsed manifest.
 * @throws FormatError naming the field, the rule and the value; `what` names the file
 */
export function parseManifest(what: string, json: unknown): BundleManifest {
  const root = fieldsOf(what, '', json);
  const latent = root.part('latent');
  const dit = root.part('dit');
  const vae = root.part('vae');
  const text = root.part('text');
  const defaults = root.part('defaults', {});
  return {
    name: root.text('name'),
    title: root.text('title', root.text('name')),
    description: root.text('description', ''),
    licence: root.text('licence', ''),
    image_size: root.count('image_size', 1),
    latent: {
      channels: latent.count('channels', 1),
      size: latent.count('size', 1),
      scaling_factor: latent.positive('scaling_factor'),
    },
    dit: { file: dit.text('file'), config: dit.text('config') },
    vae: { file: vae.text('file'), config: vae.text('config') },
    text: {
      file: text.text('file'),
      config: text.text('config'),
      tokenizer: text.text('tokenizer'),
      context: text.count('context', 2),
      pad: text.count('pad', 0),
    },
    defaults: {
      steps: defaults.count('steps', 2, 30),
      guidance: defaults.positive('guidance', 5),
      prompts: defaults.texts('prompts', []),
    },
  };
}

/** Typed access to the fields of one object; a field without a fallback must be there. */
interface Fields {
  text(field: string, fallback?: string): string;
  texts(field: string, fallback: readonly string[]): readonly string[];
  /** A whole number from `least` up. */
  count(field: string, least: number, fallback?: number): number;
  positive(field: string, fallback?: number): number;
  part(field: string, fallback?: object): Fields;
}

function fieldsOf(what: string, prefix: string, json: unknown): Fields {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new FormatError(`${what}: ${prefix.slice(0, -1) || 'the file'}: must be an object: ${shown(json)}`);
  }
  const values = new Map<string, unknown>(Object.entries(json));
  const read = <T>(
    field: string,
    rule: string,
    fallback: T | undefined,
    is: (value: unknown) => value is T,
  ): T => {
    const value = values.get(field);
    if (value === undefined && fallback !== undefined) return fallback;
    if (!is(value)) throw new FormatError(`${what}: ${prefix}${field}: must be ${rule}: ${shown(value)}`);
    return value;
  };
  const isText = (value: unknown): value is string => typeof value === 'string';
  return {
    text: (field, fallback) =>
      read(
        field,
        'a text that is not empty',
        fallback,
        (value): value is string => isText(value) && value !== '',
      ),
    texts: (field, fallback) =>
      read(
        field,
        'a list of texts',
        fallback,
        (value): value is readonly string[] => isList(value) && value.every(isText),
      ),
    count: (field, least, fallback) =>
      read(
        field,
        `a whole number from ${least}`,
        fallback,
        (value): value is number => Number.isSafeInteger(value) && (value as number) >= least,
      ),
    positive: (field, fallback) =>
      read(
        field,
        'a number above 0',
        fallback,
        (value): value is number => typeof value === 'number' && value > 0 && Number.isFinite(value),
      ),
    part: (field, fallback) => fieldsOf(what, `${prefix}${field}.`, values.get(field) ?? fallback),
  };
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function shown(value: unknown): string {
  return value === undefined ? 'it is missing' : (JSON.stringify(value) ?? typeof value).slice(0, 80);
}
