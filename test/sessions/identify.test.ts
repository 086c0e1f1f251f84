/** What the files of a drop are: synthetic ones with the names and shapes of real models, archives, folders, bad files. */
import { readFileSync, readdirSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodePng } from '../../src/formats/png/png';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters, trainedParameters } from '../../src/models/dit/parameters';
import { parameterCount } from '../../src/models/parameters';
import { taesdParameters } from '../../src/models/taesd/parameters';
import { textParameters } from '../../src/models/text/tower';
import { klParameters } from '../../src/models/vae/parameters';
import { parseKlConfig, type TextConfig } from '../../src/protocol/schemas';
import { identify } from '../../src/sessions/identify';
import type { Identified } from '../../src/sessions/identifyTypes';
import { memorySource } from '../../src/sources/memory';
import { dropFolder, prefixed, shapesFile, zipFile, type Dropped } from '../helpers/droppedFiles';

const look = (files: Readonly<Record<string, Dropped>>): Promise<Identified[]> => identify(dropFolder(files));
const only = async (
  files: Readonly<Record<string, Dropped>>,
  path = Object.keys(files)[0]!,
): Promise<Identified> => {
  const items = await look(files);
  const item = items.find(({ facts }) => facts.path === path);
  if (!item) throw new Error(`${path} is not among ${items.map(({ facts }) => facts.path).join(', ')}`);
  return item;
};

const xl = namedDitConfig('MicroDiT_XL_2', { input_size: 64, pos_interp_scale: 2 });
const small = namedDitConfig('MicroDiT_Tiny_2', {
  dim: 64,
  head_dim: 16,
  depth: 2,
  patch_mixer_dim: 48,
  multiple_of: 32,
});
const klJson = { latent_channels: 4, block_out_channels: [32, 64], norm_num_groups: 16, scaling_factor: 0.5 };
const kl = parseKlConfig('vae', klJson).config;
const sdxl = parseKlConfig('vae', {
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
}).config;
const tower: TextConfig = {
  ...{ context: 77, vocab: 49408, width: 1024, heads: 16, layers: 24 },
  ...{ mlpRatio: 4, act: 'quick_gelu', eps: 1e-5 },
};

