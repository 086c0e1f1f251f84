/** Bytes in memory as a source, and files in memory as a folder: small files already read, and tests. */
import { NotFoundError } from '../core/errors';
import type { ByteSource, SourceFolder } from './byteSource';
import { checkRange } from './range';

/** A source over `bytes`, which are not copied and must not change. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(name, bytes.byteLength, offset, length);
      return bytes.slice(offset, offset + length);
    },
  };
}

/** A folder over named byte arrays; keys are relative paths. */
export function memoryFolder(name: string, files: Iterable<readonly [string, Uint8Array]>): SourceFolder {
  const byPath = new Map(files);
  return {
    name,
    list: async () => [...byPath.keys()].sort(),
    open: async (path) => {
      const bytes = byPath.get(path);
      if (!bytes) throw new NotFoundError(`${name}: the file must be in the folder: ${JSON.stringify(path)}`);
      return memorySource(path, bytes);
    },
  };
}
