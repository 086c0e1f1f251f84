/** Drops for tests: folders of files in memory, weight files that have names and shapes but no data, ZIP archives. */
import { deflateRawSync } from 'node:zlib';
import type { FileDType } from '../../src/core/dtype';
import { NotFoundError } from '../../src/core/errors';
import type { Shape } from '../../src/core/shape';
import { crc32 } from '../../src/formats/png/chunks';
import { planSafetensors } from '../../src/formats/safetensors/writer';
import type { ByteSource, SourceFolder } from '../../src/sources/byteSource';
import { memorySource } from '../../src/sources/memory';

/** A file of a drop: bytes, text, JSON, or a source of its own. */
export type Dropped = Uint8Array | string | ByteSource | { readonly json: unknown };

const isSource = (file: Dropped): file is ByteSource => typeof file === 'object' && 'read' in file;

/** The bytes of a file that is no source. */
export function bytesOf(file: Exclude<Dropped, ByteSource>): Uint8Array {
  if (file instanceof Uint8Array) return file;
  return new TextEncoder().encode(typeof file === 'string' ? file : JSON.stringify(file.json));
}

/** A folder of files by path. `reads` counts the bytes read of each. */
export function dropFolder(
  files: Readonly<Record<string, Dropped>>,
  reads: Map<string, number> = new Map(),
): SourceFolder {
  return {
    name: 'dropped files',
    list: async () => Object.keys(files),
    open: async (path) => {
      const file = files[path];
      if (file === undefined) throw new NotFoundError(`${path}: must be in the drop: it is not`);
      const source = isSource(file) ? file : memorySource(path, bytesOf(file));
      return {
        name: path,
        size: source.size,
        read: (offset, length, signal) => {
          reads.set(path, (reads.get(path) ?? 0) + length);
          return source.read(offset, length, signal);
        },
      };
    },
  };
}

/** As much of a tensor as a weight file's index says. */
export interface TensorShape {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype?: FileDType;
}

/** A safetensors file of any size whose data are zeros that lie nowhere. */
export function shapesFile(
  tensors: readonly TensorShape[],
  metadata: Readonly<Record<string, string>> = {},
): ByteSource {
  const heads = tensors.map(({ name, shape, dtype = 'F32' as const }) => ({ name, shape, dtype }));
  const { header, size } = planSafetensors(heads, metadata);
  return {
    name: 'shapes',
    size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length);
      bytes.set(header.subarray(offset, offset + length));
      return bytes;
    },
  };
}

/** Tensors of a table under a prefix. */
export const prefixed = (tensors: readonly TensorShape[], prefix: string): TensorShape[] =>
  tensors.map(({ name, shape }) => ({ name: prefix + name, shape }));

/** A member of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflate?: boolean;
  /** Bytes that the directory promises in place of the real number. */
  readonly claim?: number;
}

/** A ZIP archive. */
export function zipFile(entries: readonly ZipEntry[]): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, data, deflate = false, claim } of entries) {
    const nameBytes = new TextEncoder().encode(name);
    const packed = deflate ? deflateRawSync(data) : data;
    const fields = [deflate ? 8 : 0, crc32(data), packed.length, claim ?? data.length] as const;
    const local = header(30, 0x04034b50, 4, fields, nameBytes.length);
    const central = header(46, 0x02014b50, 6, fields, nameBytes.length);
    new DataView(central.buffer).setUint32(42, at, true);
    pieces.push(local, nameBytes, packed);
    directory.push(central, nameBytes);
    at += local.length + nameBytes.length + packed.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, entries.length, true);
  end.setUint16(10, entries.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, at, true);
  return new Uint8Array(Buffer.concat([...pieces, ...directory, new Uint8Array(end.buffer)]));
}

/** A local or central header; the fields stand `shift` bytes further on in the central one. */
function header(
  bytes: number,
  signature: number,
  start: number,
  [method, crc, packed, size]: readonly [number, number, number, number],
  nameBytes: number,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(bytes));
  view.setUint32(0, signature, true);
  view.setUint16(start, 20, true);
  view.setUint16(start + 2, 0x800, true);
  view.setUint16(start + 4, method, true);
  view.setUint32(start + 10, crc, true);
  view.setUint32(start + 14, packed, true);
  view.setUint32(start + 18, size, true);
  view.setUint16(start + 22, nameBytes, true);
  return new Uint8Array(view.buffer);
}
