/** What stands at a path, in the terms of `tabdit inspect`: format, kind of model, configuration, tensors, settings. */
import { extname, join } from 'node:path';
import { FormatError } from '../core/errors';
import { elementCount } from '../core/shape';
import { isPng } from '../formats/png/chunks';
import { decodePng, readPngSettings } from '../formats/png/png';
import type { TensorFile } from '../formats/tensorFile';
import type { LibraryPart } from '../protocol/library';
import type { Identified } from '../sessions/identifyTypes';
import { nodeFolder } from '../sources/node';
import { readBytes, readHead } from './files';
import { identifiedAt } from './models';
import { digestTensor, type TensorDigest } from './numbers';

export interface DescribeOptions {
  /** Read the values: this many first ones, and the sum. */
  readonly values: number | null;
  readonly sha256: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (stage: string, done: number, total: number) => void;
}

export interface TensorReport extends TensorDigest {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** One of several models in a file. */
export type ModelReport = Pick<
  LibraryPart,
  'kind' | 'prefix' | 'words' | 'config' | 'configFrom' | 'parameters' | 'problem'
>;

/** One file, folder or bundle. */
export interface Report {
  readonly path: string;
  readonly format: 'safetensors' | 'torch' | 'json' | 'png' | 'folder' | 'zip' | 'bundle' | 'file';
  /** Of a model its kind, else what the file is: `tensors`, `refused`, `picture`, `tokenizer`, `dit-config`, `mds`, ... */
  readonly kind: string;
  /** What it is, as a sentence. */
  readonly words: string;
  /** Why it cannot be used as it is; absent when it can. */
  readonly problem?: string;
  readonly config: object | null;
  readonly notes: readonly string[];
  /** Trained values; of files that are no model, all numbers. */
  readonly parameters: number;
  readonly tensors: readonly TensorReport[];
  /** Models of a file with several: kind, config and parameters above are the first one's. */
  readonly models?: readonly ModelReport[];
  /** Text beside the tensors of a safetensors file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A picture's size, and the settings inside it (null: none). */
  readonly picture?: { readonly width: number; readonly height: number; readonly channels: number };
  readonly settings?: unknown;
  /** Of a folder, an archive or a bundle: its weight files and datasets. */
  readonly parts?: readonly Report[];
  /** Of a folder: number of files by extension. */
  readonly files?: Readonly<Record<string, number>>;
}

const nothing = { config: null, notes: [], parameters: 0, tensors: [] } as const;

/** @throws NotFoundError, FormatError */
export async function describePath(path: string, folder: boolean, options: DescribeOptions): Promise<Report> {
  if (!folder && isPng(await readHead(path))) return describePng(path);
  const items = await identifiedAt(path);
  const [item] = items;
  const isArchive =
    !folder && item !== undefined && (item.facts.path !== path || item.facts.format === 'zip');
  if (folder || isArchive) return describeFolder(path, folder, items, options);
  if (!item) throw new FormatError(`${path}: must be a file of some kind: it is not`);
  if (isDamaged(item)) throw new FormatError(item.facts.problem ?? path);
  return describeItem(path, item, options);
}

/** Refused without having been read: nothing more can be said of it. */
const isDamaged = ({ facts, files }: Identified): boolean => facts.kind === 'refused' && files.length === 0;

async function describeFolder(
  path: string,
  folder: boolean,
  items: readonly Identified[],
  options: DescribeOptions,
): Promise<Report> {
  const whole = items.find(({ facts }) => facts.path === path);
  if (whole && isDamaged(whole)) throw new FormatError(whole.facts.problem ?? path);
  if (whole?.bundle) return describeBundle(path, whole, options);
  const parts: Report[] = [];
  for (const item of items) {
    const { kind } = item.facts;
    if (item.files.length === 0 && kind !== 'mds' && kind !== 'refused') continue;
    const inside = folder ? join(path, item.facts.path) : item.facts.path;
    parts.push(await describeItem(item === whole ? path : inside, item, options));
  }
  const only = parts.length === 1 ? parts[0] : undefined;
  if (only && only.path === path) return only;
  return {
    ...nothing,
    path,
    format: folder ? 'folder' : 'zip',
    kind: only?.kind ?? (folder ? 'folder' : 'zip'),
    words: only?.words ?? `${parts.length} weight files or datasets`,
    config: only?.config ?? null,
    parameters: parts.reduce((sum, part) => sum + part.parameters, 0),
    parts,
    ...(folder && { files: await countFiles(path) }),
  };
}

async function countFiles(path: string): Promise<Record<string, number>> {
  const files: Record<string, number> = {};
  for (const name of await (await nodeFolder(path)).list()) {
    const extension = extname(name) || 'none';
    files[extension] = (files[extension] ?? 0) + 1;
  }
  return files;
}

const formats: Readonly<Record<string, Report['format']>> = {
  ...{ safetensors: 'safetensors', 'torch zip': 'torch', 'torch legacy': 'torch', torch: 'torch' },
  ...{ JSON: 'json', PNG: 'png', folder: 'folder', zip: 'zip' },
};

async function describeItem(path: string, item: Identified, options: DescribeOptions): Promise<Report> {
  if (item.bundle) return describeBundle(path, item, options);
  const { facts, parts, files } = item;
  const models = parts.map(({ facts: part }) => part);
  const [first] = models;
  const [opened] = files;
  const problem = facts.problem ?? models.map((part) => part.problem).find((text) => text !== null);
  const tensors = opened ? await describeTensors(path, opened.file, options) : [];
  return {
    path,
    format: formats[facts.format] ?? 'file',
    kind: first?.kind ?? kindOf(item),
    words: facts.words,
    ...(problem != null && { problem }),
    config: first ? first.config : (item.content ?? null),
    notes: facts.notes,
    parameters: first ? first.parameters : tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    tensors,
    ...(models.length > 1 && { models: models.map(modelReport) }),
    ...(opened && { metadata: Object.fromEntries(opened.file.metadata) }),
  };
}

function modelReport(part: LibraryPart): ModelReport {
  const { kind, prefix, words, config, configFrom, parameters, problem } = part;
  return { kind, prefix, words, config, configFrom, parameters, problem };
}

const configKinds = { dit: 'dit-config', vae: 'autoencoder-kl-config', text: 'clip-text-config' } as const;

/** Of what is no model. */
function kindOf({ facts, loose, content }: Identified): string {
  if (loose) return configKinds[loose.role];
  if (facts.format === 'JSON') return content ? 'manifest' : 'json';
  return facts.kind;
}

async function describeBundle(path: string, item: Identified, options: DescribeOptions): Promise<Report> {
  const parts: Report[] = [];
  for (const { facts, content, notes } of item.parts) {
    if (!content || content.role === 'tokenizer') continue;
    const file = join(path, item.bundle!.manifest[content.role].file);
    const { kind, words, config, parameters } = facts;
    const tensors = await describeTensors(file, content.file, options);
    const metadata = Object.fromEntries(content.file.metadata);
    const format = 'format' in content.file ? 'torch' : 'safetensors';
    parts.push({ path: file, format, kind, words, config, notes, parameters, tensors, metadata });
  }
  return {
    ...nothing,
    path,
    format: item.facts.format === 'zip' ? 'zip' : 'bundle',
    kind: 'bundle',
    words: item.facts.words,
    config: item.bundle!.manifest,
    parameters: parts.reduce((sum, part) => sum + part.parameters, 0),
    parts,
  };
}

async function describeTensors(
  path: string,
  file: TensorFile,
  { values, sha256, signal, onProgress }: DescribeOptions,
): Promise<TensorReport[]> {
  const entries = [...file.tensors.values()];
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  let done = 0;
  const tensors: TensorReport[] = [];
  for (const entry of entries) {
    const { name, dtype, shape } = entry;
    tensors.push({ name, dtype, shape, ...(await digestTensor(file.source, entry, values, sha256, signal)) });
    done += entry.bytes;
    if (values !== null || sha256) onProgress(`reading ${path}`, done, total);
  }
  return tensors;
}

async function describePng(path: string): Promise<Report> {
  const bytes = await readBytes(path);
  const { picture } = await decodePng(path, bytes);
  const { width, height, channels } = picture;
  const settings = (await readPngSettings(path, bytes)) ?? null;
  return {
    ...nothing,
    path,
    format: 'png',
    kind: 'picture',
    words: `picture of ${width} x ${height} px`,
    picture: { width, height, channels },
    settings,
  };
}
