/**
 * Models by path: what `--model`, `--vae`, `--text`, `--tokenizer` and `--config` name. A path is a bundle (a folder
 * with tabdit.json), a folder with one model's files, or a weight file; without one the bundled demo serves.
 *
 * A transformer's configuration is looked for in this order: given, a .json of the same name beside the file, the
 * file's own metadata, the manifest of the bundle that it lies in, the two named models by their shapes.
 */
import { basename, dirname, extname, join } from 'node:path';
import { FormatError, InternalError, NotFoundError } from '../core/errors';
import { readBundle, type Bundle } from '../formats/bundle';
import { manifestName, type BundleManifest } from '../formats/manifest';
import type { TensorFile } from '../formats/tensorFile';
import { resolveDitConfig } from '../models/dit/config';
import { findModels, type FoundModel, type ModelKind, type TensorShapes } from '../models/recognise';
import { inferDitConfig } from '../models/recogniseConfig';
import type { Tokenizer } from '../models/text/context';
import { loadTokenizer } from '../models/text/tokenizer';
import {
  parseKlConfig,
  parseTextConfig,
  type DitConfig,
  type KlConfig,
  type Resolved,
  type TextConfig,
} from '../protocol/schemas';
import { nodeFolder } from '../sources/node';
import { openTensors, pathKind, readJsonFile } from './files';

/** A model part, found and checked, its weights unread. */
export interface ModelPart<Config> {
  readonly file: TensorFile;
  /** In front of every name in the file. */
  readonly prefix: string;
  readonly config: Config;
  /** What its reader wants to tell about the configuration. */
  readonly notes: readonly string[];
  /** The bundle that it is part of. */
  readonly manifest?: BundleManifest;
}

/** Where the command line's own files lie: the project. */
export function projectFile(...parts: readonly string[]): string {
  const root = process.env.TABDIT_ROOT;
  if (root === undefined) throw new InternalError('TABDIT_ROOT: must be set by the launcher: it is not');
  return join(root, ...parts);
}

/** The bundled demo, the default model. */
export const demoPath = (): string => projectFile('public', 'models', 'emoji-64');

/** The bundle in a folder, or null when the path is none. @throws FormatError, NotFoundError for a damaged one */
export async function bundleAt(path: string): Promise<Bundle | null> {
  if ((await pathKind(join(path, manifestName))) !== 'file') return null;
  return readBundle(await nodeFolder(path));
}

/** Extensions of weight files, the better one first. */
export const weightExtensions: readonly string[] = ['.safetensors', '.pt', '.pth', '.bin'];

/**
 * The weight file that a path means: itself, or in a folder the one of `stems` that comes first, else the only one.
 * @throws NotFoundError
 */
async function weightFile(path: string, stems: readonly string[]): Promise<string> {
  if ((await pathKind(path)) !== 'folder') return path;
  const names = (await (await nodeFolder(path)).list()).filter((name) => !name.includes('/'));
  const files = names.filter((name) => weightExtensions.includes(extname(name)));
  const wanted = weightExtensions.flatMap((extension) => stems.map((stem) => stem + extension));
  const chosen = wanted.find((name) => files.includes(name)) ?? (files.length === 1 ? files[0] : undefined);
  if (chosen === undefined) {
    throw new NotFoundError(
      `${path}: a model's folder must have ${stems.join(' or ')} (${weightExtensions.join(', ')}) or one weight file: it has ${files.join(', ') || 'none'}`,
    );
  }
  return join(path, chosen);
}

/** A JSON file beside a weight file: `<name>.json` or one of `others`, the first that `fits`; null when none does. */
async function jsonBeside(
  path: string,
  others: readonly string[],
  fits: (json: object) => boolean,
): Promise<{ readonly name: string; readonly json: object } | null> {
  const own = `${basename(path).replace(/\.[^.]*$/, '')}.json`;
  for (const file of [own, ...others]) {
    const name = join(dirname(path), file);
    if (name === path || (await pathKind(name)) !== 'file') continue;
    const json = await readJsonFile(name);
    if (typeof json === 'object' && json !== null && fits(json)) return { name, json };
  }
  return null;
}