describe('weight files', () => {
  test('the released transformer, by its shapes alone, its data unread', async () => {
    const file = shapesFile(ditParameters(xl));
    const reads = new Map<string, number>();
    const [item] = await identify(dropFolder({ 'dit_4_channel.safetensors': file }, reads));
    expect(item?.facts).toMatchObject({
      kind: 'model',
      format: 'safetensors',
      problem: null,
      bytes: file.size,
    });
    expect(item?.parts[0]?.facts).toMatchObject({
      ...{ role: 'dit', kind: 'dit', prefix: '', config: xl, configFrom: 'its shapes', problem: null },
      words: 'MicroDiT_XL_2 for 512 px, 4 latent channels',
      parameters: parameterCount(trainedParameters(xl)),
      bytes: 4 * parameterCount(ditParameters(xl)),
      dtypes: { F32: parameterCount(ditParameters(xl)) },
    });
    expect(file.size).toBeGreaterThan(4.6e9);
    expect(reads.get('dit_4_channel.safetensors')).toBeLessThan(200_000);
  });

  test('a checkpoint of Composer: three parts with their prefixes', async () => {
    const model = 'state.model.';
    const item = await only({
      'ep0-ba1-rank0.safetensors': shapesFile([
        ...prefixed(ditParameters(xl), `${model}dit.`),
        ...prefixed(klParameters(sdxl), `${model}vae.`).map((spec) => ({ ...spec, dtype: 'BF16' as const })),
        ...prefixed(textParameters(tower), `${model}text_encoder.encoder.clip_model.`),
        { name: 'state.optimizers.AdamW.state.dit.mask_token.exp_avg', shape: [16] },
      ]),
    });
    expect(item.parts.map(({ facts }) => [facts.role, facts.prefix, facts.problem])).toEqual([
      ['dit', 'state.model.dit.', null],
      ['vae', 'state.model.vae.', null],
      ['text', 'state.model.text_encoder.encoder.clip_model.', null],
    ]);
    expect(item.parts[1]?.facts).toMatchObject({ dtypes: { BF16: 83653863 }, bytes: 2 * 83653863 });
    expect(item.parts[2]?.facts).toMatchObject({ parameters: 352984064, config: tower });
    expect(item.facts.notes.join()).not.toContain('optimizer');
  });

  test('what else such a checkpoint holds is told', async () => {
    const item = await only({
      'a.safetensors': shapesFile([
        ...prefixed(ditParameters(xl), 'dit.'),
        { name: 'text_encoder.encoder.block.0.layer.0.SelfAttention.q.weight', shape: [4096, 4096] },
      ]),
    });
    expect(item.parts).toHaveLength(1);
    expect(item.facts.notes.join()).toContain('the file holds a T5 text encoder 4096 wide');
  });

  test('a MicroDiT of unknown shapes says what is missing; its configuration may lie beside it or in its metadata', async () => {
    const specs = ditParameters(small);
    const lacking = await only({ 'a.safetensors': shapesFile(specs) });
    expect(lacking.parts[0]).toMatchObject({ content: null, facts: { config: null, configFrom: '' } });
    expect(lacking.parts[0]?.facts.problem).toBe(
      'a.safetensors: a configuration must tell what shapes do not (dim 64, depth 2, 4 latent channels, caption width 1024): there is no .json of its name beside it, and it is neither MicroDiT_Tiny_2 nor MicroDiT_XL_2',
    );
    const config = JSON.stringify(small);
    const from = async (files: Record<string, Dropped>, path: string): Promise<string | undefined> => {
      const { content, facts } = (await only(files, path)).parts[0]!;
      expect(content, path).toMatchObject({ role: 'dit', config: small });
      return facts.configFrom;
    };
    const file = shapesFile(specs);
    expect(await from({ 'x/a.safetensors': file, 'x/a.json': config }, 'x/a.safetensors')).toBe('x/a.json');
    expect(await from({ 'a.safetensors': file, 'config.json': config }, 'a.safetensors')).toBe('config.json');
    expect(
      await from({ 'a.safetensors': file, 'my.json': { json: { config: small } } }, 'a.safetensors'),
    ).toBe('my.json');
    expect(await from({ 'a.safetensors': shapesFile(specs, { config }) }, 'a.safetensors')).toBe(
      'a.safetensors: metadata "config"',
    );
    // that of its name counts before the metadata
    const other = JSON.stringify({ ...small, pos_interp_scale: 3 });
    const both = { 'a.safetensors': shapesFile(specs, { config: other }), 'a.json': config };
    expect(await from(both, 'a.safetensors')).toBe('a.json');
  });

  test("a bundle's file by itself has the configuration that the manifest names", async () => {
    const part = (name: string) => ({ file: `${name}.safetensors`, config: `configs/${name}.json` });
    const manifest = {
      ...{ name: 'x', image_size: 64, latent: { channels: 4, size: 16, scaling_factor: 1 } },
      ...{ dit: part('dit'), vae: part('vae') },
      text: { ...part('text'), tokenizer: 'tokenizer.json', context: 77, pad: 0 },
    };
    const items = await look({
      ...{ 'tabdit.json': { json: manifest }, 'dit.safetensors': shapesFile(ditParameters(small)) },
      'configs/dit.json': JSON.stringify(small),
    });
    const dit = items.find(({ facts }) => facts.path === 'dit.safetensors');
    expect(dit?.parts[0]?.facts).toMatchObject({ problem: null, configFrom: 'configs/dit.json' });
  });

  test('a configuration that does not fit is told, or passed over when nobody said it is for this file', async () => {
    const file = shapesFile(ditParameters(small));
    const wrong = JSON.stringify({ ...small, dim: 128 });
    const own = await only({ 'a.safetensors': file, 'a.json': wrong });
    expect(own.parts[0]?.facts.problem).toMatch(
      /^a\.safetensors: must be what a\.json describes: tensor pos_embed must have shape \[1, 256, 128\]: it has \[1, 256, 64\]$/,
    );
    const near = await only({ 'a.safetensors': file, 'b.json': wrong, 'c.json': JSON.stringify(small) });
    expect(near.parts[0]?.facts).toMatchObject({ configFrom: 'c.json', problem: null });
    const twice = await only({
      ...{ 'a.safetensors': file, 'c.json': JSON.stringify(small) },
      'd.json': JSON.stringify({ ...small, pos_interp_scale: 2 }),
    });
    expect(twice.parts[0]?.facts.problem).toContain('c.json and d.json both fit and differ');
    const broken = await only({ 'a.safetensors': file, 'a.json': '{"dim": "x"}' });
    expect(broken.parts[0]?.facts.problem).toMatch(/^a\.json: dim: /);
  });

  test('autoencoders and text towers with and without their configuration', async () => {
    const vae = await only({
      'vae/a.safetensors': shapesFile(klParameters(kl)),
      'vae/config.json': { json: klJson },
    });
    expect(vae.parts[0]).toMatchObject({
      facts: { kind: 'autoencoder-kl', half: 'both', configFrom: 'vae/config.json', config: kl },
      content: { role: 'vae', model: { kind: 'kl', config: kl } },
    });
    const bare = await only({ 'a.safetensors': shapesFile(klParameters(kl)) });
    expect(bare.parts[0]?.facts.problem).toBe(
      'a.safetensors: a configuration must tell what shapes do not (levels of 32, 64 channels, 4 latent channels): there is no config.json beside it',
    );
    const known = await only({ 'a.safetensors': shapesFile(klParameters(sdxl)) });
    expect(known.parts[0]?.facts).toMatchObject({
      words: 'AutoencoderKL with the shapes of SDXL, 4 latent channels, factor 8',
      config: { scaling_factor: 0.13025 },
      problem: null,
    });
    expect(known.facts.notes.join()).toContain('0.18215');
    const clip = await only({
      'open_clip_pytorch_model.safetensors': shapesFile(textParameters(tower)),
      'open_clip_config.json': {
        json: { model_cfg: { quick_gelu: false, text_cfg: { width: 1024, heads: 16, layers: 24 } } },
      },
    });
    expect(clip.parts[0]?.facts).toMatchObject({
      config: { act: 'gelu' },
      configFrom: 'open_clip_config.json',
    });
    const taesd = await only({ 'a.safetensors': shapesFile(taesdParameters(16)) });
    expect(taesd.parts[0]?.facts).toMatchObject({
      kind: 'taesd',
      config: { latent_channels: 16 },
      half: 'both',
    });
  });

  test.each<[string, readonly { name: string; shape: number[] }[], RegExp]>([
    [
      'T5',
      [
        { name: 'encoder.block.0.layer.0.SelfAttention.q.weight', shape: [4096, 4096] },
        { name: 'shared.weight', shape: [32128, 4096] },
      ],
      /a T5 text encoder 4096 wide.*T5 is not supported.*apple\/DFN5B/,
    ],
    [
      'U-Net',
      [{ name: 'model.diffusion_model.input_blocks.0.0.weight', shape: [320, 4, 3, 3] }],
      /U-Net of Stable Diffusion; transformers must be MicroDiT/,
    ],
    ['LoRA', [{ name: 'x.lora_up.weight', shape: [1, 1] }], /it is a LoRA/],
  ])('%s is refused with its name, its tensors told', async (_, tensors, message) => {
    const item = await only({ 'a.safetensors': shapesFile(tensors) });
    expect(item.facts).toMatchObject({ kind: 'refused', format: 'safetensors' });
    expect(item.facts.problem).toMatch(message);
    expect(item.files[0]?.file.tensors.size).toBe(tensors.length);
  });

  test('tensors of nothing known, and damaged files', async () => {
    const values = encodeSafetensors([floatTensor('a', [2], Float32Array.of(1, 2))]);
    const items = await look({
      'a.safetensors': values,
      'b.safetensors': values.subarray(0, values.length - 1),
      'c.pt': 'this is no checkpoint',
      'd.bin': '<!DOCTYPE html><html>',
      'e.safetensors': '',
    });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.problem?.split(': ')[0]])).toEqual([
      ['a.safetensors', 'tensors', undefined],
      ['b.safetensors', 'refused', 'b.safetensors'],
      ['c.pt', 'refused', 'c.pt'],
      ['d.bin', 'refused', 'd.bin'],
      ['e.safetensors', 'refused', 'e.safetensors'],
    ]);
  });

  test('weights that are not floating-point numbers', async () => {
    const packed = ditParameters(xl).map(({ name, shape }) => ({ name, shape, dtype: 'I8' as const }));
    const item = await only({ 'a.safetensors': shapesFile(packed) });
    expect(item.parts[0]).toMatchObject({
      facts: {
        problem: 'a.safetensors: tensor pos_embed must hold real floating-point numbers: it holds I8',
        dtypes: { I8: parameterCount(ditParameters(xl)) },
      },
      content: null,
    });
  });

  test('a source that fails is a bad file, an abort is not', async () => {
    const failing = { name: 'x', size: 100, read: () => Promise.reject(new Error('the disk is gone')) };
    const [item] = await look({ 'a.safetensors': failing });
    expect(item?.facts).toMatchObject({
      kind: 'refused',
      problem: 'a.safetensors: must be readable: the disk is gone',
    });
    const stop = new AbortController();
    const slow = { name: 'x', size: 100, read: () => (stop.abort(), Promise.reject(new Error('aborted'))) };
    await expect(identify(dropFolder({ 'a.safetensors': slow }), stop.signal)).rejects.toThrow(/abort/i);
  });
});

