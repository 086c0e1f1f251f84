/**
 * A model in several weight files, as Hugging Face's libraries save large ones: `model-00001-of-00002.safetensors` and so
 * on, with an index that says which tensor lies in which. Together they read as one TensorFile.
 */
import { FormatError, NotFoundError } from '../core/errors';
import type { ByteSource } from '../sources/byteSource';
import type { TensorEntry, TensorFile } from './tensorFile';
import { nameText } from './tensorFile';

/** Which file each tensor lies in, from an index's `weight_map`. */
export type WeightMap = ReadonlyMap<string, string>;

/**
 * Checks the parsed `*.index.json` of a model in several files.
 * @throws FormatError
 */
export function parseWeightMap(what: string, json: unknown): WeightMap {
  const map = typeof json === 'object' && json !== null && 'weight_map' in json ? json.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new FormatError(`${what}: weight_map: must be an object: it is not`);
  }
  const entries = Object.entries(map as Record<string, unknown>);
  for (const [name, file] of entries) {
    if (typeof file !== 'string' || file === '' || /[\\/]/.test(file)) {
      throw new FormatError(
        `${what}: weight_map: ${nameText(name)} must name a file beside: ${JSON.stringify(file)}`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

/** Number and count in a name such as `model-00002-of-00003.safetensors`; null for other names. */
export function shardPlace(name: string): {
  readonly stem: string;
  readonly number: number;
  readonly count: number;
  readonly extension: string;
} | null {
  const match = /^(.+)-(\d{5})-of-(\d{5})\.(safetensors|bin|pt|pth)$/i.exec(name);
  if (!match) return null;
  const [, stem = '', number, count, extension = ''] = match;
  return { stem, number: Number(number), count: Number(count), extension };
}

/**
 * Files of one model as one: their sources lie one after another.
 * @param files by name
 * @throws FormatError when a tensor comes twice, NotFoundError when one is not where the map says
 */
export function joinTensorFiles(
  name: string,
  files: ReadonlyMap<string, TensorFile>,
  map?: WeightMap,
): TensorFile {
  const tensors = new Map<string, TensorEntry>();
  const metadata = new Map<string, string>();
  const places: { readonly start: number; readonly source: ByteSource }[] = [];
  let end = 0;
  for (const [file, { source, tensors: own, metadata: texts }] of files) {
    places.push({ start: end, source });
    for (const [tensor, entry] of own) {
      if (tensors.has(tensor)) {
        throw new FormatError(
          `${name}: a tensor must lie in one of the files: ${nameText(tensor)} is also in ${file}`,
        );
      }
      tensors.set(tensor, { ...entry, offset: end + entry.offset });
    }
    for (const [key, text] of texts) if (!metadata.has(key)) metadata.set(key, text);
    end += source.size;
  }
  for (const [tensor, file] of map ?? []) {
    if (!files.get(file)?.tensors.has(tensor)) {
      throw new NotFoundError(`${name}: tensor ${nameText(tensor)} must be in ${file}: it is not`);
    }
  }
  return { source: joinedSource(name, places, end), tensors, metadata };
}

function joinedSource(
  name: string,
  places: readonly { readonly start: number; readonly source: ByteSource }[],
  size: number,
): ByteSource {
  return {
    name,
    size,
    read: async (offset, length, signal) => {
      // Tensors lie in one file each, and only they are read.
      const place = places.findLast(({ start }) => start <= offset);
      if (!place || length < 0 || offset + length > place.start + place.source.size) {
        throw new FormatError(
          `${name}: bytes ${offset} to ${offset + length} must lie inside one of its files: they do not`,
        );
      }
      return place.source.read(offset - place.start, length, signal);
    },
  };
}
