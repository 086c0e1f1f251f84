import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/graph/graph';
import { planGraph, type Plan } from '../../src/graph/plan';
import { defaultLimits, plainProfile, type DeviceProfile } from '../../src/graph/profile';
import { parameterCount, parametersByName, repackOhwi, storedShape } from '../../src/models/parameters';
import { decode } from '../../src/models/vae/decoder';
import { encode } from '../../src/models/vae/encoder';
import { klDecoderParameters, klEncoderParameters, klParameters } from '../../src/models/vae/parameters';
import { posteriorOf, samplePosterior } from '../../src/models/vae/posterior';
import type { KlConfig } from '../../src/protocol/schemas';
import { groupWeights } from '../../src/sessions/loadWeights';

const released = {
  in_channels: 3,
  out_channels: 3,
  layers_per_block: 2,
  norm_num_groups: 32,
  mid_block_add_attention: true,
  use_quant_conv: true,
  use_post_quant_conv: true,
} as const;
const sdxl: KlConfig = {
  ...released,
  latent_channels: 4,
  block_out_channels: [128, 256, 512, 512],
  scaling_factor: 0.13025,
};
const ostris: KlConfig = {
  ...released,
  latent_channels: 16,
  block_out_channels: [128, 128, 256, 512],
  scaling_factor: 0.2614,
};

/** A device with room for the largest activation of the SDXL decoder at 512 px, 256 MiB. */
const roomy: DeviceProfile = {
  ...plainProfile,
  limits: { ...defaultLimits, maxStorageBufferBindingSize: 2 ** 29, maxBufferSize: 2 ** 30 },
};

function planOf(
  config: KlConfig,
  direction: 'encode' | 'decode',
  size: number,
  profile = plainProfile,
): Plan {
  const graph = new Graph();
  const weights = groupWeights(graph, 'vae', klParameters(config), 'f16');
  const [trace, channels] =
    direction === 'encode' ? ([encode, 3] as const) : ([decode, config.latent_channels] as const);
  graph.output('y', trace(graph, weights, config, graph.input('x', [1, channels, size, size])));
  return planGraph(graph, profile);
}

describe('autoencoder tables', () => {
  test('parameter counts of the released models', () => {
    expect(parameterCount(klParameters(sdxl))).toBe(83_653_863);
    expect(parameterCount(klEncoderParameters(sdxl))).toBe(34_163_592 + 72);
    expect(parameterCount(klDecoderParameters(sdxl))).toBe(49_490_179 + 20);
    expect(parameterCount(klParameters(ostris))).toBe(57_266_643);
    expect(parametersByName(klParameters(sdxl)).size).toBe(248);
  });

  test('old attention names are accepted', () => {
    const table = parametersByName(klParameters(sdxl));
    const name = 'encoder.mid_block.attentions.0';
    expect(table.get(`${name}.to_q.weight`)?.aliases).toEqual([`${name}.query.weight`]);
    expect(table.get(`${name}.to_out.0.bias`)?.aliases).toEqual([`${name}.proj_attn.bias`]);
  });

  test('convolution weights are stored with their inputs last', () => {
    const spec = parametersByName(klParameters(sdxl)).get('decoder.conv_in.weight')!;
    expect(spec.shape).toEqual([512, 4, 3, 3]);
    expect(storedShape(spec)).toEqual([512, 3, 3, 4]);
    const data = Float32Array.from({ length: 24 }, (_, i) => i);
    expect([...repackOhwi(data, [2, 3, 2, 2])].slice(0, 12)).toEqual([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    expect(() => repackOhwi(data, [2, 3, 2, 1])).toThrow('repackOhwi: [2, 3, 2, 1] has 12 values: 24 given');
  });
});

describe('autoencoder plans', () => {
  const cases: [
    name: string,
    config: KlConfig,
    direction: 'encode' | 'decode',
    size: number,
    gmacs: number,
  ][] = [
    ['SDXL', sdxl, 'decode', 32, 311.1],
    ['Ostris', ostris, 'decode', 32, 148.5],
    ['Ostris', ostris, 'decode', 64, 606.8],
    ['SDXL', sdxl, 'encode', 256, 136.4],
    ['Ostris', ostris, 'encode', 256, 81.3],
    ['Ostris', ostris, 'encode', 512, 338.1],
  ];
  for (const [name, config, direction, size, gmacs] of cases) {
    test(`${name}: ${direction} at ${size} is ${gmacs} GMAC`, () => {
      const plan = planOf(config, direction, size);
      expect(Math.abs(plan.macs / 1e9 - gmacs)).toBeLessThan(0.06);
      expect(plan.dispatches.reduce((sum, dispatch) => sum + dispatch.macs, 0)).toBe(plan.macs);
    });
  }

  test('SDXL: 512 px needs more than the default limits, and says so', () => {
    expect(() => planOf(sdxl, 'decode', 64)).toThrow(
      'decoder/up_blocks.2/upsamplers.0/conv/conv2d: a binding may hold at most 134217728 bytes on this device: 268435456 bytes',
    );
    expect(Math.abs(planOf(sdxl, 'decode', 64, roomy).macs / 1e9 - 1257.3)).toBeLessThan(0.06);
  });

  test('shapes that do not fit are named', () => {
    expect(() => planOf(sdxl, 'encode', 36)).toThrow(
      'encode: image is [B, 3, H, W] with sides that are multiples of 8: f32 [1, 3, 36, 36]',
    );
    const graph = new Graph();
    const latent = graph.input('latent', [1, 16, 4, 4]);
    const weights = groupWeights(graph, 'vae', klParameters(sdxl), 'f32');
    expect(() => decode(graph, weights, sdxl, latent)).toThrow(
      'decode: latent is [B, 4, h, w]: f32 [1, 16, 4, 4]',
    );
    expect(() => posteriorOf(new Float32Array(9), [1, 3, 3, 1])).toThrow(
      'posterior: moments are [N, 2z, h, w]: 9 values as [1, 3, 3, 1]',
    );
    const posterior = posteriorOf(new Float32Array(8), [1, 2, 2, 2]);
    expect(() => samplePosterior(posterior, new Float32Array(3))).toThrow(
      'posterior: noise is [1, 1, 2, 2], 4 values: 3 given',
    );
  });
});
