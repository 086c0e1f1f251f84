/** What stands at a path, in the terms of `tabdit inspect`: format, kind of model, configuration, tensors, settings. */
import { extname, join } from 'node:path';
import { isFloatDType } from '../core/dtype';
import { elementCount } from '../core/shape';
import { beginsAsSafetensors } from '../formats/fileKind';
import { parseManifest } from '../formats/manifest';
import { openTensorFile } from '../formats/openTensorFile';
import { isPng } from '../formats/png/chunks';
import { decodePng, readPngSettings } from '../formats/png/png';
import { nameText, type TensorEntry } from '../formats/tensorFile';
import type { TorchFile } from '../formats/torch/reader';
import { resolveDitConfig } from '../models/dit/config';
import { parseTokenizerJson } from '../models/text/tokenizerJson';
import { parseKlConfig, parseTextConfig } from '../protocol/schemas';
import { nodeFile, nodeFolder } from '../sources/node';
import { readBytes, readHead, readJsonFile } from './files';
import {
  bundleAt,
  findDitConfig,
  findKlConfig,
  findTextConfig,
  recognise,
  weightExtensions,
} from './models';
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

/** One file, folder or bundle. */
export interface Report {
  readonly path: string;
  readonly format: 'safetensors' | 'torch' | 'json' | 'png' | 'folder' | 'bundle';
  /** A ModelKind, or what the file is otherwise: `picture`, `tokenizer`, `dit-config`, ... */
  readonly kind: string;
  readonly config: object | null;
  readonly notes: readonly string[];
  /** Trained values; of files that are no model, all numbers. */
  readonly parameters: number;
  readonly tensors: readonly TensorReport[];
  /** Text beside the tensors of a safetensors file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A picture's size, and the settings inside it (null: none). */
  readonly picture?: { readonly width: number; readonly height: number; readonly channels: number };
  readonly settings?: unknown;
  /** Of a folder or bundle: its weight files. */
  readonly parts?: readonly Report[];
  /** Of a folder: number of files by extension. */
  readonly files?: Readonly<Record<string, number>>;
}

type Recognised = ReturnType<typeof recognise>;

const nothing = { config: null, notes: [], parameters: 0, tensors: [] } as const;

