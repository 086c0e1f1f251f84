/** The library: which parts make a model, what is missing, what does not fit, what a drop chooses by itself. */
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { readBundle } from '../../src/formats/bundle';
import { plainProfile } from '../../src/graph/profile';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import {
  taesdDecoderParameters,
  taesdEncoderParameters,
  taesdParameters,
} from '../../src/models/taesd/parameters';
import { textParameters } from '../../src/models/text/tower';
import { klParameters } from '../../src/models/vae/parameters';
import type { LibraryView, Role } from '../../src/protocol/library';
import { parseKlConfig, type TextConfig } from '../../src/protocol/schemas';
import { Library } from '../../src/sessions/library';
import { bundleParts } from '../../src/sessions/modelSet';
import { nodeFolder } from '../../src/sources/node';
import { dropFolder, shapesFile, type Dropped } from '../helpers/droppedFiles';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const emoji = 'public/models/emoji-64';
const clipTokenizer = 'public/tokenizers/clip/tokenizer.json';
let clipJson: unknown;
beforeAll(async () => {
  clipJson = JSON.parse(await readFile(clipTokenizer, 'utf8'));
});

const newLibrary = (budget = 8e9): Library =>
  new Library({
    tokenizer: () => Promise.resolve({ name: 'the own tokenizer', json: clipJson }),
    profile: plainProfile,
    budget,
  });

/** Small files with the numbers that the released models have: 4 or 16 channels, captions 1024 wide, CLIP's vocabulary. */
const ditConfig = (channels: number, captions = 1024) =>
  namedDitConfig('MicroDiT_Tiny_2', {
    ...{ dim: 64, head_dim: 16, depth: 2, patch_mixer_dim: 48, patch_mixer_depth: 1, multiple_of: 32 },
    ...{ in_channels: channels, caption_channels: captions, input_size: 8 },
  });
const dit = (channels: number, captions = 1024): Dropped => {
  const config = ditConfig(channels, captions);
  return shapesFile(ditParameters(config), { config: JSON.stringify(config) });
};
const sdxl = {
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  scaling_factor: 0.13025,
};
const ostris = {
  latent_channels: 16,
  block_out_channels: [128, 128, 256, 512],
  layers_per_block: 2,
  scaling_factor: 0.2614,
};
const vae = (json: object): Dropped => shapesFile(klParameters(parseKlConfig('vae', json).config));
const tower = (changes: Partial<TextConfig> = {}): Dropped =>
  shapesFile(
    textParameters({
      ...{ context: 77, vocab: 49408, width: 1024, heads: 16, layers: 1 },
      ...{ mlpRatio: 4, act: 'quick_gelu', eps: 1e-5 },
      ...changes,
    }),
  );

/** Paths of what is chosen, '' for nothing. */
function chosenPaths({ chosen, items }: LibraryView): Record<Role, string> {
  const path = (role: Role): string => items.find(({ id }) => id === chosen[role]?.item)?.path ?? '';
  return { dit: path('dit'), vae: path('vae'), text: path('text'), tokenizer: path('tokenizer') };
}
/** Adds drops one after another and gives what is chosen then. */
async function dropped(...drops: readonly Readonly<Record<string, Dropped>>[]): Promise<Library> {
  const library = newLibrary();
  for (const drop of drops) await library.add(dropFolder(drop));
  return library;
}

