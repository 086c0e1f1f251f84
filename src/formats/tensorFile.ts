/**
 * TensorFile: what every weight file looks like to the rest of the program once its reader has read the index: named
 * tensors that lie somewhere in a ByteSource. Data is read later, tensor by tensor, at most 16 MiB at a time.
 *
 * The functions here give any entry as contiguous little-endian bytes, f32 or integers. An entry may lie with strides
 * (a transposed or sliced view in a .pt file) or big-endian; a strided one costs the heap its whole span, others never
 * more than one chunk beside the result.
 */
import type { FileDType } from '../core/dtype';
import { fileDTypeBytes, isFloatDType } from '../core/dtype';
import { FormatError, NotFoundError } from '../core/errors';
import type { Shape } from '../core/shape';
import { elementCount, sameShape, shapeText } from '../core/shape';
import type { ByteSource } from '../sources/byteSource';
import { maxChunkBytes } from '../sources/byteSource';
import { decodeFloats, decodeInts, swapByteOrder } from './elements';

/** One tensor in a file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: FileDType;
  readonly shape: Shape;
  /** Where its first element begins, in bytes from the start of the source. */
  readonly offset: number;
  /** Bytes of the contiguous tensor: element count times element size. */
  readonly bytes: number;
  /** Elements to go from one index of an axis to the next, none negative; absent: row-major, contiguous. */
  readonly strides?: readonly number[];
  /** The numbers are stored big-endian; absent: little-endian. */
  readonly bigEndian?: boolean;
}

