/** Numbers of tensors for people and for JSON: statistics, first values, hashes. */
import { createHash } from 'node:crypto';
import type { FileDType } from '../core/dtype';
import { fileDTypeBytes } from '../core/dtype';
import { decodeBigInts, decodeNumbers } from '../formats/elements';
import { streamTensor, type TensorEntry } from '../formats/tensorFile';
import type { ByteSource } from '../sources/byteSource';

/** Six significant digits. */
export function numberText(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

/** Mean and population standard deviation, summed in f64. */
export function meanAndDeviation(values: ArrayLike<number>): { mean: number; deviation: number } {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length) };
}

/** What a tensor was asked about. */
export interface TensorDigest {
  /** First values; C64 as re, im pairs. */
  readonly first?: readonly number[];
  /** First values of 64-bit integers, as digits. */
  readonly firstExact?: readonly string[];
  /** Of all values, in f64. */
  readonly sum?: number;
  /** Of the contiguous little-endian bytes, in hex. */
  readonly sha256?: string;
}

/** Reads a tensor once, piece by piece, for its first `count` values and sum (null: neither) and its hash. */
export async function digestTensor(
  source: ByteSource,
  entry: TensorEntry,
  count: number | null,
  hashed: boolean,
  signal: AbortSignal,
): Promise<TensorDigest> {
  if (count === null && !hashed) return {};
  const hash = createHash('sha256');
  const { dtype } = entry;
  const wide = dtype === 'I64' || dtype === 'U64' ? dtype : null;
  const first: number[] = [];
  const firstExact: string[] = [];
  let sum = 0;
  const onChunk = (bytes: Uint8Array<ArrayBuffer>): void => {
    if (hashed) hash.update(bytes);
    if (count === null) return;
    if (wide && firstExact.length < count) {
      const head = decodeBigInts(bytes.slice(0, (count - firstExact.length) * 8), wide);
      firstExact.push(...Array.from(head, String));
    }
    const numbers = decodeNumbers(bytes, dtype);
    for (let i = 0; i < numbers.length && first.length < count; i++) first.push(numbers[i]!);
    for (let i = 0; i < numbers.length; i++) sum += numbers[i]!;
  };
  // f64 values of a whole chunk are up to eight times its bytes: smaller chunks than the reader's usual ones
  await streamTensor(source, entry, onChunk, { chunkBytes: chunkBytes(dtype), signal });
  return {
    ...(count === null ? {} : { first, sum, ...(wide ? { firstExact } : {}) }),
    ...(hashed ? { sha256: hash.digest('hex') } : {}),
  };
}

function chunkBytes(dtype: FileDType): number {
  return 512 * 1024 * fileDTypeBytes(dtype);
}
