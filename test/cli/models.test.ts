/** Models by path: files, folders, archives and checkpoints of a whole run, without a device. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/environment.mjs';
import { findDit, findText, findTokenizer, findVae } from '../../src/cli/models';
import { encodeSafetensors, type TensorData } from '../../src/formats/safetensors/writer';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { taesdDecoderParameters } from '../../src/models/taesd/parameters';
import { textParameters } from '../../src/models/text/tower';
import { klParameters } from '../../src/models/vae/parameters';
import { parseKlConfig, type TextConfig } from '../../src/protocol/schemas';
import { zipFile, type TensorShape } from '../helpers/droppedFiles';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { tabdit, tabditJson, temporaryFolder } from './run';

const dit = namedDitConfig('MicroDiT_Tiny_2', {
  ...{ dim: 32, head_dim: 16, depth: 2, patch_mixer_dim: 32, patch_mixer_depth: 1, multiple_of: 16 },
  ...{ caption_channels: 64, input_size: 8 },
});
const klJson = { latent_channels: 4, block_out_channels: [8, 8], norm_num_groups: 4, scaling_factor: 0.5 };
const text: TextConfig = {
  ...{ context: 77, vocab: 49408, width: 64, heads: 1, layers: 1, mlpRatio: 1, act: 'quick_gelu', eps: 1e-5 },
};

/** Zeros in the shapes of a table. */
const zeros = (specs: readonly TensorShape[], prefix = ''): TensorData[] =>
  specs.map(({ name, shape }) => ({
    ...{ name: prefix + name, dtype: 'F8_E4M3' as const, shape },
    data: new Uint8Array(shape.reduce((count, extent) => count * extent, 1)),
  }));

