/**
 * Writes test/golden/: the part of the shared fixtures that the project carries itself, so that its tests check real
 * numbers everywhere. Needs the fixtures (../shared/fixtures); run `node scripts/golden.mjs` when they change.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { format } from 'prettier';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const fixtures = resolve(root, '../shared/fixtures');
const target = join(root, 'test/golden');
const bundled = join(root, '.cache/golden.mjs');

/** The project's own reader and writer. */
await build({
  stdin: {
    contents: `export * from './src/formats/safetensors/reader';
      export * from './src/formats/safetensors/writer';
      export * from './src/formats/tensorFile';
      export * from './src/sources/node';`,
    resolveDir: root,
    loader: 'ts',
  },
  bundle: true,
  platform: 'node',
  format: 'esm',
  outfile: bundled,
});
const { encodeSafetensors, loadBytes, nodeFile, readSafetensors } = await import(pathToFileURL(bundled).href);
await rm(bundled);
await mkdir(target, { recursive: true });

for (const name of ['micro-a.weights.safetensors', 'micro-a.forward.safetensors']) {
  await copyFile(join(fixtures, 'dit', name), join(target, name));
}

/** The demo's first samples: everything that 8 steps of guidance 3 go through. */
const samples = 2;
const source = await nodeFile(join(fixtures, 'demo/golden/samples.safetensors'));
const file = await readSafetensors(source);
const tensors = [];
for (const name of ['input_ids', 'caption_latents', 'noise', 'latents_8', 'image_8']) {
  const { dtype, shape, ...place } = file.tensors.get(name);
  const whole = await loadBytes(source, { name, dtype, shape, ...place });
  const data = whole.subarray(0, (whole.length / shape[0]) * samples);
  tensors.push({ name, dtype, shape: [samples, ...shape.slice(1)], data });
}
const metadata = new Map(file.metadata);
metadata.set('prompts', JSON.stringify(JSON.parse(metadata.get('prompts')).slice(0, samples)));
await writeFile(join(target, 'emoji-64.samples.safetensors'), encodeSafetensors(tensors, metadata));

// Random numbers: Philox's published answers, a few seeds each of CUDA's and the CPU's randn.
/** @param {string} path @returns {Promise<any>} */
const readJson = async (path) => JSON.parse(await readFile(join(fixtures, path), 'utf8'));
const philox = await readJson('rng/philox.json');
/** @type {{ seed: string, shape: number[], max_threads: number | null }[]} */
const allCuda = await readJson('rng/cuda_randn.json');
const cuda = allCuda.filter(
  ({ seed, shape, max_threads }) =>
    shape.length < 4 || max_threads !== null || (shape[0] === 1 && seed !== '42'),
);
/** @type {{ kind: string, seed: string, n?: number }[]} */
const allCpu = await readJson('rng/cpu_randn.json');
const cpu = allCpu.filter(
  ({ kind, seed, n = 0 }) => ['0', '-1'].includes(seed) && (kind !== 'randn' || n <= 20 || n === 4096),
);
const rng = { known: philox.known, published_randn_seed0: philox.published_randn_seed0, cuda, cpu };
await writeFile(
  join(target, 'rng.json'),
  await format(JSON.stringify(rng), { parser: 'json', printWidth: 110 }),
);
console.log(`wrote ${target}`);
