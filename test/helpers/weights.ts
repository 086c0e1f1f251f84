/** Weight files and golden tensors of the shared fixtures, in memory and on the test device. */
import { readFileSync } from 'node:fs';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { findTensor, loadFloats, loadInts, type TensorFile } from '../../src/formats/tensorFile';
import type { StateStore } from '../../src/gpu/pages';
import type { ParameterSpec } from '../../src/models/parameters';
import type { WeightStorage } from '../../src/protocol/generate';
import { loadWeights } from '../../src/sessions/loadWeights';
import { nodeFile } from '../../src/sources/node';
import { fixturePath } from './fixtures';

/** An opened fixture with its tensors at hand. */
export interface FixtureTensors {
  readonly file: TensorFile;
  readonly names: readonly string[];
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  ints(name: string): Promise<Int32Array<ArrayBuffer>>;
  shape(name: string): readonly number[];
}

/** Opens a safetensors file of the shared fixtures. */
export async function openFixture(rel: string): Promise<FixtureTensors> {
  const source = await nodeFile(fixturePath(rel), rel);
  const file = await readSafetensors(source);
  return {
    file,
    names: [...file.tensors.keys()],
    floats: (name) => loadFloats(source, findTensor(file, name)),
    ints: (name) => loadInts(source, findTensor(file, name)),
    shape: (name) => findTensor(file, name).shape,
  };
}

/** A JSON file of the shared fixtures. */
export function readFixtureJson(rel: string): unknown {
  return JSON.parse(readFileSync(fixturePath(rel), 'utf8'));
}

/** Puts the tensors of a table into the state group `group`; see groupWeights for how a graph gets at them. */
export async function loadState(
  store: StateStore,
  group: string,
  file: TensorFile,
  specs: readonly ParameterSpec[],
  storage: WeightStorage = 'f32',
): Promise<void> {
  await loadWeights(store, group, file, specs, { storage });
}
