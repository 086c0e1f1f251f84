/** Recognising models by the names and shapes of their tensors. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import type { ParameterSpec } from '../../src/models/parameters';
import { findModels, firstMisfit, type TensorShapes } from '../../src/models/recognise';
import {
  ditShapeWords,
  inferDitConfig,
  inferKlConfig,
  inferTaesdConfig,
  inferTextConfig,
} from '../../src/models/recogniseConfig';
import { isForeignTower, nameOther } from '../../src/models/recogniseOthers';
import {
  taesdDecoderParameters,
  taesdEncoderParameters,
  taesdParameters,
} from '../../src/models/taesd/parameters';
import { textParameters } from '../../src/models/text/tower';
import { klDecoderParameters, klEncoderParameters, klParameters } from '../../src/models/vae/parameters';
import { parseKlConfig, type TextConfig } from '../../src/protocol/schemas';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

type Naming = (spec: ParameterSpec) => string;
const byName: Naming = ({ name }) => name;
/** The other naming of a table. */
const byAlias: Naming = ({ name, aliases }) => aliases?.[0] ?? name;

const named = (specs: readonly ParameterSpec[], prefix = '', naming = byName): TensorShapes =>
  new Map(specs.map((spec) => [prefix + naming(spec), spec]));
const joined = (...files: readonly TensorShapes[]): TensorShapes =>
  new Map(files.flatMap((file) => [...file]));
const shapes = (names: Readonly<Record<string, readonly number[]>>): TensorShapes =>
  new Map(Object.entries(names).map(([name, shape]) => [name, { shape }]));

const tiny = namedDitConfig('MicroDiT_Tiny_2');
const kl = parseKlConfig('vae', { latent_channels: 4, block_out_channels: [32, 64] }).config;
const tower: TextConfig = {
  ...{ context: 77, vocab: 49408, width: 1024, heads: 16, layers: 24 },
  ...{ mlpRatio: 4, act: 'quick_gelu', eps: 1e-5 },
};
/** A tower in Hugging Face's names, in_proj in three. */
function huggingFace(config: TextConfig, prefix = ''): TensorShapes {
  const file = new Map<string, { readonly shape: readonly number[] }>();
  for (const spec of textParameters(config)) {
    const [rows = 0, ...rest] = spec.shape;
    for (const name of spec.stacked ?? []) file.set(prefix + name, { shape: [rows / 3, ...rest] });
    if (!spec.stacked) file.set(prefix + byAlias(spec), spec);
  }
  return file;
}

describe('findModels', () => {
  test('a transformer, with and without a prefix', () => {
    expect(findModels(named(ditParameters(tiny)))).toEqual([{ kind: 'dit', prefix: '' }]);
    expect(findModels(named(ditParameters(tiny), 'state.model.dit.'))).toEqual([
      { kind: 'dit', prefix: 'state.model.dit.' },
    ]);
  });

  test('all three models of a checkpoint of Composer', () => {
    const model = 'state.model.';
    const file = joined(
      named(klParameters(kl), `${model}vae.`),
      named(textParameters(tower), `${model}text_encoder.encoder.clip_model.`),
      named(ditParameters(tiny), `${model}dit.`),
      shapes({ 'state.optimizers.AdamW.state.dit.x_embedder.proj.weight.exp_avg': [512, 4, 2, 2] }),
    );
    expect(findModels(file)).toEqual([
      { kind: 'dit', prefix: 'state.model.dit.' },
      { kind: 'autoencoder-kl', prefix: 'state.model.vae.', half: 'both' },
      { kind: 'clip-text', prefix: 'state.model.text_encoder.encoder.clip_model.' },
    ]);
  });

  test('halves of an AutoencoderKL', () => {
    const half = (specs: readonly ParameterSpec[]): unknown => findModels(named(specs))[0]?.half;
    expect([klParameters, klEncoderParameters, klDecoderParameters].map((table) => half(table(kl)))).toEqual([
      'both',
      'encoder',
      'decoder',
    ]);
  });

  test('TAESD in both namings, whole and in halves', () => {
    const found = (specs: readonly ParameterSpec[], naming: Naming): unknown =>
      findModels(named(specs, '', naming));
    const taesd = (half: string): unknown => [{ kind: 'taesd', prefix: '', half }];
    expect(found(taesdParameters(), byName)).toEqual(taesd('both'));
    expect(found(taesdEncoderParameters(), byName)).toEqual(taesd('encoder'));
    expect(found(taesdEncoderParameters(), byAlias)).toEqual(taesd('encoder'));
    expect(found(taesdDecoderParameters(16), byAlias)).toEqual(taesd('decoder'));
  });

  test('text towers in both namings, also inside a whole CLIP', () => {
    const whole = joined(named(textParameters(tower)), shapes({ 'visual.proj': [1, 1], logit_scale: [] }));
    expect(findModels(whole)).toEqual([{ kind: 'clip-text', prefix: '' }]);
    expect(findModels(huggingFace(tower))).toEqual([{ kind: 'clip-text', prefix: '' }]);
  });

  test('anything else', () => {
    expect(findModels(new Map([['xx_embedder.proj.weight', { shape: [1] }]]))).toEqual([]);
    expect(findModels(new Map())).toEqual([]);
  });
});

