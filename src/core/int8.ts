/**
 * Weights in 8 bits: symmetric, one f32 scale per output channel.
 *
 *   scale = largest magnitude of the channel / 127;  q = w / scale, rounded half to even, within [-127, 127]
 *
 * What is read back is scale q, at most scale / 2 away from w. A channel of zeros has scale 1, and so has one so small
 * that its scale would be subnormal, which GPUs may take for 0. Four values travel in a u32, the first one in the low
 * byte.
 */
import { InternalError } from './errors';

/** Largest magnitude of a stored value: -128 is left out, so that a channel and its negative are stored alike. */
export const int8Largest = 127;

const smallestNormal = 2 ** -126;

/**
 * Adding and subtracting it rounds a double below 2^51 to a whole number, ties to even. Quotients need no clamp: a scale
 * is rounded by 2^-24 of itself at most, so that none exceeds 127 by more than that rounds away.
 */
const roundingOffset = 1.5 * 2 ** 52;

/** What rounding did to some weights, as sums that add up over channels. */
export interface RoundingError {
  /** Largest absolute error. */
  largest: number;
  /** Sum of squared errors. */
  squaredError: number;
  /** Sum of squared weights: finite if every one of them is. */
  squaredWeight: number;
}

/** The error of no weights. */
export function noError(): RoundingError {
  return { largest: 0, squaredError: 0, squaredWeight: 0 };
}

/** Relative error in the Euclidean norm; 0 for weights that are all zero. */
export function relativeError({ squaredError, squaredWeight }: RoundingError): number {
  return squaredWeight === 0 ? 0 : Math.sqrt(squaredError / squaredWeight);
}

/** Scale (an f32) of a channel whose largest magnitude is `largest`. */
export function int8Scale(largest: number): number {
  const scale = Math.fround(largest / int8Largest);
  return scale < smallestNormal ? 1 : scale;
}

/** Quantised weights in the order given, and the scales of their channels. */
export interface Int8Weights {
  readonly values: Int8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
}

/**
 * Quantises a matrix [channels, n], each row a channel.
 * @param error is added to; after a value that is not finite its `squaredWeight` is not finite either
 * @throws InternalError when the values do not fill `channels` rows
 */
export function quantizeRows(values: Float32Array, channels: number, error: RoundingError): Int8Weights {
  const width = values.length / channels;
  if (!Number.isInteger(width)) {
    throw new InternalError(`quantizeRows: ${channels} rows of equal length: ${values.length} values`);
  }
  const out = new Int8Array(values.length);
  const scales = new Float32Array(channels);
  for (let row = 0; row < channels; row++) {
    const start = row * width;
    const end = start + width;
    let largest = 0;
    for (let i = start; i < end; i++) {
      const magnitude = Math.abs(values[i] as number);
      if (magnitude > largest) largest = magnitude;
    }
    const scale = int8Scale(largest);
    scales[row] = scale;
    let worst = 0;
    let squaredError = 0;
    let squaredWeight = 0;
    for (let i = start; i < end; i++) {
      const w = values[i] as number;
      const q = w / scale + roundingOffset - roundingOffset;
      out[i] = q;
      const e = Math.abs(w - q * scale);
      if (e > worst) worst = e;
      squaredError += e * e;
      squaredWeight += w * w;
    }
    addError(error, worst, squaredError, squaredWeight);
  }
  return { values: out, scales };
}

/**
 * Quantises a matrix [n, channels], each column a channel.
 * @param error is added to; after a value that is not finite its `squaredWeight` is not finite either
 * @throws InternalError when the values do not fill `channels` columns
 */
export function quantizeColumns(values: Float32Array, channels: number, error: RoundingError): Int8Weights {
  if (values.length % channels !== 0) {
    throw new InternalError(`quantizeColumns: ${channels} columns of equal length: ${values.length} values`);
  }
  const scales = new Float32Array(channels);
  for (let start = 0; start < values.length; start += channels) {
    for (let column = 0; column < channels; column++) {
      const magnitude = Math.abs(values[start + column] as number);
      if (magnitude > (scales[column] as number)) scales[column] = magnitude;
    }
  }
  for (let column = 0; column < channels; column++) scales[column] = int8Scale(scales[column] as number);
  const out = new Int8Array(values.length);
  for (let start = 0; start < values.length; start += channels) {
    let worst = 0;
    let squaredError = 0;
    let squaredWeight = 0;
    for (let column = 0; column < channels; column++) {
      const w = values[start + column] as number;
      const scale = scales[column] as number;
      const q = w / scale + roundingOffset - roundingOffset;
      out[start + column] = q;
      const e = Math.abs(w - q * scale);
      if (e > worst) worst = e;
      squaredError += e * e;
      squaredWeight += w * w;
    }
    addError(error, worst, squaredError, squaredWeight);
  }
  return { values: out, scales };
}

function addError(sum: RoundingError, worst: number, squaredError: number, squaredWeight: number): void {
  sum.largest = Math.max(sum.largest, worst);
  sum.squaredError += squaredError;
  sum.squaredWeight += squaredWeight;
}

/** Four values to a word, the rest padded by zeros. Words: ceil(values.length / 4). */
export function packInt8(values: Int8Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(values.length / 4));
  new Int8Array(words.buffer).set(values);
  return words;
}

/** The first `count` values of packed words. */
export function unpackInt8(words: Uint32Array, count: number): Int8Array<ArrayBuffer> {
  if (count > words.length * 4) {
    throw new InternalError(
      `unpackInt8: ${count} values asked for, ${words.length} words hold ${words.length * 4}`,
    );
  }
  return new Int8Array(words.buffer, words.byteOffset, count).slice();
}
