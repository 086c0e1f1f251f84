/**
 * Models by path: what `--model`, `--vae`, `--text`, `--tokenizer` and `--config` name. A path is a weight file, a folder
 * or a ZIP archive with files of one or several models (a bundle among them); without one the bundled demo serves. What
 * the files are is told as on the page (src/sessions/identify.ts).
 */
import { basename, dirname, join } from 'node:path';
import { FormatError, InternalError, NotFoundError } from '../core/errors';
import type { Bundle } from '../formats/bundle';
import type { BundleManifest } from '../formats/manifest';
import type { TensorFile } from '../formats/tensorFile';
import type { Tokenizer } from '../models/text/context';
import { loadTokenizer } from '../models/text/tokenizer';
import type { Role } from '../protocol/library';
import type { DitConfig, TextConfig } from '../protocol/schemas';
import type { VaeHalf, VaeModel } from '../protocol/vae';
import { identify, identifyOne } from '../sessions/identify';
import { identifyPart } from '../sessions/identifyParts';
import type { Identified, IdentifiedPart, PartContent } from '../sessions/identifyTypes';
import { nodeFile, nodeFolder } from '../sources/node';
import { pathKind, readJsonFile, shallowFolder } from './files';

/** A model part, found and checked, its weights unread. */
export interface FoundPart {
  readonly file: TensorFile;
  /** In front of every name in the file. */
  readonly prefix: string;
  /** What its reader wants to tell about the configuration. */
  readonly notes: readonly string[];
  /** The bundle that it is part of. */
  readonly manifest?: BundleManifest;
}

export interface ModelPart<Config> extends FoundPart {
  readonly config: Config;
}

/** An autoencoder of either kind, or one half of it. */
export interface VaePart extends FoundPart {
  readonly model: VaeModel;
  readonly half: VaeHalf;
}

/** Where the command line's own files lie: the project. */
export function projectFile(...parts: readonly string[]): string {
  const root = process.env.TABDIT_ROOT;
  if (root === undefined) throw new InternalError('TABDIT_ROOT: must be set by the launcher: it is not');
  return join(root, ...parts);
}

/** The bundled demo, the default model. */
export const demoPath = (): string => projectFile('public', 'models', 'emoji-64');

/** What was found at paths before: a call asks for several parts of one path. */
const seen = new Map<string, Promise<readonly Identified[]>>();

/**
 * Everything at a path: of a folder or an archive all that is in it, of a file what it is, with the JSON files beside it
 * as its configuration. Paths of items are relative to a folder, and begin with `path` otherwise.
 * @throws NotFoundError when there is nothing
 */
export function identifiedAt(path: string): Promise<readonly Identified[]> {
  let items = seen.get(path);
  if (!items) seen.set(path, (items = identifyPath(path)));
  return items;
}

async function identifyPath(path: string): Promise<readonly Identified[]> {
  if ((await pathKind(path)) === 'folder') return identify(await nodeFolder(path));
  await nodeFile(path); // names the file when it is not one
  return identifyOne(await shallowFolder(dirname(path)), basename(path), path);
}

/** The bundle that a folder or an archive is, or null. @throws FormatError, NotFoundError for a damaged one */
export async function bundleAt(path: string): Promise<Bundle | null> {
  const items = await identifiedAt(path);
  const own = items.find(({ facts }) => facts.path === path && ['folder', 'zip'].includes(facts.format));
  if (own?.facts.kind === 'refused') throw new FormatError(own.facts.problem ?? path);
  const bundles = items.filter(({ bundle }) => bundle);
  return own?.bundle ?? (bundles.length === 1 && items.length === 1 ? (bundles[0]!.bundle ?? null) : null);
}

/** Extensions of weight files, the better one first. */
const weightExtensions: readonly string[] = ['.safetensors', '.pt', '.pth', '.bin'];

/** The kinds for people. */
const roleWords: Readonly<Record<Role, string>> = {
  dit: 'a diffusion transformer (MicroDiT)',
  vae: 'an autoencoder (AutoencoderKL or TAESD)',
  text: 'a CLIP text tower',
  tokenizer: 'a tokenizer',
};

interface Candidate {
  readonly part: IdentifiedPart;
  readonly item: Identified;
  /** Lower is better. */
  readonly rank: number;
}

/**
 * The part of a role at a path. Of several that of a bundle, then that whose file has the best of the usual names.
 * @throws NotFoundError when there is none or no best one
 */
async function findPart(path: string, role: Role, stems: readonly string[]): Promise<Candidate> {
  const items = await identifiedAt(path);
  const candidates: Candidate[] = [];
  for (const item of items) {
    for (const part of item.parts) {
      if (part.facts.role !== role) continue;
      const rank = item.bundle ? -1 : rankOf(item.facts.path, stems) + (part.content ? 0 : 1e4);
      candidates.push({ part, item, rank });
    }
  }
  const [best, next] = candidates.sort((a, b) => a.rank - b.rank);
  if (!best) throw new (items.length === 1 ? FormatError : NotFoundError)(lacking(path, role, items));
  if (next?.rank === best.rank && next.item !== best.item) {
    const names = candidates.map(({ item }) => item.facts.path).join(', ');
    throw new NotFoundError(
      `${path}: must hold one file with ${roleWords[role]}, or one named ${stems.join(' or ')} (${weightExtensions.join(', ')}): it has ${names}`,
    );
  }
  return best;
}

