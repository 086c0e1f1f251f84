/** Pictures as files: PNG in and out, and where several pictures go. */
import { basename, dirname, extname, join } from 'node:path';
import { FormatError, InputError, UsageError } from '../core/errors';
import { knownKind } from '../formats/fileKind';
import { isPng } from '../formats/png/chunks';
import { decodePng, encodePng } from '../formats/png/png';
import type { Picture, PictureSettings } from '../protocol/generate';
import { pathKind, readBytes, readHead, writeBytes } from './files';

/**
 * Paths for `count` pictures written to `out`: one goes to the file; several to `name-0.png`, `name-1.png`, ...; into
 * a folder (one that exists, or a path without extension or with a slash at its end) go `0.png`, `1.png`, ...
 * @throws UsageError for a file name that does not end in .png
 */
export async function picturePaths(out: string, count: number): Promise<string[]> {
  const extension = extname(out).toLowerCase();
  const isFolder =
    /[\\/]$/.test(out) || (await pathKind(out)) === 'folder' || (extension === '' && count > 1);
  if (isFolder) return Array.from({ length: count }, (_, index) => join(out, `${index}.png`));
  if (extension !== '.png') throw new UsageError(`--out must be a folder or a .png file: ${out}`);
  if (count === 1) return [out];
  const name = basename(out, extname(out));
  return Array.from({ length: count }, (_, index) => join(dirname(out), `${name}-${index}.png`));
}

/** Writes pictures as PNG, with settings inside where there are any. The same pictures and settings give the same bytes. */
export async function writePictures(
  paths: readonly string[],
  pictures: readonly Picture[],
  settings: readonly (PictureSettings | undefined)[] = [],
): Promise<void> {
  for (const [index, { width, height, rgb }] of pictures.entries()) {
    const png = await encodePng({ width, height, channels: 3, data: new Uint8Array(rgb) }, settings[index]);
    await writeBytes(paths[index]!, png);
  }
}

/**
 * Reads PNG pictures of one size. Transparency is left out, as the reference's loader does (PIL's convert('RGB')).
 * @throws NotFoundError; FormatError for other formats; InputError when sizes differ
 */
export async function readPictures(paths: readonly string[]): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (const path of paths) {
    const head = await readHead(path);
    if (!isPng(head)) {
      throw new FormatError(`${path}: a picture must be PNG: it is ${knownKind(head) ?? 'of another kind'}`);
    }
    const { picture } = await decodePng(path, await readBytes(path));
    pictures.push(withoutAlpha(picture));
    const { width, height } = pictures[0]!;
    if (picture.width !== width || picture.height !== height) {
      throw new InputError(
        `${path}: pictures of one call must have one size, ${width} x ${height}: it has ${picture.width} x ${picture.height}`,
      );
    }
  }
  return pictures;
}

function withoutAlpha({
  width,
  height,
  channels,
  data,
}: Awaited<ReturnType<typeof decodePng>>['picture']): Picture {
  if (channels === 3) return { width, height, rgb: data };
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) rgb.set(data.subarray(i * 4, i * 4 + 3), i * 3);
  return { width, height, rgb };
}