/** A weight file whose index has been read. */
export interface TensorFile {
  readonly source: ByteSource;
  /** Every tensor by name, in the file's order. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Text beside the tensors; empty where the format has none. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** What an entry is, without where it lies. */
export type TensorHead = Pick<TensorEntry, 'name' | 'dtype' | 'shape'>;

/** A name as messages show it: quoted, control characters escaped, cut to 100 characters. */
export function nameText(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 99)}…` : name);
}

/**
 * The entry of that name, with that shape when one is given.
 * @throws NotFoundError, FormatError
 */
export function findTensor(file: TensorFile, name: string, shape?: Shape): TensorEntry {
  const entry = file.tensors.get(name);
  if (!entry)
    throw new NotFoundError(`${file.source.name}: tensor ${nameText(name)} must be in the file: it is not`);
  if (shape && !sameShape(entry.shape, shape)) {
    throw new FormatError(
      `${file.source.name}: tensor ${nameText(name)} must have shape ${shapeText(shape)}: it has ${shapeText(entry.shape)}`,
    );
  }
  return entry;
}

/** Options of the streaming readers. */
export interface StreamOptions {
  /** Largest chunk in bytes; default 16 MiB, at least 16. */
  readonly chunkBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * Gives a tensor's contiguous little-endian bytes piece by piece, in order, waiting for `onChunk` each time. Chunks
 * hold whole elements; `at` is the chunk's place in the contiguous tensor, in bytes. An empty tensor gives none.
 */
export async function streamTensor(
  source: ByteSource,
  entry: TensorEntry,
  onChunk: (bytes: Uint8Array<ArrayBuffer>, at: number) => void | Promise<void>,
  options: StreamOptions = {},
): Promise<void> {
  const step = Math.max(16, Math.min(options.chunkBytes ?? maxChunkBytes, maxChunkBytes) & ~15);
  const gather = isContiguous(entry) ? undefined : await loadSpan(source, entry, options.signal);
  for (let at = 0; at < entry.bytes; at += step) {
    const length = Math.min(step, entry.bytes - at);
    const chunk = gather ? gather(at, length) : await source.read(entry.offset + at, length, options.signal);
    if (entry.bigEndian) swapByteOrder(chunk, entry.dtype);
    await onChunk(chunk, at);
    options.signal?.throwIfAborted();
  }
}

/** A tensor's contiguous little-endian bytes, whole. */
export async function loadBytes(
  source: ByteSource,
  entry: TensorEntry,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  checkInside(source, entry);
  const out = new Uint8Array(entry.bytes);
  await streamTensor(source, entry, (bytes, at) => out.set(bytes, at), withSignal(signal));
  return out;
}

/**
 * A tensor of any real floating-point dtype as f32, whole.
 * @throws FormatError when the dtype is not a real floating-point one
 */
export async function loadFloats(
  source: ByteSource,
  entry: TensorEntry,
  signal?: AbortSignal,
): Promise<Float32Array<ArrayBuffer>> {
  checkInside(source, entry);
  const out = new Float32Array(elementCount(entry.shape));
  await streamFloats(source, entry, (floats, at) => out.set(floats, at), withSignal(signal));
  return out;
}

/** As streamTensor, but f32 values of any real floating-point dtype; `at` counts elements. */
export async function streamFloats(
  source: ByteSource,
  entry: TensorEntry,
  onChunk: (floats: Float32Array<ArrayBuffer>, at: number) => void | Promise<void>,
  options: StreamOptions = {},
): Promise<void> {
  const dtype = entry.dtype;
  if (!isFloatDType(dtype)) {
    throw new FormatError(
      `${source.name}: tensor ${nameText(entry.name)} must hold real floating-point numbers: ${dtype}`,
    );
  }
  const size = fileDTypeBytes(dtype);
  await streamTensor(source, entry, (bytes, at) => onChunk(decodeFloats(bytes, dtype), at / size), options);
}

/**
 * A tensor of any integer dtype (or BOOL) as 32-bit integers, whole.
 * @throws FormatError when a value does not fit 32 bits, or the dtype is not one of integers
 */
export async function loadInts(
  source: ByteSource,
  entry: TensorEntry,
  signal?: AbortSignal,
): Promise<Int32Array<ArrayBuffer>> {
  checkInside(source, entry);
  const name = `${source.name}: tensor ${nameText(entry.name)}`;
  const out = new Int32Array(elementCount(entry.shape));
  const size = fileDTypeBytes(entry.dtype);
  await streamTensor(
    source,
    entry,
    (bytes, at) => out.set(decodeInts(name, bytes, entry.dtype), at / size),
    withSignal(signal),
  );
  return out;
}

function withSignal(signal: AbortSignal | undefined): StreamOptions {
  return signal ? { signal } : {};
}

/** Elements from the entry's first to its last, both counted; 0 for an empty tensor. */
function spanElements(entry: TensorEntry): number {
  if (entry.bytes === 0) return 0;
  const strides = entry.strides;
  if (!strides) return elementCount(entry.shape);
  return entry.shape.reduce((span, extent, axis) => span + (extent - 1) * (strides[axis] ?? 0), 1);
}

/** Checks that the tensor lies in the source before anything of its size is allocated. */
function checkInside(source: ByteSource, entry: TensorEntry): void {
  const span = spanElements(entry) * fileDTypeBytes(entry.dtype);
  if (entry.offset < 0 || entry.offset + span > source.size) {
    throw new FormatError(
      `${source.name}: tensor ${nameText(entry.name)} must lie inside the file of ${source.size} bytes: ` +
        `it takes bytes ${entry.offset} to ${entry.offset + span}`,
    );
  }
}

function isContiguous(entry: TensorEntry): boolean {
  if (!entry.strides || entry.bytes === 0) return true;
  let expected = 1;
  for (let axis = entry.shape.length - 1; axis >= 0; axis--) {
    const extent = entry.shape[axis] as number;
    if (extent !== 1 && entry.strides[axis] !== expected) return false;
    expected *= extent;
  }
  return true;
}

/**
 * Reads the whole span of a strided tensor and returns a function that gathers contiguous bytes
 * [at, at + length) of it; both must be multiples of the element size.
 */
async function loadSpan(
  source: ByteSource,
  entry: TensorEntry,
  signal?: AbortSignal,
): Promise<(at: number, length: number) => Uint8Array<ArrayBuffer>> {
  checkInside(source, entry);
  const size = fileDTypeBytes(entry.dtype);
  const span = new Uint8Array(spanElements(entry) * size);
  for (let at = 0; at < span.length; at += maxChunkBytes) {
    span.set(await source.read(entry.offset + at, Math.min(maxChunkBytes, span.length - at), signal), at);
  }
  const { shape, strides = [] } = entry;
  return (at, length) => {
    const out = new Uint8Array(length);
    const index = new Array<number>(shape.length).fill(0);
    let rest = at / size;
    let from = 0; // element offset of `index` in the span
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const extent = shape[axis] as number;
      index[axis] = rest % extent;
      from += (index[axis] as number) * (strides[axis] as number);
      rest = Math.floor(rest / extent);
    }
    for (let to = 0; to < length; to += size) {
      for (let byte = 0; byte < size; byte++) out[to + byte] = span[from * size + byte] as number;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        const next = (index[axis] as number) + 1;
        from += strides[axis] as number;
        if (next < (shape[axis] as number)) {
          index[axis] = next;
          break;
        }
        index[axis] = 0;
        from -= next * (strides[axis] as number);
      }
    }
    return out;
  };
}