/** The first model in a file. */
export function recognise(tensors: TensorShapes): Omit<FoundModel, 'kind'> & { readonly kind: FileKind } {
  return findModels(tensors)[0] ?? { kind: 'tensors', prefix: '' };
}

/** `tensors`: none of the models that this program knows. */
export type FileKind = ModelKind | 'tensors';

function checkKind(file: TensorFile, wanted: FileKind, what: string): string {
  const { kind, prefix } = recognise(file.tensors);
  if (kind !== wanted) {
    throw new FormatError(`${file.source.name}: must hold ${what}: it holds ${kindWords[kind]}`);
  }
  return prefix;
}

/** The kinds for people. */
export const kindWords: Readonly<Record<FileKind, string>> = {
  dit: 'a diffusion transformer',
  'autoencoder-kl': 'an autoencoder (AutoencoderKL)',
  taesd: 'a tiny autoencoder (TAESD)',
  'clip-text': 'a CLIP text tower',
  tensors: 'tensors of no model known here',
};

/** Configuration of a transformer in `file`; null when nothing says it. See the head of this file. */
export async function findDitConfig(
  file: TensorFile,
  prefix: string,
  given?: string,
): Promise<Resolved<DitConfig> | null> {
  const path = file.source.name;
  if (given !== undefined) return resolveDitConfig(await readJsonFile(given), given);
  // Any file may have that name; only one with a transformer's fields is its configuration.
  const beside = await jsonBeside(path, [], looksLikeDitConfig);
  if (beside) return resolveDitConfig(beside.json, beside.name);
  const own = file.metadata.get('config');
  if (own !== undefined) return resolveDitConfig(parseMetadata(path, own), `${path}: metadata "config"`);
  const bundle = await bundleAt(dirname(path));
  if (bundle && join(dirname(path), bundle.manifest.dit.file) === path) {
    return resolveDitConfig(bundle.dit.config, bundle.dit.configName);
  }
  const inferred = inferDitConfig(file.tensors, prefix);
  return (
    inferred && { config: inferred.config, notes: [`${path}: recognised as ${inferred.arch} by its shapes`] }
  );
}

function looksLikeDitConfig(json: object): boolean {
  const inner =
    'config' in json && typeof json.config === 'object' && json.config !== null ? json.config : json;
  return 'dim' in inner || 'arch' in inner;
}

/** Configuration of the autoencoder in a weight file, from a file beside it; null when there is none. */
export async function findKlConfig(path: string): Promise<Resolved<KlConfig> | null> {
  const found = await jsonBeside(path, ['config.json'], (json) => 'block_out_channels' in json);
  return found && parseKlConfig(found.name, found.json);
}

/** Configuration of the text tower in a weight file, from a file beside it; null when there is none. */
export async function findTextConfig(path: string): Promise<Resolved<TextConfig> | null> {
  const fields = ['model_cfg', 'text_cfg', 'text_config', 'hidden_size'];
  const names = ['open_clip_config.json', 'config.json'];
  const found = await jsonBeside(path, names, (json) => fields.some((field) => field in json));
  return found && parseTextConfig(found.name, found.json);
}

function parseMetadata(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FormatError(`${path}: metadata "config" must be JSON: it is not`, { cause: error });
  }
}

/**
 * The transformer that `--model` names.
 * @throws NotFoundError, FormatError; NotFoundError when nothing says its configuration
 */
export async function findDit(path = demoPath(), configPath?: string): Promise<ModelPart<DitConfig>> {
  const bundle = await bundleAt(path);
  const weights = bundle ? join(path, bundle.manifest.dit.file) : await weightFile(path, ['dit', 'model']);
  const file = await openTensors(weights);
  const prefix = checkKind(file, 'dit', kindWords.dit);
  const found =
    bundle && configPath === undefined
      ? resolveDitConfig(bundle.dit.config, bundle.dit.configName)
      : await findDitConfig(file, prefix, configPath);
  if (!found) {
    throw new NotFoundError(
      `${weights}: a transformer's configuration must be given (--config), beside the file, in its metadata, or be that of MicroDiT_Tiny_2 or MicroDiT_XL_2: there is none`,
    );
  }
  return { file, prefix, ...found, ...(bundle ? { manifest: bundle.manifest } : {}) };
}

