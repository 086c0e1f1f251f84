/**
 * 8-bit floating point as checkpoints store it, widened to f32 (exact). Reading only: nothing here writes these types.
 *
 * e4m3 is the finite variant (torch.float8_e4m3fn, safetensors F8_E4M3): bias 7, no infinity, S.1111.111 is NaN.
 * e5m2 follows IEEE rules (torch.float8_e5m2): bias 15, infinities and NaN.
 */

/** Value of e4m3 bits. */
export function float8E4m3ToFloat(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >>> 3) & 0xf;
  const mantissa = bits & 7;
  if (exponent === 15 && mantissa === 7) return NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -9 : sign * (8 + mantissa) * 2 ** (exponent - 10);
}

/** Value of e5m2 bits. */
export function float8E5m2ToFloat(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >>> 2) & 0x1f;
  const mantissa = bits & 3;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent === 0 ? sign * mantissa * 2 ** -16 : sign * (4 + mantissa) * 2 ** (exponent - 17);
}

const e4m3Table = Float32Array.from({ length: 256 }, (_, bits) => float8E4m3ToFloat(bits));
const e5m2Table = Float32Array.from({ length: 256 }, (_, bits) => float8E5m2ToFloat(bits));

/** f32 of every e4m3 byte. */
export function float8E4m3ToFloats(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return widen(bytes, e4m3Table);
}

/** f32 of every e5m2 byte. */
export function float8E5m2ToFloats(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  return widen(bytes, e5m2Table);
}

function widen(bytes: Uint8Array, table: Float32Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i] = table[bytes[i] as number] as number;
  return out;
}
