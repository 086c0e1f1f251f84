/** Recognising models by the names and shapes of their tensors. */
import { describe, expect, test } from 'vitest';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { findModels, type TensorShapes } from '../../src/models/recognise';
import { inferDitConfig } from '../../src/models/recogniseConfig';
import { klParameters } from '../../src/models/vae/parameters';
import { parseKlConfig } from '../../src/protocol/schemas';
import type { ParameterSpec } from '../../src/models/parameters';

const named = (specs: readonly ParameterSpec[], prefix = ''): TensorShapes =>
  new Map(specs.map((spec) => [prefix + spec.name, spec]));

describe('findModels', () => {
  test('a transformer, with and without a prefix', () => {
    const specs = ditParameters(namedDitConfig('MicroDiT_Tiny_2'));
    expect(findModels(named(specs))).toEqual([{ kind: 'dit', prefix: '' }]);
    expect(findModels(named(specs, 'state.model.dit.'))).toEqual([
      { kind: 'dit', prefix: 'state.model.dit.' },
    ]);
  });

  test('autoencoders', () => {
    const { config } = parseKlConfig('vae', { latent_channels: 4, block_out_channels: [32, 64] });
    expect(findModels(named(klParameters(config)))).toEqual([
      { kind: 'autoencoder-kl', prefix: '', half: 'both' },
    ]);
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
    const config = namedDitConfig('MicroDiT_Tiny_2', { num_experts: 4 });
    expect(inferDitConfig(named(ditParameters(config)))).toBeNull();
    expect(inferDitConfig(new Map())).toBeNull();
  });
});