/** The autoencoder that `--vae` names. @throws NotFoundError, FormatError */
export async function findVae(path = demoPath()): Promise<ModelPart<KlConfig>> {
  const bundle = await bundleAt(path);
  if (bundle) {
    const file = await openTensors(join(path, bundle.manifest.vae.file));
    const prefix = checkKind(file, 'autoencoder-kl', kindWords['autoencoder-kl']);
    const { config, notes } = parseKlConfig(bundle.vae.configName, bundle.vae.config);
    return { file, prefix, config, notes, manifest: bundle.manifest };
  }
  const inside = (await pathKind(join(path, 'vae'))) === 'folder' ? join(path, 'vae') : path;
  const weights = await weightFile(inside, ['diffusion_pytorch_model', 'vae']);
  const file = await openTensors(weights);
  const prefix = checkKind(file, 'autoencoder-kl', kindWords['autoencoder-kl']);
  const found = await findKlConfig(weights);
  if (!found) throw missingConfig(weights, 'an autoencoder', 'config.json');
  return { file, prefix, ...found };
}

/** The text tower that `--text` names. @throws NotFoundError, FormatError */
export async function findText(path = demoPath()): Promise<ModelPart<TextConfig>> {
  const bundle = await bundleAt(path);
  if (bundle) {
    const file = await openTensors(join(path, bundle.manifest.text.file));
    const prefix = checkKind(file, 'clip-text', kindWords['clip-text']);
    const { config, notes } = parseTextConfig(bundle.text.configName, bundle.text.config);
    return { file, prefix, config, notes, manifest: bundle.manifest };
  }
  const names = ['open_clip_model', 'open_clip_pytorch_model', 'model', 'pytorch_model'];
  const weights = await weightFile(path, names);
  const file = await openTensors(weights);
  const prefix = checkKind(file, 'clip-text', kindWords['clip-text']);
  const found = await findTextConfig(weights);
  if (!found) throw missingConfig(weights, 'a text tower', 'open_clip_config.json or config.json');
  return { file, prefix, ...found };
}

function missingConfig(weights: string, what: string, names: string): NotFoundError {
  return new NotFoundError(
    `${weights}: the configuration of ${what} must lie beside it (${names}): there is none`,
  );
}

/** The tokenizer of the released models, which the project carries. */
export const clipTokenizerPath = (): string => projectFile('public', 'tokenizers', 'clip', 'tokenizer.json');

/**
 * The tokenizer to use: the one given, the one that comes with the text tower, the released models' one.
 * @param context positions of the tower; absent: the tokenizer's own
 * @throws NotFoundError, FormatError
 */
export async function findTokenizer(
  given: string | undefined,
  textPath: string | undefined,
  context?: number,
): Promise<Tokenizer> {
  for (const path of [given, textPath]) {
    if (path === undefined) continue;
    const bundle = await bundleAt(path);
    if (bundle) {
      const { context: own, pad } = bundle.manifest.text;
      return loadTokenizer(bundle.text.tokenizerName, bundle.text.tokenizer, {
        context: context ?? own,
        pad,
      });
    }
    const kind = await pathKind(path);
    const file =
      kind === 'folder'
        ? join(path, 'tokenizer.json')
        : path === given
          ? path
          : join(dirname(path), 'tokenizer.json');
    if (path === given || (await pathKind(file)) === 'file') return readTokenizer(file, context);
  }
  return readTokenizer(clipTokenizerPath(), context);
}

async function readTokenizer(path: string, context: number | undefined): Promise<Tokenizer> {
  return loadTokenizer(path, await readJsonFile(path), context === undefined ? {} : { context });
}

/** @throws FormatError when ids of the tokenizer may lie beyond the tower's vocabulary, or lengths differ */
export function checkTokenizer(tokenizer: Tokenizer, text: TextConfig): void {
  if (tokenizer.vocabSize > text.vocab || tokenizer.context !== text.context) {
    throw new FormatError(
      `tokenizer: must fit the text tower of ${text.vocab} ids and ${text.context} positions: it has ${tokenizer.vocabSize} and ${tokenizer.context}`,
    );
  }
}