/** By its name's place among the usual ones, safetensors first; files deeper inside come later. */
function rankOf(path: string, stems: readonly string[]): number {
  const name = basename(path);
  const extension = weightExtensions.findIndex((end) => name.toLowerCase().endsWith(end));
  const stem = extension < 0 ? -1 : stems.indexOf(name.slice(0, -weightExtensions[extension]!.length));
  return stem < 0 ? 1000 : 10 * extension + stem + 100 * Math.min(5, path.split('/').length);
}

function lacking(path: string, role: Role, items: readonly Identified[]): string {
  const [item] = items;
  if (item && items.length === 1) {
    return item.facts.problem ?? `${path}: must hold ${roleWords[role]}: it holds ${holds(item)}`;
  }
  const problem = items.find(({ facts }) => facts.problem !== null)?.facts.problem;
  const rest = problem == null ? '' : ` (${problem})`;
  return `${path}: must have a file with ${roleWords[role]}: none of its ${items.length} files is one${rest}`;
}

const holds = ({ parts, facts }: Identified): string =>
  parts.map((part) => part.facts.words).join(' and ') || facts.words;

/** What a part needs to be loaded. @throws NotFoundError when nothing says its configuration, FormatError */
function usable<R extends PartContent['role']>(
  { part, item }: Pick<Candidate, 'part' | 'item'>,
  role: R,
  hint = '',
): Extract<PartContent, { readonly role: R }> & FoundPart {
  const { content, facts, notes } = part;
  if (content?.role !== role) {
    const problem = `${facts.problem ?? item.facts.path}${facts.config ? '' : hint}`;
    throw new (facts.config ? FormatError : NotFoundError)(problem);
  }
  const manifest = item.bundle?.manifest;
  return { ...content, notes, ...(manifest && { manifest }) } as Extract<PartContent, { readonly role: R }> &
    FoundPart;
}

/**
 * The transformer that `--model` names.
 * @param configPath in place of what lies beside it
 * @throws NotFoundError, FormatError; NotFoundError when nothing says its configuration
 */
export async function findDit(path = demoPath(), configPath?: string): Promise<ModelPart<DitConfig>> {
  const found = await findPart(path, 'dit', ['dit', 'model']);
  if (configPath === undefined) return usable(found, 'dit', '; give it with --config');
  const { found: model, file } = found.part;
  if (!model || !file) throw new InternalError(`${path}: a part of weights must know its file: it does not`);
  const json = (await readJsonFile(configPath)) as object;
  const part = identifyPart(file, model, [{ name: configPath, json, rank: 'given' }]);
  // a configuration that cannot be read at all is the user's, not a lack
  if (part.facts.problem !== null) throw new FormatError(part.facts.problem);
  return usable({ part, item: found.item }, 'dit');
}

/** The autoencoder that `--vae` names. @throws NotFoundError, FormatError */
export async function findVae(path = demoPath()): Promise<VaePart> {
  return usable(await findPart(path, 'vae', ['diffusion_pytorch_model', 'vae']), 'vae');
}

/** The text tower that `--text` names. @throws NotFoundError, FormatError */
export async function findText(path = demoPath()): Promise<ModelPart<TextConfig>> {
  const names = ['open_clip_model', 'open_clip_pytorch_model', 'model', 'pytorch_model'];
  return usable(await findPart(path, 'text', names), 'text');
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
  if (given !== undefined) {
    return tokenizerOf((await findPart(given, 'tokenizer', [])).part, given, context);
  }
  const beside = textPath === undefined ? undefined : await tokenizerBeside(textPath);
  if (beside) return tokenizerOf(beside, textPath!, context);
  const own = clipTokenizerPath();
  return loadTokenizer(own, await readJsonFile(own), context === undefined ? {} : { context });
}

/** The tokenizer in the text tower's bundle, folder or archive, or beside its file. */
async function tokenizerBeside(textPath: string): Promise<IdentifiedPart | undefined> {
  const own = (await identifiedAt(textPath)).flatMap(({ parts }) => parts);
  const inside = own.find(({ facts }) => facts.role === 'tokenizer');
  if (inside) return inside;
  const file = (await pathKind(textPath)) === 'folder' ? textPath : dirname(textPath);
  const path = join(file, 'tokenizer.json');
  if ((await pathKind(path)) !== 'file') return undefined;
  return (await findPart(path, 'tokenizer', [])).part;
}

/** Loads a tokenizer that was found; the manifest's context holds where the tower's is not known. */
function tokenizerOf({ content }: IdentifiedPart, path: string, context: number | undefined): Tokenizer {
  if (content?.role !== 'tokenizer') throw new FormatError(`${path}: must hold a tokenizer: it does not`);
  const length = context ?? content.context;
  return loadTokenizer(content.name, content.json, {
    ...(length === null ? {} : { context: length }),
    ...(content.pad === null ? {} : { pad: content.pad }),
  });
}

/** @throws FormatError when ids of the tokenizer may lie beyond the tower's vocabulary, or lengths differ */
export function checkTokenizer(tokenizer: Tokenizer, text: TextConfig): void {
  if (tokenizer.vocabSize > text.vocab || tokenizer.context !== text.context) {
    throw new FormatError(
      `tokenizer: must fit the text tower of ${text.vocab} ids and ${text.context} positions: it has ${tokenizer.vocabSize} and ${tokenizer.context}`,
    );
  }
}
