/**
 * Elements of file tensors as numbers. Input is always little-endian, row-major and contiguous (readers see to that);
 * widening is exact, F64 to f32 rounds to nearest even.
 */
import { FormatError } from '../core/errors';
import type { FileDType, FileFloatDType } from '../core/dtype';
import { fileDTypeBytes } from '../core/dtype';
import { bfloatsToFloats, halvesToFloats } from '../core/float16';
import { float8E4m3ToFloats, float8E5m2ToFloats } from '../core/float8';

/** `bytes` at an address that any typed array can view: itself, or a copy. Its length must be a multiple of `size`. */
function aligned(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % size !== 0) {
    throw new FormatError(
      `elements: bytes must be a multiple of the element size ${size}: ${bytes.byteLength}`,
    );
  }
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

type Viewable = Uint8Array<ArrayBuffer>;
type ViewClass<T> = new (buffer: ArrayBuffer, offset: number, length: number) => T;

function view<T>(View: ViewClass<T>, bytes: Viewable, size: number): T {
  const data = aligned(bytes, size);
  return new View(data.buffer, data.byteOffset, data.byteLength / size);
}

/** f32 values of any real floating-point dtype. F32 views the same memory where alignment allows, others are new. */
export function decodeFloats(bytes: Viewable, dtype: FileFloatDType): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case 'F64':
      return Float32Array.from(view(Float64Array, bytes, 8));
    case 'F32':
      return view(Float32Array<ArrayBuffer>, bytes, 4);
    case 'F16':
      return halvesToFloats(view(Uint16Array, bytes, 2));
    case 'BF16':
      return bfloatsToFloats(view(Uint16Array, bytes, 2));
    case 'F8_E4M3':
      return float8E4m3ToFloats(bytes);
    case 'F8_E5M2':
      return float8E5m2ToFloats(bytes);
  }
}

/**
 * f64 values of any dtype: 64-bit integers beyond 2^53 round to nearest, BOOL gives 0 and 1, C64 gives two values per
 * element (real, imaginary).
 */
export function decodeNumbers(bytes: Viewable, dtype: FileDType): Float64Array<ArrayBuffer> {
  switch (dtype) {
    case 'F64':
      return view(Float64Array<ArrayBuffer>, bytes, 8).slice();
    case 'C64':
      return Float64Array.from(view(Float32Array, bytes, 4));
    case 'F32':
    case 'F16':
    case 'BF16':
    case 'F8_E4M3':
    case 'F8_E5M2':
      return Float64Array.from(decodeFloats(bytes, dtype));
    case 'I64':
    case 'U64':
      return Float64Array.from(decodeBigInts(bytes, dtype), Number);
    case 'I32':
      return Float64Array.from(view(Int32Array, bytes, 4));
    case 'U32':
      return Float64Array.from(view(Uint32Array, bytes, 4));
    case 'I16':
      return Float64Array.from(view(Int16Array, bytes, 2));
    case 'U16':
      return Float64Array.from(view(Uint16Array, bytes, 2));
    case 'I8':
      return Float64Array.from(view(Int8Array, bytes, 1));
    case 'U8':
      return Float64Array.from(bytes);
    case 'BOOL':
      return Float64Array.from(bytes, (byte) => (byte ? 1 : 0));
  }
}

/** Exact 64-bit integers. */
export function decodeBigInts(bytes: Viewable, dtype: 'I64' | 'U64'): BigInt64Array | BigUint64Array {
  return dtype === 'I64' ? view(BigInt64Array, bytes, 8) : view(BigUint64Array, bytes, 8);
}

/**
 * 32-bit integers of any integer dtype or BOOL.
 * @throws FormatError when a value does not fit, or the dtype is not one of integers
 */
export function decodeInts(name: string, bytes: Viewable, dtype: FileDType): Int32Array<ArrayBuffer> {
  if (!isIntegerDType(dtype)) throw new FormatError(`${name}: must hold integers: it holds ${dtype}`);
  if (dtype === 'I32') return view(Int32Array<ArrayBuffer>, bytes, 4);
  if (dtype === 'I64' || dtype === 'U64') {
    const wide = decodeBigInts(bytes, dtype);
    const out = new Int32Array(wide.length);
    for (let i = 0; i < wide.length; i++) {
      out[i] = Number(wide[i]);
      if (BigInt(out[i] as number) !== wide[i]) throw tooWide(name, i, String(wide[i]));
    }
    return out;
  }
  const numbers = decodeNumbers(bytes, dtype);
  const out = new Int32Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) {
    out[i] = numbers[i] as number;
    if (out[i] !== numbers[i]) throw tooWide(name, i, String(numbers[i]));
  }
  return out;
}

/** Whether the type is one of whole numbers; BOOL counts as one. */
export function isIntegerDType(dtype: FileDType): boolean {
  return dtype === 'BOOL' || dtype.startsWith('I') || dtype.startsWith('U');
}

function tooWide(name: string, index: number, value: string): FormatError {
  return new FormatError(`${name}: every value must fit 32 bits: value ${index} is ${value}`);
}

/** Turns the byte order of each number around, in place. C64 turns its two halves separately. */
export function swapByteOrder(bytes: Uint8Array, dtype: FileDType): void {
  const size = dtype === 'C64' ? 4 : fileDTypeBytes(dtype);
  if (size === 1) return;
  for (let at = 0; at + size <= bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}