describe('inferDitConfig', () => {
  test.each(['MicroDiT_Tiny_2', 'MicroDiT_XL_2'] as const)('%s at other sizes and channels', (arch) => {
    const config = namedDitConfig(arch, { input_size: 64, in_channels: 16, pos_interp_scale: 2 });
    expect(inferDitConfig(named(ditParameters(config), 'dit.'), 'dit.')).toEqual({ arch, config });
  });

  test('a model of other shapes is none of them', () => {
    const file = named(ditParameters(namedDitConfig('MicroDiT_Tiny_2', { num_experts: 4 })));
    expect(inferDitConfig(file)).toBeNull();
    expect(ditShapeWords(file)).toBe('dim 512, depth 16, 4 latent channels, caption width 1024');
    expect(inferDitConfig(new Map())).toBeNull();
  });

  test('firstMisfit names what does not fit', () => {
    const specs = ditParameters(tiny);
    const file = new Map(named(specs));
    expect(firstMisfit(file, '', specs)).toBeNull();
    file.set('blocks.3.norm1.weight', { shape: [511] });
    expect(firstMisfit(file, '', specs)).toBe(
      'tensor blocks.3.norm1.weight must have shape [512]: it has [511]',
    );
    file.delete('mask_token');
    expect(firstMisfit(file, '', specs)).toBe('tensor mask_token must be in the file: it is not');
  });
});

describe('inferKlConfig', () => {
  const known = {
    sdxl: { widths: [128, 256, 512, 512], channels: 4, scale: 0.13025 },
    ostris: { widths: [128, 128, 256, 512], channels: 16, scale: 0.2614 },
  };
  test.each(Object.entries(known))('%s, whole or half', (_, { widths, channels, scale }) => {
    const { config } = parseKlConfig('vae', {
      ...{ latent_channels: channels, block_out_channels: widths },
      ...{ layers_per_block: 2, scaling_factor: scale },
    });
    const whole = inferKlConfig(named(klParameters(config), 'vae.'), 'vae.', 'both');
    expect(whole.config).toEqual(config);
    expect(whole.notes.join()).toContain(`scaling factor ${scale}`);
    const encoder = inferKlConfig(named(klEncoderParameters(config)), '', 'encoder');
    expect(encoder.config).toEqual({ ...config, use_post_quant_conv: false });
    const decoder = inferKlConfig(named(klDecoderParameters(config)), '', 'decoder');
    expect(decoder.config).toEqual({ ...config, use_quant_conv: false });
  });

  test('other shapes do not say enough', () => {
    const { config, words } = inferKlConfig(named(klParameters(kl)), '', 'both');
    expect([config, words]).toEqual([null, 'levels of 32, 64 channels, 4 latent channels']);
  });
});

describe('inferTaesdConfig', () => {
  test('channels and what they are for', () => {
    const four = inferTaesdConfig(named(taesdDecoderParameters(), '', byAlias), '', 'decoder');
    expect(four.config).toEqual({ latent_channels: 4 });
    expect(four.notes.join()).toContain('madebyollin/taesdxl');
    const sixteen = inferTaesdConfig(named(taesdParameters(16)), '', 'both');
    expect(sixteen.config).toEqual({ latent_channels: 16 });
    expect(sixteen.notes.join()).toContain('not for those of ostris/vae-kl-f8-d16');
  });

  test('relatives of other layers are not taken for it', () => {
    const file = new Map(named(taesdDecoderParameters(), '', byAlias));
    file.delete('9.conv.2.weight');
    expect(inferTaesdConfig(file, '', 'decoder').config).toBeNull();
  });
});

describe('inferTextConfig', () => {
  test.each([
    ['open_clip', named(textParameters(tower))],
    ['Hugging Face', huggingFace(tower)],
  ])('the tower of the released models in the names of %s', (_, file) => {
    const { config, notes } = inferTextConfig(file, '');
    expect(config).toEqual(tower);
    expect(notes.join()).toContain('QuickGELU');
  });

  test('heads of other widths cannot be told', () => {
    const small = { ...tower, width: 96, heads: 3, layers: 2 };
    const { config, words } = inferTextConfig(named(textParameters(small)), '');
    expect([config, words]).toEqual([null, 'width 96, 2 layers, 49408 ids, 77 positions']);
  });
});

