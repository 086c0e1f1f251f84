/**
 * Files and folders of the machine, for Node only: the command line and tests import this, the page never does.
 *
 * A file is opened for each read and closed again, so a source needs no closing and holds no handle. That costs some
 * tens of microseconds per read, against reads of up to 16 MiB.
 */
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join, sep } from 'node:path';
import { FormatError, NotFoundError, messageOf } from '../core/errors';
import type { ByteSource, SourceFolder } from './byteSource';
import type { ByteSink } from './byteSink';
import { checkRange, checkRelativePath } from './range';

/**
 * A file as a source.
 * @throws NotFoundError when `path` is not a readable file
 */
export async function nodeFile(path: string, name = path): Promise<ByteSource> {
  const info = await stat(path).catch((error: unknown) => {
    throw notFound(name, error);
  });
  if (!info.isFile())
    throw new NotFoundError(`${name}: must be a file: it is ${info.isDirectory() ? 'a folder' : 'special'}`);
  const size = info.size;
  return {
    name,
    size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(name, size, offset, length);
      const bytes = new Uint8Array(length);
      const handle = await open(path, 'r');
      try {
        let filled = 0;
        while (filled < length) {
          const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
          if (bytesRead === 0) {
            throw new FormatError(
              `${name}: must not change while it is read: it ends at byte ${offset + filled} of ${size}`,
            );
          }
          filled += bytesRead;
        }
      } finally {
        await handle.close();
      }
      signal?.throwIfAborted();
      return bytes;
    },
  };
}

/**
 * A folder with everything below it. Links are followed, as model caches are full of them.
 * @throws NotFoundError when `path` is not a folder
 */
export async function nodeFolder(path: string): Promise<SourceFolder> {
  const info = await stat(path).catch((error: unknown) => {
    throw notFound(path, error);
  });
  if (!info.isDirectory()) throw new NotFoundError(`${path}: must be a folder: it is a file`);
  return {
    name: path,
    list: async () => {
      const entries = await readdir(path, { recursive: true, withFileTypes: true });
      const files: string[] = [];
      for (const entry of entries) {
        const full = join(entry.parentPath, entry.name);
        const isFile = entry.isSymbolicLink() ? await linksToFile(full) : entry.isFile();
        if (isFile) files.push(full.slice(join(path, sep).length).split(sep).join('/'));
      }
      return files.sort();
    },
    open: async (relative) => {
      checkRelativePath(path, relative);
      return nodeFile(join(path, relative));
    },
  };
}

async function linksToFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false, // a link to nothing
  );
}

/**
 * A file or a folder, whichever `path` is.
 * @throws NotFoundError when it is neither
 */
export async function nodePath(path: string): Promise<{ file: ByteSource } | { folder: SourceFolder }> {
  const info = await stat(path).catch((error: unknown) => {
    throw notFound(path, error);
  });
  return info.isDirectory() ? { folder: await nodeFolder(path) } : { file: await nodeFile(path) };
}

/**
 * A sink that writes `path`.part and moves it to `path` when closed, so that a file is there whole or not at all.
 * An abandoned sink must be aborted: that removes the part.
 */
export async function nodeFileSink(path: string): Promise<ByteSink> {
  const part = `${path}.part`;
  const handle = await open(part, 'w');
  return {
    name: basename(path),
    write: async (bytes) => {
      let written = 0;
      while (written < bytes.byteLength) {
        written += (await handle.write(bytes, written, bytes.byteLength - written)).bytesWritten;
      }
    },
    close: async () => {
      await handle.sync();
      await handle.close();
      await rename(part, path);
    },
    abort: async () => {
      await handle.close();
      await rm(part, { force: true });
    },
  };
}

function notFound(name: string, error: unknown): NotFoundError {
  const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
  return new NotFoundError(
    `${name}: must exist and be readable: ${absent ? 'there is no such file' : messageOf(error)}`,
  );
}