describe('parts by path', () => {
  const temporary = temporaryFolder();
  const write = (path: string, data: Uint8Array | string): string => {
    const full = temporary(path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, data);
    return full;
  };
  let composer = '';
  let everything = '';
  let archive = '';
  beforeAll(() => {
    process.env.TABDIT_ROOT = projectRoot;
    const model = 'state.model.';
    composer = write(
      'run/ep0-ba9-rank0.safetensors',
      encodeSafetensors([
        ...zeros(ditParameters(dit), `${model}dit.`),
        ...zeros(klParameters(parseKlConfig('v', klJson).config), `${model}vae.`),
        ...zeros(textParameters(text), `${model}text_encoder.encoder.clip_model.`),
      ]),
    );
    const files: Record<string, Uint8Array | string> = {
      'dit.safetensors': encodeSafetensors(zeros(ditParameters(dit)), { config: JSON.stringify(dit) }),
      'vae/diffusion_pytorch_model.safetensors': encodeSafetensors(
        zeros(klParameters(parseKlConfig('v', klJson).config)),
      ),
      'vae/config.json': JSON.stringify(klJson),
      'text/open_clip_model.safetensors': encodeSafetensors(zeros(textParameters(text))),
      'text/tokenizer.json': readFileSync(`${projectRoot}/public/tokenizers/clip/tokenizer.json`),
      'README.md': 'words',
    };
    for (const [path, data] of Object.entries(files)) everything = dirname(write(`all/${path}`, data));
    everything = temporary('all');
    const entries = Object.entries(files).map(([name, data]) => ({
      name: `model/${name}`,
      data: typeof data === 'string' ? new TextEncoder().encode(data) : data,
      deflate: true,
    }));
    archive = write('model.zip', zipFile(entries));
  });

  test('a checkpoint of Composer is transformer, autoencoder and text tower, by its prefixes', async () => {
    const config = write('configs/given.json', JSON.stringify(dit));
    expect(await findDit(composer, config)).toMatchObject({ prefix: 'state.model.dit.', config: dit });
    write('run2/config.json', JSON.stringify(klJson));
    const copy = temporary('run2/copy.safetensors');
    cpSync(composer, copy);
    expect(await findVae(copy)).toMatchObject({
      prefix: 'state.model.vae.',
      model: { kind: 'kl', config: { scaling_factor: 0.5 } },
    });
    expect(await findText(composer)).toMatchObject({
      prefix: 'state.model.text_encoder.encoder.clip_model.',
      config: { width: 64, heads: 1, act: 'quick_gelu' },
      notes: [expect.stringContaining('QuickGELU')],
    });
  });

  test.each(['a folder', 'an archive'])('%s with everything', async (kind) => {
    const path = kind === 'a folder' ? everything : archive;
    expect(await findDit(path)).toMatchObject({ prefix: '', config: dit });
    expect(await findVae(path)).toMatchObject({
      model: { kind: 'kl', config: { block_out_channels: [8, 8] } },
    });
    expect(await findText(path)).toMatchObject({ config: { width: 64 } });
    expect(await findTokenizer(undefined, path, 77)).toMatchObject({ context: 77, vocabSize: 49408 });
  });

  test('a bundle in an archive', async () => {
    const folder = `${projectRoot}/public/models/emoji-64`;
    const entries = readdirSync(folder).map((name) => ({ name, data: readFileSync(`${folder}/${name}`) }));
    const path = write('emoji.zip', zipFile(entries));
    expect((await findDit(path)).manifest?.name).toBe('emoji-64');
    expect((await findVae(path)).model).toMatchObject({ config: { scaling_factor: 0.59241 } });
    expect((await findText(path)).config.context).toBe(16);
    expect((await findTokenizer(undefined, path, 16)).vocabSize).toBe(2048);
    expect((await findTokenizer(path, undefined)).context).toBe(16);
    const [report] = tabditJson<{ files: { format: string; kind: string; parts: { kind: string }[] }[] }>(
      ...['inspect', path],
    ).files;
    expect(report).toMatchObject({ format: 'zip', kind: 'bundle' });
    expect(report?.parts.map(({ kind }) => kind)).toEqual(['dit', 'autoencoder-kl', 'clip-text']);
  });

  test('the tokenizer: given, beside the tower, the own one', async () => {
    const beside = `${everything}/text/open_clip_model.safetensors`;
    expect(await findTokenizer(undefined, beside)).toMatchObject({ vocabSize: 49408 });
    expect(await findTokenizer(undefined, undefined)).toMatchObject({ context: 77, vocabSize: 49408 });
    expect(
      await findTokenizer(`${projectRoot}/public/models/emoji-64/tokenizer.json`, beside, 16),
    ).toMatchObject({
      vocabSize: 2048,
    });
    await expect(findTokenizer(composer, undefined)).rejects.toThrow(
      `${composer}: must hold a tokenizer: it holds MicroDiT of unknown configuration`,
    );
  });

  test('what is not there or not usable is named', async () => {
    const tiny = write('tiny/taesd.safetensors', encodeSafetensors(zeros(taesdDecoderParameters())));
    expect(await findVae(tiny)).toMatchObject({ model: { kind: 'taesd' }, half: 'decoder', prefix: '' });
    await expect(findDit(tiny)).rejects.toThrow(
      `${tiny}: must hold a diffusion transformer (MicroDiT): it holds Tiny autoencoder (TAESD), 4 latent channels, decoder only`,
    );
    await expect(findDit(composer)).rejects.toThrow(
      /neither MicroDiT_Tiny_2 nor MicroDiT_XL_2; give it with --config$/,
    );
    const wrong = write('wrong.json', JSON.stringify({ ...dit, dim: 64 }));
    await expect(findDit(composer, wrong)).rejects.toThrow(
      /must be what .*wrong\.json describes: tensor .* must have shape/,
    );
    await expect(findDit(temporary('none.pt'))).rejects.toThrow('must exist and be readable');
    write('two/a.safetensors', readFileSync(tiny));
    write('two/b.safetensors', readFileSync(tiny));
    await expect(findVae(temporary('two'))).rejects.toThrow(
      'must hold one file with an autoencoder (AutoencoderKL or TAESD), or one named diffusion_pytorch_model or vae (.safetensors, .pt, .pth, .bin): it has a.safetensors, b.safetensors',
    );
    await expect(findText(temporary('two'))).rejects.toThrow(
      'must have a file with a CLIP text tower: none of its 2 files is one',
    );
  });

  test('inspect: parts of a checkpoint, folders, archives, what is refused', () => {
    interface FileJson {
      format: string;
      kind: string;
      words: string;
      problem?: string;
      models?: { kind: string; prefix: string; parameters: number; problem: string | null }[];
      parts?: { path: string; kind: string }[];
      tensors: { name: string }[];
    }
    const t5 = write(
      't5.safetensors',
      encodeSafetensors(zeros([{ name: 'encoder.block.0.layer.0.SelfAttention.q.weight', shape: [4, 4] }])),
    );
    const { files } = tabditJson<{ files: FileJson[] }>('inspect', composer, everything, archive, t5);
    const [run, all, zip, other] = files;
    expect(run).toMatchObject({ format: 'safetensors', kind: 'dit' });
    expect(run?.models?.map(({ kind, prefix }) => [kind, prefix])).toEqual([
      ['dit', 'state.model.dit.'],
      ['autoencoder-kl', 'state.model.vae.'],
      ['clip-text', 'state.model.text_encoder.encoder.clip_model.'],
    ]);
    expect(run?.problem).toContain('a configuration must tell');
    expect(all?.parts?.map(({ path, kind }) => [path.slice(everything.length), kind])).toEqual([
      ['/dit.safetensors', 'dit'],
      ['/text/open_clip_model.safetensors', 'clip-text'],
      ['/vae/diffusion_pytorch_model.safetensors', 'autoencoder-kl'],
    ]);
    expect([all?.kind, zip?.format, zip?.parts?.length]).toEqual(['folder', 'zip', 3]);
    expect(other).toMatchObject({ kind: 'refused', words: 'A T5 text encoder 4 wide', tensors: [{}] });
    expect(other?.problem).toContain('T5 is not supported');
    const printed = tabdit('inspect', composer).stdout;
    expect(printed).toMatch(
      /part clip-text +CLIP text tower, width 64.*names with state\.model\.text_encoder/,
    );
  });
});

