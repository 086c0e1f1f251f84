/**
 * Number types. `DType` is what the engine's tensors hold; `FileDType` is what files hold, in safetensors' names, which
 * every reader and writer here uses whatever the file's own spelling is. The two never mix: readers convert.
 */

/**
 * Element type of a tensor inside the engine. f16 lies packed, two halves in one u32; i8 four to a u32, the first one in
 * the low byte. i8 is for weights: each has a second tensor of scales (core/int8.ts).
 */
export type DType = 'f32' | 'f16' | 'i8' | 'i32' | 'u32';

const engineBytes: Readonly<Record<DType, number>> = { f32: 4, f16: 2, i8: 1, i32: 4, u32: 4 };

/** Bytes of one element. */
export function dtypeBytes(dtype: DType): number {
  return engineBytes[dtype];
}

const fileBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  C64: 8,
} as const;

/** Element type of a tensor in a file, by its safetensors name. C64 is a pair of f32: real, imaginary. */
export type FileDType = keyof typeof fileBytes;

/** Every FileDType, for messages and tables. */
export const fileDTypes = Object.keys(fileBytes) as readonly FileDType[];

/** Bytes of one element in a file. */
export function fileDTypeBytes(dtype: FileDType): number {
  return fileBytes[dtype];
}

/** Whether `name` is the safetensors name of a type that this program knows. */
export function isFileDType(name: unknown): name is FileDType {
  return typeof name === 'string' && Object.hasOwn(fileBytes, name);
}

/** The real floating-point file types: those that can be read as f32. */
export type FileFloatDType = 'F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2';

/** Whether the type is a real floating-point one. */
export function isFloatDType(dtype: FileDType): dtype is FileFloatDType {
  return dtype.startsWith('F') || dtype === 'BF16';
}