describe('a bundle', () => {
  test('fills every role, with plans for every kind of weights', async () => {
    const library = newLibrary();
    const [item] = await library.add(await nodeFolder(emoji));
    expect(item).toMatchObject({
      id: 'item-1',
      path: emoji,
      kind: 'bundle',
      format: 'folder',
      problem: null,
    });
    expect(item?.tensors).toBe(324);
    const view = library.view();
    expect(chosenPaths(view)).toEqual({ dit: emoji, vae: emoji, text: emoji, tokenizer: emoji });
    expect([view.missing, view.conflicts]).toEqual([[], []]);
    expect(view.plans.map(({ weights, fit, problem }) => [weights, fit, problem])).toEqual([
      ['f32', 'resident', null],
      ['f16', 'resident', null],
      ['int8', 'resident', null],
    ]);
    expect(view.plans[0]!.total).toBeGreaterThan(view.plans[1]!.total);
    library.setBudget(1000);
    expect(library.view().plans.map(({ fit }) => fit)).toEqual(['none', 'none', 'none']);
    expect(library.view().budget).toBe(1000);
  });

  test('as a model: its own name, licence and defaults, by the library and by itself', async () => {
    const library = newLibrary();
    await library.add(await nodeFolder(emoji));
    const ofBundle = await bundleParts(await readBundle(await nodeFolder(emoji)));
    for (const parts of [await library.parts(), ofBundle]) {
      expect(parts).toMatchObject({
        ...{ name: 'emoji-64', title: 'Emoji 64 px (demo)', defaults: { steps: 16, guidance: 3 } },
        dit: { prefix: '', config: { dim: 96, in_channels: 4 } },
        vae: { prefix: '', model: { kind: 'kl', config: { scaling_factor: 0.59241 } } },
        text: { config: { width: 96, context: 16 }, tokenizer: { context: 16, vocabSize: 2048 } },
      });
      expect(parts.licence).toContain('Noto');
      expect([...parts.text!.tokenizer.tokenize('grinning face').ids].length).toBe(16);
    }
  });

  test('whose parts do not fit is refused', async () => {
    const bundle = await readBundle(await nodeFolder(emoji));
    const { manifest } = bundle;
    const context = { ...bundle, manifest: { ...manifest, text: { ...manifest.text, context: 12 } } };
    await expect(bundleParts(context)).rejects.toThrow(
      /^emoji-64: its parts must fit each other: The tokenizer must give the text tower's 16 ids per text: .* gives 12\.$/,
    );
    const swapped = { ...bundle, vae: { ...bundle.vae, file: bundle.dit.file } };
    await expect(bundleParts(swapped)).rejects.toThrow(
      'must hold an autoencoder, as the manifest says: it does not',
    );
  });

  test('tensors of its files, and their statistics', async () => {
    const library = newLibrary();
    const [item] = await library.add(await nodeFolder(emoji));
    const tensors = library.tensors(item!.id);
    expect(tensors).toHaveLength(item!.tensors);
    const mask = tensors.find(({ name }) => name === 'dit.safetensors: mask_token');
    expect(mask).toEqual({ name: 'dit.safetensors: mask_token', dtype: 'F16', shape: [1, 1, 16], bytes: 32 });
    const statistics = await library.statistics(item!.id, 'dit.safetensors: mask_token');
    expect(statistics).toMatchObject({
      count: 16,
      min: 0,
      max: 0,
      mean: 0,
      deviation: 0,
      zeros: 16,
      notFinite: 0,
    });
    expect(() => library.tensors('item-9')).toThrow('library: item "item-9" must be in it: it is not');
    expect(() => library.statistics(item!.id, 'mask_token')).toThrow(
      'tensor "mask_token" must be in it: it is not',
    );
  });
});

