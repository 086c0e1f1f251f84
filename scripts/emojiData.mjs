/**
 * Writes public/data/emoji-64/{train,eval}.safetensors, the built-in training set, from its MDS form in the shared
 * fixtures (../shared/fixtures/demo/emoji-64-mds). Run `node scripts/emojiData.mjs` when that changes.
 *
 * Samples have three columns of varying size, so each begins with three u32 lengths: caption (UTF-8), caption_latents
 * (f16 [16, 96]), latents_64 (f16 [4, 16, 16], already scaled). The numbers go over bit by bit.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const source = resolve(root, '../shared/fixtures/demo/emoji-64-mds');
const target = join(root, 'public/data/emoji-64');
const bundled = join(root, '.cache/emojiData.mjs');
const captionShape = [16, 96];
const latentShape = [4, 16, 16];

/** The project's own reader of the index and writer of safetensors. */
await build({
  stdin: {
    contents: `export * from './src/formats/safetensors/writer';
      export * from './src/formats/mds/datasetIndex';`,
    resolveDir: root,
    loader: 'ts',
  },
  bundle: true,
  platform: 'node',
  format: 'esm',
  outfile: bundled,
});
/** @type {typeof import('../src/formats/safetensors/writer') & typeof import('../src/formats/mds/datasetIndex')} */
const { encodeSafetensors, parseMdsIndex } = await import(pathToFileURL(bundled).href);
await rm(bundled);
await mkdir(target, { recursive: true });

/** @typedef {{ text: string, captions: Buffer, latents: Buffer }} Sample */

for (const part of ['train', 'eval']) {
  const folder = join(source, part);
  const index = parseMdsIndex(part, JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')));
  const columns = index.columns.map(({ name, encoding }) => `${name} ${encoding}`).join(', ');
  const expected = 'caption str, caption_latents bytes, latents_64 bytes';
  if (columns !== expected) throw new Error(`${folder}: columns must be ${expected}: ${columns}`);
  /** @type {Sample[]} */
  const samples = [];
  for (const shard of index.shards) samples.push(...(await readShard(join(folder, shard.raw.path))));
  /**
   * @param {string} name
   * @param {number[]} shape of a sample
   * @param {(sample: Sample) => Buffer} each
   */
  const tensor = (name, shape, each) => {
    const size = shape.reduce((product, extent) => product * extent, 2);
    const wrong = samples.find((sample) => each(sample).length !== size);
    if (wrong) throw new Error(`${folder}: ${name}: ${size} bytes are needed: ${each(wrong).length}`);
    return {
      name,
      dtype: /** @type {const} */ ('F16'),
      shape: [samples.length, ...shape],
      data: Buffer.concat(samples.map(each)),
    };
  };
  const bytes = encodeSafetensors(
    [
      tensor('latents', latentShape, ({ latents }) => latents),
      tensor('captions', captionShape, ({ captions }) => captions),
    ],
    { texts: JSON.stringify(samples.map(({ text }) => text)) },
  );
  await writeFile(join(target, `${part}.safetensors`), bytes);
  console.log(`${part}: ${samples.length} samples, ${bytes.length} bytes`);
}

/**
 * The samples of a shard that is not compressed: u32 count, count + 1 absolute u32 offsets, the configuration, samples.
 * @param {string} path
 */
async function readShard(path) {
  const bytes = await readFile(path);
  const count = bytes.readUInt32LE(0);
  return Array.from({ length: count }, (_, i) => {
    const sample = bytes.subarray(bytes.readUInt32LE(4 + 4 * i), bytes.readUInt32LE(8 + 4 * i));
    let at = 12;
    /** @param {number} lengthAt */
    const column = (lengthAt) => {
      const start = at;
      at += sample.readUInt32LE(lengthAt);
      return sample.subarray(start, at);
    };
    const read = { text: column(0).toString('utf8'), captions: column(4), latents: column(8) };
    if (at !== sample.length) throw new Error(`${path}: sample ${i}: ${at} bytes of ${sample.length} used`);
    return read;
  });
}