describe('nameOther', () => {
  const unet = (width: number): Record<string, number[]> => ({
    'conv_in.weight': [320, 4, 3, 3],
    'time_embedding.linear_1.weight': [1280, 320],
    'down_blocks.0.resnets.0.time_emb_proj.weight': [320, 1280],
    'down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight': [640, width],
  });
  const dit = { 'x_embedder.proj.weight': [1152, 4, 2, 2], 'final_layer.linear.weight': [32, 1152] };
  test.each<[string, Record<string, number[]>]>([
    ['a U-Net of Stable Diffusion XL', unet(2048)],
    ['a U-Net of Stable Diffusion 1', unet(768)],
    [
      'a whole checkpoint with a U-Net of Stable Diffusion 2',
      {
        'model.diffusion_model.input_blocks.0.0.weight': [320, 4, 3, 3],
        'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight': [320, 1024],
        'first_stage_model.encoder.down.0.block.0.norm1.weight': [128],
      },
    ],
    ['a FLUX transformer', { 'double_blocks.0.img_attn.qkv.weight': [9216, 3072] }],
    ['a FLUX transformer', { 'single_transformer_blocks.0.attn.to_q.weight': [3072, 3072] }],
    [
      'a Stable Diffusion 3 transformer',
      { 'model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight': [1] },
    ],
    ['a PixArt transformer', { ...dit, 't_block.1.weight': [6912, 1152] }],
    ['a diffusion transformer other than MicroDiT', dit],
    [
      'a T5 text encoder 4096 wide, as DeepFloyd/t5-v1_1-xxl',
      { 'encoder.block.0.layer.0.SelfAttention.q.weight': [4096, 4096], 'shared.weight': [32128, 4096] },
    ],
    ['a T5 text encoder 512 wide', { 'encoder.block.0.layer.0.SelfAttention.q.weight': [384, 512] }],
    ['a LoRA', { 'lora_unet_down_blocks_0.lora_down.weight': [4, 320] }],
    ['a LoRA', { 'blocks.0.attn.qkv.lora_A.default.weight': [4, 320] }],
    [
      "an autoencoder in the original Stable Diffusion's naming",
      { 'decoder.up.0.block.0.norm1.weight': [128] },
    ],
    ["an optimizer's state without its model", { 'state.0.exp_avg': [3], 'state.0.exp_avg_sq': [3] }],
    ["a CLIP image tower without the text's", { 'visual.conv1.weight': [1, 3, 14, 14] }],
    ['a ControlNet', { ...unet(768), 'controlnet_cond_embedding.conv_in.weight': [16, 3, 3, 3] }],
    [
      'a language model',
      { 'model.embed_tokens.weight': [1, 1], 'model.layers.0.self_attn.q_proj.weight': [1, 1] },
    ],
  ])('%s', (words, names) => {
    const other = nameOther(shapes(names));
    expect(other?.words).toBe(words);
    expect(other?.instead).not.toBe('');
    expect(findModels(shapes(names))).toEqual([]);
  });

  test.each([
    [768, 12, 'Stable Diffusion 1'],
    [1024, 23, 'Stable Diffusion 2'],
    [1280, 32, 'Stable Diffusion XL'],
  ])('text towers of Stable Diffusion: %i wide with %i layers', (width, layers, name) => {
    const file = huggingFace({ ...tower, width, layers, heads: width / 64 });
    const [found] = findModels(file);
    expect(isForeignTower(file, found!)).toBe(true);
    expect(nameOther(file)?.words).toContain(name);
  });

  test('the tower of the released models is none of them, nor are unknown names', () => {
    const file = huggingFace(tower);
    expect(isForeignTower(file, findModels(file)[0]!)).toBe(false);
    expect(nameOther(file)).toBeNull();
    expect(nameOther(shapes({ a: [1] }))).toBeNull();
  });
});

describeFixtures('the full-size autoencoders by the tables of their files', () => {
  const tables = JSON.parse(readFileSync(fixturePath('../specs/vae-tensors.json'), 'utf8')) as Record<
    string,
    Record<string, number[]>
  >;
  test.each([
    ['sdxl_vae', 0.13025, 4],
    ['ostris_vae_kl_f8_d16', 0.2614, 16],
  ])('%s', (name, scaling_factor, latent_channels) => {
    const file = shapes(tables[name]!);
    expect(findModels(file)).toEqual([{ kind: 'autoencoder-kl', prefix: '', half: 'both' }]);
    expect(inferKlConfig(file, '', 'both').config).toMatchObject({
      ...{ scaling_factor, latent_channels, norm_num_groups: 32, layers_per_block: 2 },
      ...{ mid_block_add_attention: true, use_quant_conv: true, use_post_quant_conv: true },
    });
  });
});