describe('models in several files', () => {
  const specs = ditParameters(small);
  const [first, second] = [specs.slice(0, 40), specs.slice(40)];
  const files = {
    'm/model-00001-of-00002.safetensors': shapesFile(first),
    'm/model-00002-of-00002.safetensors': shapesFile(second),
  };
  const map = Object.fromEntries(
    specs.map(({ name }, index) => [name, `model-0000${index < 40 ? 1 : 2}-of-00002.safetensors`]),
  );
  const config = { 'm/model.json': JSON.stringify(small) };

  test('are one, with an index or by their names', async () => {
    const indices: Record<string, Dropped>[] = [
      {},
      { 'm/model.safetensors.index.json': { json: { weight_map: map } } },
    ];
    for (const index of indices) {
      const items = await look({ ...files, ...config, ...index });
      const models = items.filter(({ facts }) => facts.kind !== 'config');
      expect(models.map(({ facts }) => [facts.path, facts.problem])).toEqual([['m/model.safetensors', null]]);
      expect(models[0]?.files[0]?.file.tensors.size).toBe(specs.length);
      expect(models[0]?.parts[0]?.content).toMatchObject({ role: 'dit', config: small });
    }
  });

  test('are refused when one is missing', async () => {
    const index = { 'm/model.safetensors.index.json': { json: { weight_map: map } } };
    const [item, ...rest] = await look({ 'm/model-00001-of-00002.safetensors': shapesFile(first), ...index });
    expect(rest).toEqual([]);
    expect(item?.facts).toMatchObject({
      kind: 'refused',
      problem:
        'm/model.safetensors: all 2 files of the model must be there: model-00002-of-00002.safetensors is not',
    });
  });
});

