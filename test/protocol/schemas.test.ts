import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { parseKlConfig, parseTextConfig } from '../../src/protocol/schemas';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const kl = {
  _class_name: 'AutoencoderKL',
  _diffusers_version: '0.20.0',
  act_fn: 'silu',
  block_out_channels: [128, 256, 512, 512],
  down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D'],
  up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D'],
  force_upcast: true,
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 1024,
  scaling_factor: 0.13025,
};

describe('AutoencoderKL configurations', () => {
  it('reads the one of SDXL', () => {
    expect(parseKlConfig('vae', kl)).toEqual({
      config: {
        ...{ in_channels: 3, out_channels: 3, latent_channels: 4, block_out_channels: [128, 256, 512, 512] },
        ...{
          layers_per_block: 2,
          norm_num_groups: 32,
          mid_block_add_attention: true,
          scaling_factor: 0.13025,
        },
        ...{ use_quant_conv: true, use_post_quant_conv: true },
      },
      notes: [],
    });
  });

  it('fills in the defaults of diffusers and notes the rest', () => {
    const { config, notes } = parseKlConfig('vae', {
      latent_channels: 4,
      block_out_channels: [32],
      shift_factor: 0.1,
      x: 1,
    });
    expect(config).toMatchObject({ layers_per_block: 1, norm_num_groups: 32, scaling_factor: 0.18215 });
    expect(notes).toEqual([
      'vae: fields that are not known and not used: x',
      'vae: shift_factor 0.1 is not used, as in the reference',
    ]);
  });

  it.each([
    [
      'another class',
      { _class_name: 'AutoencoderTiny' },
      '_class_name: expected "AutoencoderKL": "AutoencoderTiny"',
    ],
    ['another activation', { act_fn: 'relu' }, 'act_fn: '],
    ['another block', { down_block_types: ['AttnDownEncoderBlock2D'] }, 'down_block_types.0: '],
    [
      'types and levels',
      { up_block_types: ['UpDecoderBlock2D'] },
      'up_block_types: must have one entry per level of 4: 1',
    ],
    ['groups', { norm_num_groups: 24 }, 'block_out_channels: must be multiples of norm_num_groups 24: 128'],
    ['statistics of latents', { latents_mean: [0] }, 'latents_mean: '],
    [
      'no channels',
      { latent_channels: undefined },
      'latent_channels: expected number, received undefined: it is missing',
    ],
    ['gray pictures', { in_channels: 1 }, 'in_channels: '],
  ])('refuses %s', (_, change, message) => {
    const parse = (): unknown => parseKlConfig('vae/config.json', { ...kl, ...change });
    expect(parse).toThrow(FormatError);
    expect(parse).toThrow(`vae/config.json: ${message}`);
  });
});

describe('text tower configurations', () => {
  const openClip = {
    embed_dim: 1024,
    quick_gelu: true,
    vision_cfg: { image_size: 378 },
    text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
  };
  const expected = {
    ...{ context: 77, vocab: 49408, width: 1024, heads: 16, layers: 24, mlpRatio: 4 },
    ...{ act: 'quick_gelu', eps: 1e-5 },
  };

  it('reads open_clip, with and without its wrapping', () => {
    expect(parseTextConfig('text', { model_cfg: openClip, preprocess_cfg: {} }).config).toEqual(expected);
    expect(parseTextConfig('text', openClip).config).toEqual(expected);
    expect(parseTextConfig('text', { text_cfg: {} }).config).toEqual({
      ...expected,
      ...{ width: 512, heads: 8, layers: 12, act: 'gelu' },
    });
  });

  it('reads Hugging Face, the text model alone or inside a CLIP', () => {
    const text = {
      ...{ model_type: 'clip_text_model', hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24 },
      ...{ num_attention_heads: 16, vocab_size: 49408, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 },
    };
    expect(parseTextConfig('text', text).config).toEqual(expected);
    expect(parseTextConfig('text', { model_type: 'clip', text_config: text }).config).toEqual(expected);
    expect(parseTextConfig('text', { ...text, intermediate_size: 2048 }).config.mlpRatio).toBe(2);
  });

  it.each([
    ['nothing', {}, 'hidden_size: '],
    ['no object', 'x', 'the file: '],
    ['a tower of another library', { text_cfg: { hf_model_name: 'roberta' } }, 'text_cfg.hf_model_name: '],
    ['a tower without a causal mask', { text_cfg: { no_causal_mask: true } }, 'text_cfg.no_causal_mask: '],
    [
      'heads',
      { text_cfg: { width: 100, heads: 16 } },
      'width 100 must be a multiple of the number of heads: 16',
    ],
    [
      'an MLP ratio',
      { text_cfg: { width: 64, mlp_ratio: 1.3 } },
      'width 64 times the MLP ratio must be whole: 1.3',
    ],
    ['another model', { model_type: 't5', hidden_size: 8 }, 'model_type: '],
    [
      'an activation',
      { hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, hidden_act: 'relu' },
      'hidden_act: ',
    ],
  ])('refuses %s', (_, json, message) => {
    expect(() => parseTextConfig('text', json)).toThrow(FormatError);
    expect(() => parseTextConfig('text', json)).toThrow(`text: ${message}`);
  });
});

describeFixtures('configurations of the fixtures', () => {
  const read = (path: string): unknown => JSON.parse(readFileSync(fixturePath(path), 'utf8'));

  it('reads each', () => {
    expect(parseKlConfig('a', read('vae/kl-a/config.json')).config).toMatchObject({
      ...{ block_out_channels: [32, 64, 64, 64], norm_num_groups: 16, scaling_factor: 0.13025 },
    });
    expect(parseKlConfig('b', read('vae/kl-b/config.json')).config).toMatchObject({
      ...{ latent_channels: 16, use_quant_conv: false, use_post_quant_conv: false, layers_per_block: 1 },
    });
    expect(parseKlConfig('demo', read('demo/emoji-64/vae.json'))).toMatchObject({ notes: [] });
    expect(() => parseKlConfig('tiny', read('vae/taesdxl/config.json'))).toThrow('AutoencoderTiny');
    for (const model of ['clip-gelu', 'clip-quick']) {
      const { config } = parseTextConfig(model, read(`text/${model}/open_clip_config.json`));
      expect(parseTextConfig(model, read(`text/${model}/config.json`)).config).toEqual(config);
      expect(config.act).toBe(model === 'clip-gelu' ? 'gelu' : 'quick_gelu');
    }
    expect(parseTextConfig('demo', read('demo/emoji-64/open_clip_config.json')).config).toMatchObject({
      ...{ context: 16, vocab: 2048, width: 96, heads: 3, layers: 2, act: 'quick_gelu' },
    });
  });
});
