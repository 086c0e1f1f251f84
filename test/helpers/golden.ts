/** Golden numbers that travel with the project: test/golden, described in its README. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SafetensorsFile } from '../../src/formats/safetensors/reader';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { findTensor, loadFloats, loadInts } from '../../src/formats/tensorFile';
import { nodeFile } from '../../src/sources/node';

const folder = resolve(dirname(fileURLToPath(import.meta.url)), '../golden');

/** Absolute path of a golden file. */
export function goldenPath(name: string): string {
  return resolve(folder, name);
}

/** An opened golden file with its tensors at hand. */
export interface Golden {
  readonly file: SafetensorsFile;
  /** A tensor as f32. */
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** A tensor of integers. */
  ints(name: string): Promise<Int32Array<ArrayBuffer>>;
  /** A tensor's shape. */
  shape(name: string): readonly number[];
  /** A metadata entry, parsed as JSON. */
  json(key: string): unknown;
}

/** Opens `<name>.safetensors` of test/golden. */
export async function openGolden(name: string): Promise<Golden> {
  const source = await nodeFile(goldenPath(`${name}.safetensors`), name);
  const file = await readSafetensors(source);
  return {
    file,
    floats: (tensor) => loadFloats(source, findTensor(file, tensor)),
    ints: (tensor) => loadInts(source, findTensor(file, tensor)),
    shape: (tensor) => findTensor(file, tensor).shape,
    json: (key) => JSON.parse(file.metadata.get(key) ?? 'null') as unknown,
  };
}