describe('folders and archives', () => {
  let bundle: Record<string, Uint8Array> = {};
  beforeAll(() => {
    const folder = 'public/models/emoji-64';
    bundle = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(`${folder}/${name}`)]));
  });
  const under = (prefix: string): Record<string, Uint8Array> =>
    Object.fromEntries(Object.entries(bundle).map(([name, data]) => [prefix + name, data]));
  const zipped = (prefix: string, deflate: boolean): Uint8Array<ArrayBuffer> =>
    zipFile(Object.entries(under(prefix)).map(([name, data]) => ({ name, data, deflate })));

  test('a bundle is one item of four parts; files beside its folder are looked at', async () => {
    const items = await look({
      ...under('a/emoji-64/'),
      'a/other.safetensors': shapesFile([{ name: 'x', shape: [1] }]),
    });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.format])).toEqual([
      ['a/emoji-64', 'bundle', 'folder'],
      ['a/other.safetensors', 'tensors', 'safetensors'],
    ]);
    expect(items[0]?.parts.map(({ facts }) => facts.role)).toEqual(['dit', 'vae', 'text', 'tokenizer']);
    expect(items[0]?.bundle?.manifest.name).toBe('emoji-64');
  });

  test('a damaged bundle is refused, and its files are looked at by themselves', async () => {
    const files = under('');
    delete files['vae.json'];
    const items = await look(files);
    expect(items[0]?.facts).toMatchObject({ kind: 'refused', format: 'folder' });
    expect(items[0]?.facts.problem).toContain(
      'vae.config: the file must be in the bundle: "vae.json" is not',
    );
    const dit = items.find(({ facts }) => facts.path === 'dit.safetensors');
    expect(dit?.parts[0]?.facts.problem).toBeNull();
  });

  test.each([
    ['stored', '', false, 'b.zip'],
    ['deflated, in a folder', 'emoji/', true, 'b.zip/emoji'],
  ])('a bundle in an archive, %s', async (_, prefix, deflate, path) => {
    const items = await look({ 'b.zip': zipped(prefix, deflate) });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.format, facts.problem])).toEqual([
      [path, 'bundle', 'zip', null],
    ]);
  });

  test('archives that are bad, nested or empty are one refused item', async () => {
    const inner = zipFile([{ name: 'a.txt', data: Uint8Array.of(1) }]);
    const evil = zipFile([{ name: '../a.safetensors', data: Uint8Array.of(1) }]);
    const problems = (
      await look({
        'bad.zip': zipped('', false).subarray(0, 5000),
        'empty.zip': zipFile([]),
        'evil.zip': evil,
        'hidden.zip': zipFile([{ name: '__MACOSX/._a', data: Uint8Array.of(1) }]),
        'nested.zip': zipFile([{ name: 'in.zip', data: inner }]),
      })
    ).map(({ facts }) => `${facts.path} ${facts.kind}: ${facts.problem ?? ''}`);
    expect(problems).toEqual([
      'bad.zip refused: bad.zip: ZIP archive: a ZIP archive must end with its directory: there is none (is the file cut short?)',
      'empty.zip refused: empty.zip: ZIP archive: must have files: it has none',
      'evil.zip refused: evil.zip: ZIP archive: a file\'s path must be relative, with forward slashes and inside the folder: "../a.safetensors"',
      'hidden.zip refused: hidden.zip: ZIP archive: must have files: it has none',
      'nested.zip/in.zip refused: nested.zip/in.zip: a ZIP archive must not lie inside another: unpack nested.zip first',
    ]);
  });

  test('datasets are one item, whatever lies beside them', async () => {
    const shard = (name: string) => ({
      ...{ format: 'mds', version: 2, samples: 3, compression: null, hashes: [], size_limit: null },
      ...{ column_names: ['caption'], column_encodings: ['str'], column_sizes: [null] },
      ...{ raw_data: { basename: name, bytes: 4, hashes: {} }, zip_data: null },
    });
    const index = (...names: string[]) => ({ json: { version: 2, shards: names.map(shard) } });
    const data = Uint8Array.of(0, 0, 0, 0);
    const items = await look({
      ...{ 'd/index.json': index('0/shard.00000.mds', '1/shard.00000.mds') },
      ...{ 'd/0/index.json': index('shard.00000.mds'), 'd/0/shard.00000.mds': data },
      ...{ 'd/1/index.json': index('shard.00000.mds'), 'd/1/shard.00000.mds': data },
      ...{ 'd/a.safetensors': shapesFile([{ name: 'x', shape: [1] }]) },
      ...{
        'e/index.json': index('shard.00000.mds'),
        'f/shard.00000.mds': data,
        'g/index.json': { json: {} },
      },
    });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.problem])).toEqual([
      ['d', 'mds', null],
      ['e', 'refused', 'e/index.json: every shard must be in the folder: shard.00000.mds is not'],
      ['f', 'refused', 'f: a dataset must have its index.json: there is none beside shard.00000.mds'],
      ['d/a.safetensors', 'tensors', null],
      ['g/index.json', 'other', null],
    ]);
    expect(items[0]?.facts.words).toContain('6 samples in 2 shards, columns caption (str)');
  });

  test('hidden files are passed over; many useless ones are one item', async () => {
    const useless = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`d/${i}.txt`, 'x']));
    const items = await look({
      ...useless,
      'd/.git/config': 'x',
      '__MACOSX/._a': 'x',
      'd/Thumbs.db': 'x',
      'd/a.jpg': 'x',
    });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.words])).toEqual([
      ['d', 'other', '51 files of no use here: 50 .txt, 1 .jpg'],
    ]);
    const few = await look({ 'a.txt': 'some words', 'b.xyz': Uint8Array.of(0, 1, 2) });
    expect(few.map(({ facts }) => [facts.kind, facts.words])).toEqual([
      ['other', 'Text beginning "some words"'],
      ['other', 'A file of no kind known here'],
    ]);
  });
});

