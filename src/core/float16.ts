/**
 * 16-bit floating point: IEEE half precision (f16) and bfloat16 against f32, exact and fast.
 *
 * Narrowing rounds to nearest, ties to even, with subnormals, infinities and NaN (which stays NaN and keeps its sign and
 * leading payload bits); values past the largest finite one round to infinity, as IEEE 754 says. Widening is exact.
 * Bulk conversions are one table look-up or a few integer operations per element, for tensors of millions of elements.
 * Halves travel as their bits: u16, or two to a u32 with the even element in the low half (`unpack2x16float`'s order).
 */
import { InternalError } from './errors';

const floatCell = new Float32Array(1);
const bitsCell = new Uint32Array(floatCell.buffer);

/** f16 bits of a value (rounded to f32 first, as every f32 tensor element already is). */
export function floatToHalf(value: number): number {
  floatCell[0] = value;
  return narrowBits(bitsCell[0] as number);
}

/** Exact value of f16 bits. */
export function halfToFloat(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** f16 bits of f32 bits. */
function narrowBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude < 0x38800000) {
    // Below 2^-14 the half is subnormal: a multiple of 2^-24. Align the 24-bit significand to it and round.
    const exponent = magnitude >>> 23;
    if (exponent < 102) return sign; // below 2^-25: rounds to zero
    const significand = (magnitude & 0x7fffff) | 0x800000;
    const shift = 126 - exponent; // 14 to 24
    const kept = significand >>> shift;
    const half = 1 << (shift - 1);
    const rest = significand & ((1 << shift) - 1);
    return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
  }
  if (magnitude >= 0x47800000) {
    // 2^16 and above: infinity, or NaN made quiet.
    return magnitude > 0x7f800000 ? sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff) : sign | 0x7c00;
  }
  // Rebase the exponent by 112, round at bit 13. A carry moves into the exponent, past 65504 it becomes infinity.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** f16 bits of every f32. The result is `given` where there is one, which must be as long as `values`. */
export function floatsToHalves<B extends ArrayBufferLike = ArrayBuffer>(
  values: Float32Array,
  given?: Uint16Array<B>,
): Uint16Array<B> {
  const out = given ?? (new Uint16Array(values.length) as Uint16Array<B>);
  checkLength('floatsToHalves', values.length, out.length);
  const bits = bitsOf(values);
  for (let i = 0; i < bits.length; i++) out[i] = narrowBits(bits[i] as number);
  return out;
}

let halfTable: Float32Array | undefined;

/** f32 of every f16. The result is `given` where there is one, which must be as long as `halves`. */
export function halvesToFloats<B extends ArrayBufferLike = ArrayBuffer>(
  halves: Uint16Array,
  given?: Float32Array<B>,
): Float32Array<B> {
  const out = given ?? (new Float32Array(halves.length) as Float32Array<B>);
  checkLength('halvesToFloats', halves.length, out.length);
  halfTable ??= Float32Array.from({ length: 0x10000 }, (_, bits) => halfToFloat(bits));
  const table = halfTable;
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i] as number] as number;
  return out;
}

/**
 * Halves packed for the GPU: element 2i in the low and 2i+1 in the high half of word i, an odd count padded by a zero
 * half. Words: ceil(values.length / 2).
 */
export function packHalf(values: Float32Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(values.length / 2));
  const bits = bitsOf(values);
  const pairs = values.length >>> 1;
  for (let i = 0; i < pairs; i++) {
    words[i] = narrowBits(bits[2 * i] as number) | (narrowBits(bits[2 * i + 1] as number) << 16);
  }
  if (values.length & 1) words[pairs] = narrowBits(bits[values.length - 1] as number);
  return words;
}

/** The first `count` halves of packed words, as f32. */
export function unpackHalf(words: Uint32Array, count: number): Float32Array<ArrayBuffer> {
  if (count > words.length * 2) {
    throw new InternalError(
      `unpackHalf: ${count} halves asked for, ${words.length} words hold ${words.length * 2}`,
    );
  }
  const out = new Float32Array(count);
  const halves = new Uint16Array(words.buffer, words.byteOffset, count);
  halvesToFloats(halves, out);
  return out;
}

/** bf16 bits of a value (rounded to f32 first). */
export function floatToBfloat(value: number): number {
  floatCell[0] = value;
  return narrowBfloat(bitsCell[0] as number);
}

/** Exact value of bf16 bits. */
export function bfloatToFloat(bits: number): number {
  bitsCell[0] = bits << 16;
  return floatCell[0] as number;
}

function narrowBfloat(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** bf16 bits of every f32. The result is `given` where there is one, which must be as long as `values`. */
export function floatsToBfloats<B extends ArrayBufferLike = ArrayBuffer>(
  values: Float32Array,
  given?: Uint16Array<B>,
): Uint16Array<B> {
  const out = given ?? (new Uint16Array(values.length) as Uint16Array<B>);
  checkLength('floatsToBfloats', values.length, out.length);
  const bits = bitsOf(values);
  for (let i = 0; i < bits.length; i++) out[i] = narrowBfloat(bits[i] as number);
  return out;
}

/** f32 of every bf16. The result is `given` where there is one, which must be as long as `bfloats`. */
export function bfloatsToFloats<B extends ArrayBufferLike = ArrayBuffer>(
  bfloats: Uint16Array,
  given?: Float32Array<B>,
): Float32Array<B> {
  const out = given ?? (new Float32Array(bfloats.length) as Float32Array<B>);
  checkLength('bfloatsToFloats', bfloats.length, out.length);
  const bits = bitsOf(out);
  for (let i = 0; i < bits.length; i++) bits[i] = (bfloats[i] as number) << 16;
  return out;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function checkLength(what: string, length: number, outLength: number): void {
  if (length !== outLength)
    throw new InternalError(`${what}: output must have ${length} elements: ${outLength}`);
}
