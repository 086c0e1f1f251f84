/** Reading golden tensor files in tests. */
import { loadFloats, loadInts, type TensorFile } from '../../src/formats/tensorFile';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { nodeFile } from '../../src/sources/node';

export interface GoldenFile {
  readonly file: TensorFile;
  readonly names: readonly string[];
  has(name: string): boolean;
  shape(name: string): readonly number[];
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  ints(name: string): Promise<Int32Array<ArrayBuffer>>;
}

/** Opens a safetensors file of golden values. */
export async function openTensors(path: string): Promise<GoldenFile> {
  const file = await readSafetensors(await nodeFile(path));
  const entry = (name: string): Parameters<typeof loadFloats>[1] => {
    const found = file.tensors.get(name);
    if (!found) throw new Error(`${path}: no tensor ${name}`);
    return found;
  };
  return {
    file,
    names: [...file.tensors.keys()],
    has: (name) => file.tensors.has(name),
    shape: (name) => entry(name).shape,
    floats: (name) => loadFloats(file.source, entry(name)),
    ints: (name) => loadInts(file.source, entry(name)),
  };
}
