/** Builds torch files for tests: pickles from their instructions, ZIP archives with any fault, sources that are mostly zeros. */
import { deflateRawSync } from 'node:zlib';
import { expect } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { crc32 } from '../../src/formats/png/chunks';
import type { ByteSource } from '../../src/sources/byteSource';
import { checkRange } from '../../src/sources/range';

export type Bytes = Uint8Array<ArrayBuffer>;

export function join(...parts: readonly (Uint8Array | number[])[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Little-endian number of that many bytes. */
export function le(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

/** Pickle instructions. */
export const pk = {
  proto: [0x80, 2],
  stop: [0x2e],
  dict: [0x7d],
  list: [0x5d],
  mark: [0x28],
  reduce: [0x52],
  none: [0x4e],
  text: (value: string) => join([0x58], le(utf8(value).length, 4), utf8(value)),
  int: (value: number) => (value < 256 ? join([0x4b, value]) : join([0x8a, 8], le(value, 8))),
  global: (module: string, name: string) => join([0x63], utf8(`${module}\n${name}\n`)),
  tuple: (...items: (Uint8Array | number[])[]) => join([0x28], ...items, [0x74]),
  put: (index: number) => join([0x72], le(index, 4)),
  get: (index: number) => join([0x6a], le(index, 4)),
  /** A dictionary of text keys. */
  dictOf: (items: Readonly<Record<string, Uint8Array | number[]>>) =>
    join([0x7d, 0x28], ...Object.entries(items).flatMap(([key, value]) => [pk.text(key), value]), [0x75]),
  listOf: (...items: (Uint8Array | number[])[]) => join([0x5d, 0x28], ...items, [0x65]),
  call: (module: string, name: string, ...args: (Uint8Array | number[])[]) =>
    join(pk.global(module, name), pk.tuple(...args), [0x52]),
  whole: (value: Uint8Array | number[]) => join(pk.proto, value, pk.stop),
};

export interface TensorCase {
  readonly key: string;
  /** Elements of the storage. */
  readonly count: number;
  readonly shape: readonly number[];
  readonly strides?: readonly number[];
  readonly offset?: number;
  readonly storage?: readonly [string, string];
  /** Sixth item of the persistent id, in legacy files. */
  readonly view?: Uint8Array | number[];
}

/** The persistent id of a storage, loaded. */
export function storagePickle(tensor: TensorCase): Bytes {
  const [module, name] = tensor.storage ?? ['torch', 'FloatStorage'];
  const items = [
    pk.text('storage'),
    pk.global(module, name),
    pk.text(tensor.key),
    pk.text('cpu'),
    pk.int(tensor.count),
  ];
  return join(pk.tuple(...items, ...(tensor.view ? [tensor.view] : [])), [0x51]);
}

/** The arguments of `_rebuild_tensor_v2`. */
export function tensorArgs(tensor: TensorCase): (Uint8Array | number[])[] {
  const { shape } = tensor;
  const strides = tensor.strides ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return [
    storagePickle(tensor),
    pk.int(tensor.offset ?? 0),
    pk.tuple(...shape.map(pk.int)),
    pk.tuple(...strides.map(pk.int)),
    [0x89],
    pk.call('collections', 'OrderedDict'),
  ];
}

export function tensorPickle(tensor: TensorCase): Bytes {
  return pk.call('torch._utils', '_rebuild_tensor_v2', ...tensorArgs(tensor));
}

/** Content of a member: bytes, or that many zeros. */
export interface MemberCase {
  readonly name: string;
  readonly data: Uint8Array | number;
  readonly deflate?: boolean;
  readonly crc?: number;
  /** Replaces the name in the local header. */
  readonly localName?: string;
  /** Bytes of the extra field in the local header. */
  readonly pad?: number;
  /** Replaces the size of the content in the directory. */
  readonly says?: number;
}

/** A file made of pieces at their places, zeros between them. */
export interface Sparse {
  readonly size: number;
  readonly pieces: readonly (readonly [number, Uint8Array])[];
}

/** A ZIP archive; zip64 fields wherever a number needs them. */
export function buildZip(members: readonly MemberCase[]): Sparse {
  const pieces: [number, Uint8Array][] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  const put = (bytes: Uint8Array): void => {
    pieces.push([at, bytes]);
    at += bytes.length;
  };
  for (const member of members) {
    const { data } = member;
    const packed = typeof data === 'number' ? data : member.deflate ? deflateRawSync(data) : data;
    const packedBytes = typeof packed === 'number' ? packed : packed.length;
    const bytes = member.says ?? (typeof data === 'number' ? data : data.length);
    const crc = member.crc ?? (typeof data === 'number' ? 0 : crc32(data));
    const start = at;
    const method = member.deflate ? 8 : 0;
    const localName = utf8(member.localName ?? member.name);
    const pad = member.pad ?? 7;
    // As torch writes it: sizes only in the directory.
    put(
      join(
        [0x50, 0x4b, 3, 4],
        le(0, 2),
        le(0x808, 2),
        le(method, 2),
        le(0, 16),
        le(localName.length, 2),
        le(pad, 2),
      ),
    );
    put(localName);
    put(new Uint8Array(pad).fill(0x5a));
    if (typeof packed === 'number') at += packed;
    else put(packed);
    const wide: number[] = [];
    const narrow = (value: number): number => {
      if (value < 0xffffffff) return value;
      wide.push(value);
      return 0xffffffff;
    };
    const name = utf8(member.name);
    const fields = join(le(crc, 4), swapped(narrow(bytes), narrow(packedBytes)));
    const offset = narrow(start);
    const extra =
      wide.length > 0 ? join(le(1, 2), le(8 * wide.length, 2), ...wide.map((value) => le(value, 8))) : [];
    central.push(
      join(
        [0x50, 0x4b, 1, 2],
        le(0, 4),
        le(0x808, 2),
        le(method, 2),
        le(0, 4),
        fields,
        le(name.length, 2),
        le(extra.length, 2),
        le(0, 10),
        le(offset, 4),
        name,
        extra,
      ),
    );
  }
  const start = at;
  for (const entry of central) put(entry);
  const bytes = at - start;
  if (start >= 0xffffffff) {
    const end64 = at;
    const count = le(members.length, 8);
    put(join([0x50, 0x4b, 6, 6], le(44, 8), le(0, 4), le(0, 8), count, count, le(bytes, 8), le(start, 8)));
    put(join([0x50, 0x4b, 6, 7], le(0, 4), le(end64, 8), le(1, 4)));
  }
  const count = le(members.length, 2);
  put(
    join(
      [0x50, 0x4b, 5, 6],
      le(0, 4),
      count,
      count,
      le(bytes, 4),
      le(Math.min(start, 0xffffffff), 4),
      le(0, 2),
    ),
  );
  return { size: at, pieces };
}

/** The directory has the packed size first; the zip64 field the other way round. */
function swapped(bytes: number, packedBytes: number): number[] {
  return [...le(packedBytes, 4), ...le(bytes, 4)];
}

/** A torch ZIP file: the pickle of `value`, then the storages. */
export function torchZip(
  value: Uint8Array | number[],
  storages: Readonly<Record<string, Uint8Array | number>> = {},
  more: readonly MemberCase[] = [],
): Sparse {
  return buildZip([
    { name: 'm/data.pkl', data: pk.whole(value) },
    { name: 'm/byteorder', data: utf8('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `m/data/${key}`, data })),
    { name: 'm/version', data: utf8('3\n') },
    ...more,
  ]);
}

/** A legacy file: header, pickle, storage keys, storages with their counts. */
export function torchLegacy(
  value: Uint8Array | number[],
  storages: readonly (readonly [key: string, count: number, data: Uint8Array])[],
): Bytes {
  return join(
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e],
    [0x80, 2, 0x4d, 0xe9, 3, 0x2e],
    pk.whole(pk.dictOf({ little_endian: [0x88] })),
    pk.whole(value),
    pk.whole(pk.listOf(...storages.map(([key]) => pk.text(key)))),
    ...storages.flatMap(([, count, data]) => [le(count, 8), data]),
  );
}

/** A source over a sparse file that notes what is read of it. */
export function sparseSource(name: string, file: Sparse, reads: [number, number][] = []): ByteSource {
  return {
    name,
    size: file.size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(name, file.size, offset, length);
      reads.push([offset, length]);
      const out = new Uint8Array(length);
      for (const [start, bytes] of file.pieces) {
        const from = Math.max(start, offset);
        const to = Math.min(start + bytes.length, offset + length);
        if (from < to) out.set(bytes.subarray(from - start, to - start), from - offset);
      }
      return out;
    },
  };
}

/** f32 values as little-endian bytes. */
export function f32(...values: number[]): Bytes {
  return new Uint8Array(Float32Array.from(values).buffer);
}

/** The message of the FormatError that the promise must end with. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(FormatError);
  return (error as FormatError).message;
}