describe('loose parts', () => {
  test('make a model together, with the own tokenizer', async () => {
    const library = await dropped({
      'dit.safetensors': dit(4),
      'vae.safetensors': vae(sdxl),
      'clip.safetensors': tower(),
    });
    const view = library.view();
    expect([view.missing, view.conflicts]).toEqual([[], []]);
    expect(view.plans).toHaveLength(3);
    expect(await library.parts()).toMatchObject({
      ...{ name: 'dit', title: 'dit', licence: '', defaults: { steps: 30, guidance: 5, prompts: [] } },
      vae: { model: { config: { scaling_factor: 0.13025 } } },
      text: { tokenizer: { vocabSize: 49408, context: 77 } },
    });
  });

  test('nothing: every role is missing, and parts() says so', async () => {
    const library = newLibrary();
    expect(library.view().missing.map(({ role }) => role)).toEqual(['dit', 'vae', 'text']);
    await expect(library.parts()).rejects.toThrow(
      'model: all of its parts must be there: A diffusion transformer (MicroDiT); An autoencoder; A CLIP text tower',
    );
  });

  test('what is missing has the numbers of what is there', async () => {
    const of16 = (await dropped({ 'a.safetensors': dit(16) })).view().missing;
    expect(of16.map(({ words }) => words)).toEqual([
      'An autoencoder with 16 latent channels.',
      'A CLIP text tower of width 1024.',
    ]);
    expect(of16[0]?.where).toContain('ostris/vae-kl-f8-d16');
    expect(of16[1]?.where).toContain('apple/DFN5B-CLIP-ViT-H-14-378, open_clip_pytorch_model.bin');
    const of4 = (await dropped({ 'a.safetensors': dit(4) })).view().missing[0];
    expect(of4?.where).toMatch(/stable-diffusion-xl-base-1\.0, folder vae.*madebyollin\/taesdxl/);
    const [model] = (await dropped({ 'v.safetensors': vae(ostris), 't.safetensors': tower() })).view()
      .missing;
    expect(model).toEqual({
      role: 'dit',
      words: 'A diffusion transformer (MicroDiT) with 16 latent channels and caption width 1024.',
      where: 'VSehwag24/MicroDiT, ckpts/dit_16_channel_37M_real_and_synthetic_data.pt (4.67 GB)',
    });
    const small = (await dropped({ 't.safetensors': tower({ vocab: 600 }) })).view().missing;
    expect(small.at(-1)).toMatchObject({ role: 'tokenizer', words: 'A tokenizer.json of 600 ids.' });
  });

  test('a 16-channel transformer with the wrong autoencoder', async () => {
    const library = await dropped(
      { 'dit.safetensors': dit(16), 'clip.safetensors': tower() },
      { 'vae.safetensors': vae(sdxl) },
    );
    const view = library.view();
    expect(view.conflicts).toEqual([
      "The autoencoder must have the transformer's 16 latent channels: vae.safetensors has 4. The released 16-channel model wants ostris/vae-kl-f8-d16.",
    ]);
    expect(view.plans).toEqual([]);
    await expect(library.parts()).rejects.toThrow(
      'model: its parts must fit each other: The autoencoder must have',
    );
    // the right one takes its place
    await library.add(dropFolder({ 'ostris.safetensors': vae(ostris) }));
    expect(library.view().conflicts).toEqual([]);
    expect(chosenPaths(library.view()).vae).toBe('ostris.safetensors');
  });

  test('other pairs that do not fit', async () => {
    const width = await dropped(
      { 'dit.safetensors': dit(4) },
      { 'clip.safetensors': tower({ width: 512, heads: 8 }) },
    );
    expect(width.view().conflicts).toEqual([
      "The text tower must have the transformer's caption width 1024: clip.safetensors has 512. The released models want apple/DFN5B-CLIP-ViT-H-14-378.",
    ]);
    const encoder = await dropped({ 'taesdxl_encoder.safetensors': shapesFile(taesdEncoderParameters()) });
    expect(encoder.view().conflicts).toEqual([
      'The autoencoder must have a decoder, to make pictures of latents: taesdxl_encoder.safetensors has the encoder only.',
    ]);
    const words = await dropped(
      { 'clip.safetensors': tower({ vocab: 600 }) },
      { 'tokenizer.json': await readFile(clipTokenizer) },
    );
    expect(words.view().conflicts).toEqual([
      "The tokenizer must be made for the text tower's vocabulary of 600 ids: tokenizer.json has 49,408.",
    ]);
    const length = await dropped(
      { 'clip.safetensors': tower({ context: 50 }) },
      { 'tokenizer.json': await readFile(clipTokenizer) },
    );
    expect(length.view().conflicts).toEqual([
      "The tokenizer must give the text tower's 50 ids per text: tokenizer.json gives 77.",
    ]);
  });

  test('tiny autoencoders: the decoder of two files, the whole one of more, 16 channels only on demand', async () => {
    const halves = await dropped({
      'taesdxl_decoder.safetensors': shapesFile(taesdDecoderParameters()),
      'taesdxl_encoder.safetensors': shapesFile(taesdEncoderParameters()),
    });
    expect(chosenPaths(halves.view()).vae).toBe('taesdxl_decoder.safetensors');
    await halves.add(
      dropFolder({ 'kl.safetensors': vae(sdxl), 'tiny.safetensors': shapesFile(taesdParameters()) }),
    );
    expect(chosenPaths(halves.view()).vae).toBe('kl.safetensors');
    const sixteen = newLibrary();
    const [item] = await sixteen.add(dropFolder({ 'taesd3.safetensors': shapesFile(taesdParameters(16)) }));
    expect(chosenPaths(sixteen.view()).vae).toBe('');
    expect(item?.notes.join()).toContain('not for those of ostris');
    sixteen.choose('vae', { item: item!.id, part: 0 });
    expect(chosenPaths(sixteen.view()).vae).toBe('taesd3.safetensors');
  });
});

