import { describe, expect, it } from 'vitest';
import { FormatError, NotFoundError } from '../../src/core/errors';
import { readBundle } from '../../src/formats/bundle';
import { readJson } from '../../src/formats/json';
import { parseManifest } from '../../src/formats/manifest';
import type { SourceFolder } from '../../src/sources/byteSource';
import { memoryFolder, memorySource } from '../../src/sources/memory';
import { nodeFolder } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const manifest = {
  name: 'm',
  licence: 'free',
  image_size: 64,
  latent: { channels: 4, size: 16, scaling_factor: 0.5 },
  dit: { file: 'dit.safetensors', config: 'dit.json' },
  vae: { file: 'sub/vae.safetensors', config: 'vae.json' },
  text: { file: 'text.bin', config: 'text.json', tokenizer: 'tokenizer.json', context: 16, pad: 0 },
  later: { field: true },
};

const files = (): Record<string, string> => ({
  'tabdit.json': JSON.stringify(manifest),
  'dit.safetensors': 'DDDD',
  'dit.json': '{"dim": 8}',
  'sub/vae.safetensors': 'VV',
  'vae.json': '{"latent_channels": 4}',
  'text.bin': 'T',
  'text.json': '\ufeff{"hidden_size": 8}',
  'tokenizer.json': '{"version": "1.0"}',
});

function folderOf(contents: Record<string, string>): SourceFolder {
  const utf8 = new TextEncoder();
  return memoryFolder(
    'm',
    Object.entries(contents).map(([path, text]) => [path, utf8.encode(text)] as const),
  );
}

describe('bundles', () => {
  it('opens every part', async () => {
    const bundle = await readBundle(folderOf(files()));
    expect([bundle.dit.file.size, bundle.vae.file.size, bundle.text.file.size]).toEqual([4, 2, 1]);
    expect([bundle.dit.config, bundle.vae.config, bundle.text.config, bundle.text.tokenizer]).toEqual([
      { dim: 8 },
      { latent_channels: 4 },
      { hidden_size: 8 },
      { version: '1.0' },
    ]);
    expect(bundle.manifest).toMatchObject({
      title: 'm',
      description: '',
      defaults: { steps: 30, guidance: 5, prompts: [] },
    });
  });

  it('says which file is missing, and for what', async () => {
    for (const [path, role] of [
      ['dit.safetensors', 'dit.file'],
      ['vae.json', 'vae.config'],
      ['tokenizer.json', 'text.tokenizer'],
    ] as const) {
      const contents = files();
      delete contents[path];
      const opening = readBundle(folderOf(contents));
      await expect(opening).rejects.toThrow(NotFoundError);
      await expect(opening).rejects.toThrow(
        `tabdit.json: ${role}: the file must be in the bundle: "${path}" is not`,
      );
    }
    await expect(readBundle(folderOf({}))).rejects.toThrow(
      'm: a bundle must have a tabdit.json: there is none',
    );
  });

  it('refuses damaged files', async () => {
    await expect(readBundle(folderOf({ ...files(), 'dit.json': '{' }))).rejects.toThrow(
      'dit.json: JSON: must be valid',
    );
    await expect(readBundle(folderOf({ ...files(), 'tabdit.json': '[]' }))).rejects.toThrow(
      'tabdit.json: the file: must be an object: []',
    );
  });

  it.each([
    ['name', '', 'name: must be a text that is not empty: ""'],
    ['image_size', 0, 'image_size: must be a whole number from 1: 0'],
    ['latent', undefined, 'latent: must be an object: it is missing'],
    [
      'latent',
      { channels: 4, size: 1.5, scaling_factor: 1 },
      'latent.size: must be a whole number from 1: 1.5',
    ],
    [
      'latent',
      { channels: 4, size: 8, scaling_factor: -1 },
      'latent.scaling_factor: must be a number above 0: -1',
    ],
    ['dit', { file: 1, config: 'c' }, 'dit.file: must be a text that is not empty: 1'],
    ['text', { ...manifest.text, pad: -1 }, 'text.pad: must be a whole number from 0: -1'],
    ['defaults', { prompts: ['a', 1] }, 'defaults.prompts: must be a list of texts: ["a",1]'],
  ])('refuses a manifest with %s = %o', (field, value, message) => {
    const parse = (): unknown => parseManifest('tabdit.json', { ...manifest, [field]: value });
    expect(parse).toThrow(FormatError);
    expect(parse).toThrow(`tabdit.json: ${message}`);
  });

  it('takes an absent and a null part for its defaults alike', () => {
    expect(parseManifest('m', { ...manifest, defaults: null })).toEqual(parseManifest('m', manifest));
  });

  it('reads JSON with bounds', async () => {
    const huge = { name: 'x.json', size: 2 ** 30, read: () => Promise.reject(new Error('never read')) };
    await expect(readJson(huge)).rejects.toThrow('x.json: JSON: must be at most 67.1 MB: it has 1.07 GB');
    await expect(readJson(memorySource('x.json', Uint8Array.of(0x22, 0xff, 0x22)))).rejects.toThrow(
      'must be UTF-8',
    );
    await expect(readJson(memorySource('x.json', Uint8Array.of(0x22, 0xc3)))).rejects.toThrow(
      'must be UTF-8',
    );
    await expect(readJson(memorySource('x.json', new Uint8Array(0)))).rejects.toThrow('must be valid');
  });
});

describeFixtures('the demo bundle', () => {
  it('opens', async () => {
    const bundle = await readBundle(await nodeFolder(fixturePath('demo/emoji-64')));
    expect(bundle.manifest).toMatchObject({
      name: 'emoji-64',
      image_size: 64,
      text: { context: 16, pad: 0 },
    });
    expect(bundle.manifest.defaults.prompts.length).toBe(14);
    expect(bundle.dit.file.size).toBeGreaterThan(3e6);
  });
});
