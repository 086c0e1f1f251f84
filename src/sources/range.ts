/** Checks shared by every kind of source: ranges inside the file, paths inside the folder. */
import { FormatError } from '../core/errors';

/**
 * Throws unless [offset, offset + length) lies inside a source of `size` bytes.
 * @throws FormatError
 */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const fits =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= size;
  if (!fits) {
    throw new FormatError(
      `${name}: bytes ${offset} to ${offset + length} must lie inside the file: it has ${size} bytes`,
    );
  }
}

/**
 * Throws unless `path` is a plain relative path with forward slashes that stays inside its folder. Paths come from
 * manifests and indices that somebody else wrote.
 * @throws FormatError
 */
export function checkRelativePath(folder: string, path: string): void {
  const bad =
    path === '' ||
    /[\\\0]/.test(path) ||
    /^[A-Za-z]:/.test(path) ||
    path.split('/').some((part) => part === '' || part === '.' || part === '..');
  if (bad) {
    throw new FormatError(
      `${folder}: a file's path must be relative, with forward slashes and inside the folder: ${JSON.stringify(path)}`,
    );
  }
}