describe('what a drop chooses', () => {
  const released = { 'dit.safetensors': dit(4), 'vae.safetensors': vae(sdxl), 'clip.safetensors': tower() };

  test('the newest that fits; what does not fit stays in the library', async () => {
    const library = await dropped(released, { 'new.safetensors': dit(4) }, { 'other.safetensors': dit(16) });
    expect(chosenPaths(library.view())).toEqual({
      ...{ dit: 'new.safetensors', vae: 'vae.safetensors', text: 'clip.safetensors', tokenizer: '' },
    });
    expect(library.view().items).toHaveLength(5);
  });

  test('parts that change the model together', async () => {
    const library = await dropped(released, {
      'dit16.safetensors': dit(16),
      'ostris.safetensors': vae(ostris),
    });
    expect(chosenPaths(library.view())).toEqual({
      ...{ dit: 'dit16.safetensors', vae: 'ostris.safetensors', text: 'clip.safetensors', tokenizer: '' },
    });
  });

  test('a bundle stays whole until another model is', async () => {
    const library = newLibrary();
    await library.add(await nodeFolder(emoji));
    const chosen = (): string => chosenPaths(library.view()).dit;
    for (const path of ['dit.safetensors', 'vae.safetensors'] as const) {
      await library.add(dropFolder({ [path]: released[path] }));
      expect(chosenPaths(library.view()), path).toEqual({
        dit: emoji,
        vae: emoji,
        text: emoji,
        tokenizer: emoji,
      });
    }
    await library.add(dropFolder({ 'clip.safetensors': released['clip.safetensors'] }));
    expect(chosen()).toBe('dit.safetensors');
    expect(library.view().missing).toEqual([]);
    await library.add(await nodeFolder(emoji));
    expect(chosen()).toBe(emoji);
  });

  test('the same file again takes its place', async () => {
    const library = await dropped(released, { 'vae.safetensors': vae(sdxl) });
    expect(library.view().items.map(({ id }) => id)).toEqual(['item-1', 'item-2', 'item-3']);
    expect(library.view().missing).toEqual([]);
  });

  test('a configuration that comes later completes what waited for it', async () => {
    const config = ditConfig(4);
    const library = await dropped({ 'x.safetensors': shapesFile(ditParameters(config)) });
    expect(library.view().items[0]?.parts[0]?.problem).toContain('a configuration must tell');
    expect(chosenPaths(library.view()).dit).toBe('');
    await library.add(dropFolder({ 'my.json': JSON.stringify(config) }));
    expect(library.view().items[0]?.parts[0]).toMatchObject({ problem: null, configFrom: 'my.json', config });
    expect(chosenPaths(library.view()).dit).toBe('x.safetensors');
  });
});