describe('small files', () => {
  test('pictures with and without settings, their beginning read only', async () => {
    const picture = { width: 64, height: 32, channels: 3 as const, data: new Uint8Array(64 * 32 * 3) };
    const settings = {
      ...{ program: 'tabdit', model: 'emoji-64', prompt: 'a cat', steps: 8, guidance: 3 },
      ...{ seed: '1', noiseLayout: 'cuda', index: 0, count: 1 },
    };
    // a file whose pixels are cut off still has its settings
    const made = await encodePng(picture, settings);
    const items = await look({
      'a.png': made.subarray(0, made.length - 30),
      'b.png': await encodePng(picture),
      'c.png': made.subarray(0, 20),
    });
    expect(items.map(({ facts }) => [facts.kind, facts.words])).toEqual([
      ['picture', 'Picture of 64 x 32 px, made by emoji-64 from “a cat”'],
      ['picture', 'Picture of 64 x 32 px, without settings of this program'],
      ['refused', 'PNG, cannot be read'],
    ]);
    expect(items[0]?.content).toEqual({ width: 64, height: 32, settings });
  });

  test('configurations, tokenizers, JSON of others', async () => {
    const tokenizer = readFileSync('public/models/emoji-64/tokenizer.json');
    const items = await look({
      'a.json': JSON.stringify(small),
      'b.json': { json: klJson },
      'c.json': { json: { _class_name: 'AutoencoderTiny', block_out_channels: [64] } },
      'd.json': { json: { model_type: 't5', hidden_size: 3 } },
      'e.json': '{"dim": 3',
      'f.json': '[1]',
      'tokenizer.json': tokenizer,
      'x.jsonl': '{"a": 1}\n{"a": 2}\n',
    });
    expect(items.map(({ facts }) => [facts.path, facts.kind, facts.words])).toEqual([
      ['a.json', 'config', 'Configuration of a transformer'],
      ['b.json', 'config', 'Configuration of an autoencoder'],
      ['c.json', 'other', 'Settings of AutoencoderTiny, of no use here'],
      ['d.json', 'other', 'Settings of t5, of no use here'],
      ['e.json', 'refused', 'JSON, cannot be read'],
      ['f.json', 'other', 'JSON of no use here'],
      ['tokenizer.json', 'model', 'Tokenizer with 2,048 ids'],
      ['x.jsonl', 'other', 'Text that is no JSON'],
    ]);
    expect(items[6]?.parts[0]?.content).toMatchObject({
      role: 'tokenizer',
      vocab: 2048,
      name: 'tokenizer.json',
    });
    expect(items[0]?.loose).toMatchObject({ role: 'dit', name: 'a.json' });
  });

  test('a source in memory serves as well', async () => {
    const bytes = encodeSafetensors([floatTensor('a', [1], Float32Array.of(1))]);
    const [item] = await look({ 'a.safetensors': memorySource('a', bytes) });
    expect(item?.facts.kind).toBe('tensors');
  });
});