describeFixtures('inspect on the shared fixtures', () => {
  interface FileJson {
    format: string;
    kind: string;
    words: string;
    config: Record<string, unknown> | null;
    parameters: number;
    parts?: { kind: string }[];
    files?: Record<string, number>;
  }
  test('datasets, tiny autoencoders, checkpoints, folders', () => {
    const names = [
      'formats/mds/latents',
      'vae/taesdxl_decoder.pth',
      'formats/composer/minimal-resume.pt',
      'text/clip-quick',
    ];
    const { files } = tabditJson<{ files: FileJson[] }>('inspect', ...names.map(fixturePath));
    expect(files).toMatchObject([
      { format: 'folder', kind: 'mds', words: expect.stringContaining('14 samples in 3 shards') as string },
      { format: 'torch', kind: 'taesd', config: { latent_channels: 4 }, parameters: 1222531 },
      { format: 'torch', kind: 'dit', config: null, parameters: 477280 },
      { format: 'folder', kind: 'folder', files: { '.json': 2, '.bin': 1, '.safetensors': 1 } },
    ]);
    expect(files[3]?.parts?.map(({ kind }) => kind)).toEqual(['clip-text', 'clip-text']);
    const bad = tabdit('inspect', fixturePath('formats/mds/bad-index-list'));
    expect([bad.status, bad.stderr]).toEqual([
      1,
      expect.stringMatching(/index\.json: must be an object: \[\]\n$/),
    ]);
  });
});