describe('choosing and removing', () => {
  test('roles can be emptied and filled; wrong choices are refused', async () => {
    const library = await dropped({
      'a.safetensors': dit(4),
      'b.safetensors': shapesFile(ditParameters(ditConfig(4))),
    });
    library.choose('dit', null);
    expect(library.view().chosen.dit).toBeNull();
    library.choose('dit', { item: 'item-1', part: 0 });
    expect(chosenPaths(library.view()).dit).toBe('a.safetensors');
    expect(() => library.choose('vae', { item: 'item-1', part: 0 })).toThrow(
      'a.safetensors: the part chosen as vae must be one: it is dit',
    );
    expect(() => library.choose('dit', { item: 'item-1', part: 1 })).toThrow('part 1 must be one of its 1');
    expect(() => library.choose('dit', { item: 'item-7', part: 0 })).toThrow('item "item-7" must be in it');
    expect(() => library.choose('dit', { item: 'item-2', part: 0 })).toThrow('a configuration must tell');
    library.remove('item-1');
    expect(library.view().items.map(({ path }) => path)).toEqual(['b.safetensors']);
    expect(library.view().chosen.dit).toBeNull();
    expect(() => library.remove('item-1')).toThrow('item "item-1" must be in it: it is not');
  });
});

describeFixtures('the shared fixtures', () => {
  /** Path, kind, and of parts their kind, where the configuration comes from, parameters, half. */
  const facts = async (folder: string): Promise<Map<string, unknown[]>> => {
    const items = await newLibrary().add(await nodeFolder(fixturePath(folder)));
    return new Map(
      items.map(({ path, kind, parts }) => [
        path,
        [
          kind,
          ...parts.map((part) =>
            part.problem === null
              ? [
                  part.kind,
                  part.configFrom.replace(/^.*\//, ''),
                  part.parameters,
                  ...(part.half ? [part.half] : []),
                ]
              : [part.kind, 'problem'],
          ),
        ],
      ]),
    );
  };

  test('autoencoders', async () => {
    expect(Object.fromEntries(await facts('vae'))).toMatchObject({
      'kl-a/diffusion_pytorch_model.safetensors': [
        'model',
        ['autoencoder-kl', 'config.json', 1732679, 'both'],
      ],
      'kl-b/diffusion_pytorch_model.safetensors': [
        'model',
        ['autoencoder-kl', 'config.json', 252627, 'both'],
      ],
      'kl-b-old/diffusion_pytorch_model.safetensors': [
        'model',
        ['autoencoder-kl', 'config.json', 252627, 'both'],
      ],
      'taesdxl/diffusion_pytorch_model.safetensors': ['model', ['taesd', 'its shapes', 2445063, 'both']],
      'taesdxl_encoder.pth': ['model', ['taesd', 'its shapes', 1222532, 'encoder']],
      'taesdxl_decoder.pth': ['model', ['taesd', 'its shapes', 1222531, 'decoder']],
      'posterior.safetensors': ['tensors'],
    });
  });

  test('text towers and tokenizer', async () => {
    expect(Object.fromEntries(await facts('text'))).toMatchObject({
      'clip-quick/open_clip_pytorch_model.bin': ['model', ['clip-text', 'open_clip_config.json', 1621696]],
      'clip-quick/model.safetensors': ['model', ['clip-text', 'open_clip_config.json', 1621696]],
      'clip-gelu/open_clip_pytorch_model.bin': ['model', ['clip-text', 'open_clip_config.json', 89136]],
      'clip-gelu/pytorch_model.bin': ['model', ['clip-text', 'open_clip_config.json', 89136]],
      'tokenizer.json': ['model', ['tokenizer', 'tokenizer.json', 0]],
    });
  });

  test('transformers', async () => {
    const found = await facts('dit');
    expect(found.get('micro-a.weights.safetensors')).toEqual([
      'model',
      ['dit', 'micro-a.weights.json', 648800],
    ]);
    expect(found.get('micro-b.weights.safetensors')).toEqual([
      'model',
      ['dit', 'micro-b.weights.json', 1907584],
    ]);
    for (const name of ['micro-a.pt', 'micro-a.f16.pt']) {
      expect(found.get(name), name).toEqual(['model', ['dit', expect.stringMatching(/^micro-a\./), 648800]]);
    }
  });

  test('checkpoints of Composer wait for a configuration, and get it', async () => {
    const library = newLibrary();
    const items = await library.add(await nodeFolder(fixturePath('formats/composer')));
    const models = items.filter(({ kind }) => kind === 'model');
    expect(models.map(({ path }) => path).sort()).toEqual([
      'ep0-ba3-rank0.pt',
      'latest-rank0.pt',
      'minimal-resume.pt',
      'v0.24-ep0-ba3-rank0.pt',
    ]);
    for (const { path, parts } of models) {
      expect(
        parts.map(({ kind, prefix }) => [kind, prefix]),
        path,
      ).toEqual([['dit', 'state.model.dit.']]);
      expect(parts[0]?.problem, path).toContain('a configuration must tell');
    }
    const { dit: config } = JSON.parse(
      await readFile(fixturePath('formats/composer/resume.json'), 'utf8'),
    ) as { dit: object };
    await library.add(dropFolder({ 'dit.json': { json: config } }));
    const usable = library
      .view()
      .items.filter(({ parts }) => parts[0]?.role === 'dit' && parts[0].problem === null);
    expect(usable.map(({ path }) => path).sort()).toEqual([
      'ep0-ba3-rank0.pt',
      'latest-rank0.pt',
      'minimal-resume.pt',
    ]);
  });

  test('the demo bundle beside its transformer as a checkpoint of torch, datasets and pictures', async () => {
    const found = await facts('demo');
    expect(found.get('emoji-64')?.[0]).toBe('bundle');
    expect(found.get('emoji-64.dit.pt')).toEqual(['model', ['dit', 'dit.json', 1827600]]);
    expect(found.get('emoji-64-mds/train')).toEqual(['mds']);
    expect(found.get('emoji-64-mds/eval')).toEqual(['mds']);
    expect(found.get('golden/samples_8.png')).toEqual(['picture']);
  });

  test('datasets', async () => {
    const found = await facts('formats/mds');
    const kinds = (names: readonly string[]): unknown[] => names.map((name) => found.get(name)?.[0]);
    expect(kinds(['latents', 'latents-zstd', 'latents-gz', 'partitions', 'scalars', 'images-coco'])).toEqual(
      new Array(6).fill('mds'),
    );
    expect(
      kinds(['bad-no-index', 'bad-missing-shard', 'bad-index-list', 'bad-path-parent', 'bad-version-3']),
    ).toEqual(new Array(5).fill('refused'));
  });

  test.each(['formats/torch', 'formats/safetensors'])(
    'every file of %s: the bad ones refused',
    async (folder) => {
      const expected = JSON.parse(await readFile(fixturePath(`${folder}/expected.json`), 'utf8')) as Record<
        string,
        { outcome: string; tensors?: readonly object[] }
      >;
      const items = await newLibrary().add(await nodeFolder(fixturePath(folder)));
      const byPath = new Map(items.map((item) => [item.path, item]));
      for (const [name, { outcome, tensors = [] }] of Object.entries(expected)) {
        const item = byPath.get(name);
        if (outcome === 'refused') expect(item, name).toMatchObject({ kind: 'refused', tensors: 0 });
        if (outcome === 'tensors') expect(item?.tensors, name).toBe(tensors.length);
      }
    },
  );
});
