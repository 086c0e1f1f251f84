/** Golden numbers that travel with the project: test/golden, described in its README. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openTensors, type GoldenFile } from './tensors';

const folder = resolve(dirname(fileURLToPath(import.meta.url)), '../golden');

/** Absolute path of a golden file. */
export function goldenPath(name: string): string {
  return resolve(folder, name);
}

/** Opens `<name>.safetensors` of test/golden. */
export function openGolden(name: string): Promise<GoldenFile> {
  return openTensors(goldenPath(`${name}.safetensors`), name);
}
