/** Reading golden tensor files in tests. */
import { readSafetensors, type SafetensorsFile } from '../../src/formats/safetensors/reader';
import { findTensor, loadFloats, loadInts } from '../../src/formats/tensorFile';
import { nodeFile } from '../../src/sources/node';

/** An opened file with its tensors at hand. */
export interface GoldenFile {
  readonly file: SafetensorsFile;
  readonly names: readonly string[];
  has(name: string): boolean;
  shape(name: string): readonly number[];
  /** A tensor as f32. */
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  /** A tensor of integers. */
  ints(name: string): Promise<Int32Array<ArrayBuffer>>;
  /** A metadata entry, parsed as JSON. */
  json(key: string): unknown;
}

/** Opens a safetensors file of golden values; `name` stands for it in messages. */
export async function openTensors(path: string, name = path): Promise<GoldenFile> {
  const source = await nodeFile(path, name);
  const file = await readSafetensors(source);
  return {
    file,
    names: [...file.tensors.keys()],
    has: (tensor) => file.tensors.has(tensor),
    shape: (tensor) => findTensor(file, tensor).shape,
    floats: (tensor) => loadFloats(source, findTensor(file, tensor)),
    ints: (tensor) => loadInts(source, findTensor(file, tensor)),
    json: (key) => JSON.parse(file.metadata.get(key) ?? 'null') as unknown,
  };
}