/** @throws NotFoundError, FormatError */
export async function describePath(path: string, folder: boolean, options: DescribeOptions): Promise<Report> {
  if (folder) return describeFolder(path, options);
  const head = await readHead(path);
  if (isPng(head)) return describePng(path);
  if (
    !beginsAsSafetensors(head) &&
    /^(\ufeff|\u00ef\u00bb\u00bf)?\s*[{[]/.test(String.fromCharCode(...head))
  ) {
    return describeJson(path);
  }
  return describeTensors(path, options);
}

async function describeFolder(path: string, options: DescribeOptions): Promise<Report> {
  const bundle = await bundleAt(path);
  if (bundle) {
    const { manifest } = bundle;
    const parts: Report[] = [];
    for (const { file } of [manifest.dit, manifest.vae, manifest.text]) {
      parts.push(await describePath(join(path, file), false, options));
    }
    const parameters = parts.reduce((sum, part) => sum + part.parameters, 0);
    return { ...nothing, path, format: 'bundle', kind: 'bundle', config: manifest, parameters, parts };
  }
  const names = await (await nodeFolder(path)).list();
  const files: Record<string, number> = {};
  for (const name of names) {
    const extension = extname(name) || 'none';
    files[extension] = (files[extension] ?? 0) + 1;
  }
  const parts: Report[] = [];
  for (const name of names.filter((file) => weightExtensions.includes(extname(file)))) {
    parts.push(await describePath(join(path, name), false, options));
  }
  const only = parts.length === 1 ? parts[0] : undefined;
  return {
    ...nothing,
    path,
    format: 'folder',
    kind: only?.kind ?? 'folder',
    config: only?.config ?? null,
    parameters: parts.reduce((sum, part) => sum + part.parameters, 0),
    parts,
    files,
  };
}

async function describeTensors(path: string, options: DescribeOptions): Promise<Report> {
  const file = await openTensorFile(await nodeFile(path), options.signal);
  const torch = 'format' in file ? file : null;
  const recognised = recognise(file.tensors);
  const found = await configOf(path, file, recognised);
  const entries = [...file.tensors.values()];
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  let done = 0;
  const tensors: TensorReport[] = [];
  for (const entry of entries) {
    const { name, dtype, shape } = entry;
    const digest = await digestTensor(file.source, entry, options.values, options.sha256, options.signal);
    tensors.push({ name, dtype, shape, ...digest });
    done += entry.bytes;
    if (options.values !== null || options.sha256) options.onProgress(`reading ${path}`, done, total);
  }
  return {
    path,
    format: torch ? 'torch' : 'safetensors',
    kind: recognised.kind,
    config: found?.config ?? null,
    notes: [...(found?.notes ?? []), ...unreadNotes(torch)],
    parameters: countParameters(entries, recognised),
    tensors,
    metadata: Object.fromEntries(file.metadata),
  };
}

/** What a torch file holds besides readable tensors. */
function unreadNotes(torch: TorchFile | null): string[] {
  return [...(torch?.unread ?? [])].map(
    ([name, reason]) => `tensor ${nameText(name)} is not read: ${reason}`,
  );
}

function configOf(
  path: string,
  file: Parameters<typeof findDitConfig>[0],
  { kind, prefix }: Recognised,
): Promise<{ readonly config: object; readonly notes: readonly string[] } | null> {
  switch (kind) {
    case 'dit':
      return findDitConfig(file, prefix);
    case 'autoencoder-kl':
      return findKlConfig(path);
    case 'clip-text':
      return findTextConfig(path);
    case 'taesd':
    case 'tensors':
      return Promise.resolve(null);
  }
}

/** A model's trained values: no integers, and not the transformer's two buffers. */
function countParameters(entries: readonly TensorEntry[], { kind, prefix }: Recognised): number {
  const buffers = kind === 'dit' ? [`${prefix}pos_embed`, `${prefix}mask_token`] : [];
  return entries
    .filter(({ name, dtype }) => kind === 'tensors' || (isFloatDType(dtype) && !buffers.includes(name)))
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
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
    picture: { width, height, channels },
    settings,
  };
}

/** A configuration, tokenizer or manifest; other JSON is named as that. */
async function describeJson(path: string): Promise<Report> {
  const json = await readJsonFile(path);
  const report = (kind: string, config: object | null, notes: readonly string[] = []): Report => ({
    ...nothing,
    path,
    format: 'json',
    kind,
    config,
    notes,
  });
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return report('json', null);
  const has = (...fields: readonly string[]): boolean => fields.every((field) => field in json);
  if (has('dit', 'vae', 'text', 'latent')) return report('manifest', parseManifest(path, json));
  if (has('model', 'added_tokens') || has('model', 'pre_tokenizer')) {
    const { vocab, merges, context, pad } = parseTokenizerJson(path, json);
    return report('tokenizer', {
      vocab: vocab.size,
      merges: merges.length,
      context: context ?? null,
      pad: pad ?? null,
    });
  }
  if (has('block_out_channels')) {
    const { config, notes } = parseKlConfig(path, json);
    return report('autoencoder-kl-config', config, notes);
  }
  if (has('model_cfg') || has('text_cfg') || has('hidden_size') || has('text_config')) {
    const { config, notes } = parseTextConfig(path, json);
    return report('clip-text-config', config, notes);
  }
  const inner =
    'config' in json && typeof json.config === 'object' && json.config !== null ? json.config : json;
  if ('dim' in inner || 'arch' in inner) {
    const { config, notes } = resolveDitConfig(json, path);
    return report('dit-config', config, notes);
  }
  return report('json', null);
}
