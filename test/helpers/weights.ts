/** Weight files and golden tensors of the shared fixtures, in memory and on the test device. */
import { readFileSync } from 'node:fs';
import type { TensorFile } from '../../src/formats/tensorFile';
import type { StateStore } from '../../src/gpu/pages';
import type { ParameterSpec } from '../../src/models/parameters';
import type { WeightStorage } from '../../src/protocol/generate';
import { loadWeights } from '../../src/sessions/loadWeights';
import { fixturePath } from './fixtures';
import { openTensors, type GoldenFile } from './tensors';

/** Opens a safetensors file of the shared fixtures. */
export function openFixture(rel: string): Promise<GoldenFile> {
  return openTensors(fixturePath(rel), rel);
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
