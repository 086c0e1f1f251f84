/** One file of a drop: a weight file with its models, a JSON file, a picture, or something else. */
import { messageOf, TabditError } from '../core/errors';
import { beginsAsSafetensors, knownKind } from '../formats/fileKind';
import { openTensorFile } from '../formats/openTensorFile';
import { isPng } from '../formats/png/chunks';
import { readPngHead } from '../formats/png/head';
import { nameText, type TensorFile } from '../formats/tensorFile';
import type { TorchFile } from '../formats/torch/reader';
import { findModels, type FoundModel } from '../models/recognise';
import { isForeignTower, nameOther } from '../models/recogniseOthers';
import type { ItemKind } from '../protocol/library';
import { parsePictureSettings } from '../protocol/pictureSettings';
import type { ByteSource } from '../sources/byteSource';
import { identifyJson } from './identifyJson';
import { identifyPart, type ConfigCandidate } from './identifyParts';
import type { Identified, IdentifiedPart } from './identifyTypes';

/** JSON beside a weight file that may be its configuration, the better one first. */
export type NearbyConfigs = () => Promise<readonly ConfigCandidate[]>;

/** An item without parts or files. */
export function plainItem(
  path: string,
  bytes: number,
  facts: { kind: ItemKind; format: string; words: string; problem?: string; notes?: readonly string[] },
): Identified {
  return {
    facts: { path, bytes, problem: null, notes: [], ...facts },
    parts: [],
    files: [],
  };
}

/** A file that cannot be read. */
export function refusedItem(path: string, bytes: number, format: string, problem: string): Identified {
  return plainItem(path, bytes, {
    kind: 'refused',
    format,
    words: format === 'file' ? 'A file that cannot be read' : `${format}, cannot be read`,
    problem,
  });
}

/** Runs `make`; whatever a bad file makes it throw becomes a refused item. @throws AbortError */
export async function orRefused<T>(
  path: string,
  format: string,
  make: () => Promise<T>,
  signal?: AbortSignal,
  bytes = 0,
): Promise<T | Identified> {
  try {
    return await make();
  } catch (error) {
    signal?.throwIfAborted();
    const problem =
      error instanceof TabditError ? error.message : `${path}: must be readable: ${messageOf(error)}`;
    return refusedItem(path, bytes, format, problem);
  }
}

/**
 * What a file is. Reads its index only. A bad file gives a refused item.
 * @param path as it was dropped
 * @throws what the source throws when it cannot be read at all
 */
export async function identifyFile(
  path: string,
  source: ByteSource,
  nearby: NearbyConfigs,
  signal?: AbortSignal,
): Promise<Identified> {
  const bytes = source.size;
  const head = await source.read(0, Math.min(512, bytes), signal);
  const format = formatOf(path, head);
  const identifyContent = async (): Promise<Identified> => {
    switch (format) {
      case 'PNG':
        return identifyPng(path, source, signal);
      case 'JSON':
        return identifyJson(path, source, signal);
      case 'file': {
        const kind = knownKind(head) ?? 'a file of no kind known here';
        return plainItem(path, bytes, { kind: 'other', format, words: capital(kind) });
      }
      default: {
        const file = await openTensorFile(source, signal);
        return identifyTensors(path, formatName(file), file, bytes, nearby);
      }
    }
  };
  return orRefused(path, format, identifyContent, signal, bytes);
}

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

async function identifyPng(path: string, source: ByteSource, signal?: AbortSignal): Promise<Identified> {
  const { width, height, settings } = await readPngHead(source, signal);
  const made = parsePictureSettings(settings);
  const words = made ? `made by ${made.model} from “${made.prompt}”` : 'without settings of this program';
  return {
    ...plainItem(path, source.size, {
      kind: 'picture',
      format: 'PNG',
      words: `Picture of ${width} x ${height} px, ${words}`,
    }),
    content: { width, height, settings: made },
  };
}

/** Whether a file is weights by its name: what is wrong with it is then said as of weights. */
export const isWeightName = (path: string): boolean => /\.(safetensors|pt|pth|bin|ckpt)$/i.test(path);

function formatOf(path: string, head: Uint8Array<ArrayBuffer>): string {
  if (isPng(head)) return 'PNG';
  if (beginsAsSafetensors(head)) return 'safetensors';
  if (head[0] === 0x50 && head[1] === 0x4b) return 'torch zip';
  if (head[0] === 0x80 && (head[1] ?? 255) <= 5) return 'torch legacy';
  if (isWeightName(path)) return /safetensors$/i.test(path) ? 'safetensors' : 'torch';
  return /^(\ufeff|\u00ef\u00bb\u00bf)?\s*[{[]/.test(String.fromCharCode(...head)) ? 'JSON' : 'file';
}

function formatName(file: TensorFile | TorchFile): string {
  return 'format' in file ? `torch ${file.container}` : 'safetensors';
}

/** Most models of one file that are told apart. */
const maxParts = 16;

/** The tensors that no found model's prefix covers, without a training run's moments: what else a file holds. */
function unclaimed({ tensors }: TensorFile, found: readonly FoundModel[]): TensorFile['tensors'] {
  if (found.length === 0) return tensors;
  if (found.some(({ prefix }) => prefix === '')) return new Map();
  return new Map(
    [...tensors].filter(
      ([name]) => !/(^|\.)exp_avg(_sq)?$/.test(name) && !found.some(({ prefix }) => name.startsWith(prefix)),
    ),
  );
}

/** What a weight file holds. */
export async function identifyTensors(
  path: string,
  format: string,
  file: TensorFile | TorchFile,
  bytes: number,
  nearby: NearbyConfigs,
): Promise<Identified> {
  const found = findModels(file.tensors)
    .filter((model) => !isForeignTower(file.tensors, model))
    .slice(0, maxParts);
  const unread = 'unread' in file ? [...file.unread] : [];
  const notes = unread.map(([name, reason]) => `tensor ${nameText(name)} is not read: ${reason}`);
  const other = nameOther(unclaimed(file, found));
  const item = (facts: { kind: ItemKind; words: string; problem?: string }): Identified => ({
    ...plainItem(path, bytes, { ...facts, format, notes }),
    files: [{ label: '', file }],
  });
  if (found.length === 0) {
    const name = file.source.name;
    if (!other)
      return item({ kind: 'tensors', words: `${file.tensors.size} tensors of no model known here` });
    return item({
      kind: 'refused',
      words: capital(other.words),
      problem: `${name}: must hold a model that this program runs: it is ${other.words}; ${other.instead}`,
    });
  }
  if (other) {
    notes.push(`beside its models the file holds ${other.words}, which is not used: ${other.instead}`);
  }
  const candidates = await nearby();
  const parts = found.map((model) => identifyPart(file, model, candidates));
  return { ...modelItem(path, format, bytes, parts, notes), files: [{ label: '', file }] };
}

/** An item of the parts of a weight file. */
export function modelItem(
  path: string,
  format: string,
  bytes: number,
  parts: readonly IdentifiedPart[],
  notes: readonly string[],
): Identified {
  const words = parts.map(({ facts }) => facts.words).join('; ');
  const allNotes = [...new Set([...parts.flatMap((part) => part.notes), ...notes])];
  return { ...plainItem(path, bytes, { kind: 'model', format, words, notes: allNotes }), parts };
}
