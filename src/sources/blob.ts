/** Blobs and Files (dropped, picked, or from OPFS) as sources and folders: the page's own files. */
import { FormatError, InputError, NotFoundError, messageOf } from '../core/errors';
import type { ByteSource, SourceFolder } from './byteSource';
import { checkRange } from './range';

/** A blob as a source. The browser reads the ranges from disk; nothing is held in memory. */
export function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(name, blob.size, offset, length);
      const bytes = await readSlice(name, blob.slice(offset, offset + length));
      signal?.throwIfAborted();
      return bytes;
    },
  };
}

async function readSlice(name: string, slice: Blob): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await slice.arrayBuffer());
  } catch (error) {
    // The browser says NotReadableError when a picked file was changed or removed since.
    throw new FormatError(`${name}: must stay readable and unchanged while in use: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A File as a source under its own name. */
export function fileSource(file: File): ByteSource {
  return blobSource(file.name, file);
}

/**
 * A folder over [path, blob] pairs; paths are relative with forward slashes.
 * @throws InputError when a path comes twice
 */
export function blobFolder(name: string, entries: Iterable<readonly [string, Blob]>): SourceFolder {
  const byPath = new Map<string, Blob>();
  for (const [path, blob] of entries) {
    if (byPath.has(path))
      throw new InputError(`${name}: each file must come once: ${JSON.stringify(path)} comes twice`);
    byPath.set(path, blob);
  }
  return {
    name,
    list: async () => [...byPath.keys()].sort(),
    open: async (path) => {
      const blob = byPath.get(path);
      if (!blob) throw new NotFoundError(`${name}: the file must be in the folder: ${JSON.stringify(path)}`);
      return blobSource(path, blob);
    },
  };
}

/**
 * A folder over Files as an `<input>` or a drop gives them. Files of a picked folder carry their path in
 * `webkitRelativePath`, the folder's own name first; that first part is dropped. Loose files go by their names.
 */
export function fileListFolder(name: string, files: Iterable<File>): SourceFolder {
  const entries: [string, Blob][] = [];
  for (const file of files) {
    const path = file.webkitRelativePath;
    entries.push([path ? path.slice(path.indexOf('/') + 1) : file.name, file]);
  }
  return blobFolder(name, entries);
}
