/** Statistics of a tensor's values, read piece by piece. */
import { fileDTypeBytes } from '../core/dtype';
import { FormatError } from '../core/errors';
import { decodeNumbers } from '../formats/elements';
import { nameText, streamTensor, type TensorEntry } from '../formats/tensorFile';
import type { TensorStatistics } from '../protocol/library';
import type { ByteSource } from '../sources/byteSource';

const bins = 64;
/** Values at a time: 4 MiB as f64. */
const chunkValues = 2 ** 19;

/**
 * Reads a tensor twice: extremes and mean first, then deviation and histogram. Sums are f64, over pieces of 2^19 values.
 * Without a finite value, extremes and moments are NaN.
 * @throws FormatError for complex numbers
 */
export async function tensorStatistics(
  source: ByteSource,
  entry: TensorEntry,
  signal?: AbortSignal,
): Promise<TensorStatistics> {
  const { dtype } = entry;
  if (dtype === 'C64') {
    throw new FormatError(
      `${source.name}: tensor ${nameText(entry.name)} must hold real numbers to be summed up: it holds complex ones`,
    );
  }
  const chunkBytes = chunkValues * fileDTypeBytes(dtype);
  const pass = (onValues: (values: Float64Array) => void): Promise<void> =>
    streamTensor(source, entry, (bytes) => onValues(decodeNumbers(bytes, dtype)), {
      chunkBytes,
      ...(signal && { signal }),
    });

  let [count, finite, zeros, total, min, max] = [0, 0, 0, 0, Infinity, -Infinity];
  await pass((values) => {
    let sum = 0;
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      finite++;
      if (value === 0) zeros++;
      if (value < min) min = value;
      if (value > max) max = value;
      sum += value;
    }
    count += values.length;
    total += sum;
  });
  const histogram = new Array<number>(bins).fill(0);
  if (finite === 0) {
    return { count, min: NaN, max: NaN, mean: NaN, deviation: NaN, zeros, notFinite: count, histogram };
  }
  const mean = total / finite;
  const scale = max > min ? bins / (max - min) : 0;
  let squares = 0;
  await pass((values) => {
    let sum = 0;
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      sum += (value - mean) ** 2;
      histogram[Math.min(bins - 1, Math.floor((value - min) * scale))]! += 1;
    }
    squares += sum;
  });
  return {
    ...{ count, min, max, mean, deviation: Math.sqrt(squares / finite), zeros },
    notFinite: count - finite,
    histogram,
  };
}
