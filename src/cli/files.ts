/**
 * Files of the command line: tensors in (safetensors, torch) and out (safetensors), JSON, pictures. Every failure names the file.
 */
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, messageOf, NotFoundError, TabditError } from '../core/errors';
import { shapeText, type Shape } from '../core/shape';
import { readJson } from '../formats/json';
import { openTensorFile } from '../formats/openTensorFile';
import { encodeSafetensors, type Metadata, type TensorData } from '../formats/safetensors/writer';
import { loadFloats, loadInts, nameText, type TensorFile } from '../formats/tensorFile';
import type { SourceFolder } from '../sources/byteSource';
import { nodeFile, nodeFileSink } from '../sources/node';

/** A tensor's values with its shape. */
export interface Values<Data> {
  readonly shape: Shape;
  readonly data: Data;
}

export type Floats = Values<Float32Array<ArrayBuffer>>;

/**
 * Opens a weight or tensor file, safetensors or torch by its content.
 * @throws NotFoundError, FormatError
 */
export async function openTensors(path: string, signal?: AbortSignal): Promise<TensorFile> {
  return openTensorFile(await nodeFile(path), signal);
}

/** A file's first bytes, enough to tell what it is. @throws NotFoundError */
export async function readHead(path: string): Promise<Uint8Array> {
  const source = await nodeFile(path);
  return source.read(0, Math.min(512, source.size));
}

/**
 * The first tensor of `names` that the file has, as f32.
 * @throws NotFoundError, FormatError
 */
export async function readFloats(file: TensorFile, ...names: readonly string[]): Promise<Floats> {
  const entry = findFirst(file, names);
  return { shape: entry.shape, data: await loadFloats(file.source, entry) };
}

/** As readFloats, for integers. */
export async function readInts(
  file: TensorFile,
  ...names: readonly string[]
): Promise<Values<Int32Array<ArrayBuffer>>> {
  const entry = findFirst(file, names);
  return { shape: entry.shape, data: await loadInts(file.source, entry) };
}

function findFirst(file: TensorFile, names: readonly string[]): Parameters<typeof loadFloats>[1] {
  for (const name of names) {
    const entry = file.tensors.get(name);
    if (entry) return entry;
  }
  const have = [...file.tensors.keys()].slice(0, 8).map(nameText).join(', ') || 'none';
  const more = file.tensors.size > 8 ? `, ... (${file.tensors.size} in all)` : '';
  throw new NotFoundError(
    `${file.source.name}: tensor ${names.map(nameText).join(' or ')} must be in the file: it has ${have}${more}`,
  );
}

/**
 * Checks a tensor's shape against a pattern: a number must be met, text names an extent that may be anything.
 * @throws FormatError
 */
export function checkShape(what: string, shape: Shape, pattern: readonly (number | string)[]): void {
  const fits =
    shape.length === pattern.length &&
    pattern.every((extent, axis) =>
      typeof extent === 'number' ? extent === shape[axis] : shape[axis]! >= 1,
    );
  if (!fits)
    throw new FormatError(`${what}: must have shape [${pattern.join(', ')}]: it has ${shapeText(shape)}`);
}

/** A tensor to write. */
export function floats(name: string, shape: Shape, data: Float32Array): TensorData {
  return { name, dtype: 'F32', shape, data };
}

/** Writes a safetensors file; folders on the way are made. @throws TabditError code `io` */
export async function writeTensors(
  path: string,
  tensors: readonly TensorData[],
  metadata: Metadata = {},
): Promise<void> {
  await writeBytes(path, encodeSafetensors(tensors, metadata));
}

/** Writes a file, whole or not at all; folders on the way are made. @throws TabditError code `io` */
export async function writeBytes(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const sink = await nodeFileSink(path);
    try {
      await sink.write(bytes);
      await sink.close();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  } catch (error) {
    throw new TabditError('io', `${path}: must be writable: ${messageOf(error)}`, { cause: error });
  }
}

/** Reads a small file whole. @throws NotFoundError */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  await nodeFile(path); // names the file when it is not one
  return new Uint8Array(await readFile(path));
}

/** Reads a JSON file. @throws NotFoundError, FormatError */
export async function readJsonFile(path: string): Promise<unknown> {
  return readJson(await nodeFile(path));
}

/** The files of a folder, without those of folders inside it. */
export async function shallowFolder(path: string): Promise<SourceFolder> {
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return {
    name: path,
    list: async () => names,
    open: (name) => nodeFile(join(path, name)),
  };
}

/** What stands at a path. */
export async function pathKind(path: string): Promise<'file' | 'folder' | 'none'> {
  const info = await stat(path).catch(() => null);
  if (!info) return 'none';
  return info.isDirectory() ? 'folder' : 'file';
}
