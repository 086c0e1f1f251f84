/**
 * A data set in one safetensors file, held in memory as it is stored: `latents` [M, C, h, w] (F16 or F32, already
 * multiplied by the autoencoder's scaling factor), `captions` [M, L, W] (F16 or F32), and M texts as a JSON list in the
 * metadata field `texts` or in the .json of the same name beside the file (the list itself, or {"texts": [...]}).
 */
import { halvesToFloats } from '../core/float16';
import { FormatError, NotFoundError } from '../core/errors';
import { elementCount, shapeText } from '../core/shape';
import { readJson } from '../formats/json';
import { readSafetensors } from '../formats/safetensors/reader';
import { findTensor, loadBytes, type TensorFile } from '../formats/tensorFile';
import type { ByteSource, SourceFolder } from '../sources/byteSource';
import { checkIds, type Dataset } from './dataset';

/**
 * Reads the file `path` of a folder, with the texts beside it where it has none itself.
 * @throws NotFoundError, FormatError
 */
export async function openLatentsFile(
  folder: SourceFolder,
  path: string,
  signal?: AbortSignal,
): Promise<Dataset> {
  const beside = path.replace(/\.safetensors$/i, '') + '.json';
  const hasTexts = (await folder.list()).includes(beside);
  return readLatentsFile(await folder.open(path), hasTexts ? await folder.open(beside) : undefined, signal);
}

/**
 * Reads and checks the whole file.
 * @param textsFile where the texts are when the file's metadata has none
 * @throws NotFoundError, FormatError naming tensor, rule and what is there instead; also for values that are not finite
 */
export async function readLatentsFile(
  source: ByteSource,
  textsFile?: ByteSource,
  signal?: AbortSignal,
): Promise<Dataset> {
  const file = await readSafetensors(source, signal);
  const latents = await readStored(file, 'latents', ['M', 'C', 'h', 'w'], signal);
  const captions = await readStored(file, 'captions', ['M', 'L', 'W'], signal);
  const size = latents.shape[0]!;
  if (captions.shape[0] !== size) {
    throw new FormatError(
      `${source.name}: captions: must be as many as the ${size} latents: ${captions.shape[0]!}`,
    );
  }
  const texts = await readTexts(file, textsFile, size, signal);
  const [, channels, height, width] = latents.shape as [number, number, number, number];
  const [, length, captionWidth] = captions.shape as [number, number, number];
  const { name } = source;
  return {
    name,
    size,
    latentShape: [channels, height, width],
    captionShape: [length, captionWidth],
    get: async (ids, signal) => {
      signal?.throwIfAborted();
      checkIds({ name, size }, ids);
      return {
        latents: gather(latents, ids),
        captions: gather(captions, ids),
        texts: Array.from(ids, (id) => texts[id]!),
      };
    },
  };
}

/** A tensor as it is stored: halves stay halves. */
interface Stored {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
}

async function readStored(
  file: TensorFile,
  name: string,
  axes: readonly string[],
  signal?: AbortSignal,
): Promise<Stored> {
  const entry = findTensor(file, name);
  const what = `${file.source.name}: ${name}`;
  if (entry.dtype !== 'F16' && entry.dtype !== 'F32') {
    throw new FormatError(`${what}: must be F16 or F32: ${entry.dtype}`);
  }
  if (entry.shape.length !== axes.length || elementCount(entry.shape) === 0) {
    throw new FormatError(`${what}: must be [${axes.join(', ')}], none of them 0: ${shapeText(entry.shape)}`);
  }
  const bytes = await loadBytes(file.source, entry, signal);
  const values = entry.dtype === 'F16' ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
  const bad = firstNotFinite(values);
  if (bad >= 0) {
    const each = values.length / entry.shape[0]!;
    throw new FormatError(
      `${what}: every value must be finite: value ${bad % each} of sample ${Math.floor(bad / each)} is not`,
    );
  }
  return { shape: entry.shape, values };
}

/** Index of the first infinity or NaN; -1: there is none. */
function firstNotFinite(values: Stored['values']): number {
  return values instanceof Uint16Array
    ? values.findIndex((bits) => (bits & 0x7c00) === 0x7c00)
    : values.findIndex((value) => !Number.isFinite(value));
}

async function readTexts(
  file: TensorFile,
  textsFile: ByteSource | undefined,
  size: number,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const stored = file.metadata.get('texts');
  let what = `${file.source.name}: texts`;
  let value: unknown;
  if (stored !== undefined) {
    try {
      value = JSON.parse(stored);
    } catch (error) {
      throw new FormatError(`${what}: must be JSON: ${JSON.stringify(stored.slice(0, 40))}`, {
        cause: error,
      });
    }
  } else if (textsFile) {
    what = `${textsFile.name}: texts`;
    value = await readJson(textsFile, signal);
    if (typeof value === 'object' && value !== null && 'texts' in value) value = value.texts;
  } else {
    throw new NotFoundError(
      `${what}: must be in the metadata or in a .json of the same name beside it: neither is there`,
    );
  }
  if (!Array.isArray(value)) throw new FormatError(`${what}: must be a list: ${typeof value}`);
  const wrong = value.findIndex((text) => typeof text !== 'string');
  if (wrong >= 0) throw new FormatError(`${what}: must be texts: number ${wrong} is ${typeof value[wrong]}`);
  if (value.length !== size) {
    throw new FormatError(`${what}: must be as many as the ${size} latents: ${value.length}`);
  }
  return value as string[];
}

/** Rows `ids` as f32. */
function gather({ shape, values }: Stored, ids: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const each = values.length / shape[0]!;
  const out = new Float32Array(ids.length * each);
  for (let row = 0; row < ids.length; row++) {
    const first = ids[row]! * each;
    const place = out.subarray(row * each, (row + 1) * each);
    if (values instanceof Uint16Array) halvesToFloats(values.subarray(first, first + each), place);
    else place.set(values.subarray(first, first + each));
  }
  return out;
}
