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
import type { VaeModel } from '../../src/protocol/vae';
import { groupWeights } from '../../src/sessions/loadWeights';
import { planVae, planVaeRun, vaeWords, type VaeRunPlan } from '../../src/sessions/vaePlan';
import { largestBinding } from '../helpers/vaeModels';

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
  limits: { ...defaultLimits, maxStorageBufferBindingSize: 2 ** 29, maxBufferSize: 2 ** 31 },
};

function thrown(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

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

  // MB of scratch, inputs and outputs under default limits: in as few bands as they allow, and at least
  const sdxlModel: VaeModel = { kind: 'kl', config: sdxl };
  const ostrisModel: VaeModel = { kind: 'kl', config: ostris };
  const tiny: VaeModel = { kind: 'taesd', config: { latent_channels: 4 } };
  const memory: [
    name: string,
    model: VaeModel,
    direction: 'encode' | 'decode',
    size: number,
    bands: number,
    most: number,
    least: number,
  ][] = [
    ['SDXL', sdxlModel, 'decode', 32, 1, 169, 73],
    ['SDXL', sdxlModel, 'decode', 64, 4, 407, 281],
    ['SDXL', sdxlModel, 'encode', 64, 1, 406, 290],
    ['Ostris', ostrisModel, 'decode', 32, 1, 102, 70],
    ['Ostris', ostrisModel, 'decode', 64, 1, 406, 277],
    ['Ostris', ostrisModel, 'encode', 64, 1, 406, 290],
    ['TAESD', tiny, 'decode', 64, 1, 205, 96],
    ['TAESD', tiny, 'decode', 128, 4, 539, 357],
  ];
  for (const [name, model, direction, size, bands, most, least] of memory) {
    test(`${name}: ${direction} at ${8 * size} px takes ${most} MB under default limits, ${least} MB at least`, () => {
      const place = { direction, samples: 1, height: size, width: size };
      const request = { ...place, storage: 'f16', profile: plainProfile } as const;
      const bytesOf = ({ plan }: VaeRunPlan): number =>
        plan.memory.scratch + plan.memory.io + plan.memory.uniforms;
      const first = planVaeRun(model, { ...request, budget: Infinity });
      expect([first.samples, first.bands, Math.round(bytesOf(first) / 1e6)]).toEqual([1, bands, most]);
      expect(largestBinding(first.plan)).toBeLessThanOrEqual(defaultLimits.maxStorageBufferBindingSize);

      const work = `${direction === 'decode' ? 'decoding' : 'encoding'} ${8 * size} x ${8 * size} pixels`;
      const refusal = thrown(() => planVaeRun(model, { ...request, budget: 1000 }));
      const amount = /^(.*) must fit 1000 bytes of memory beside its weights: it takes at least (\d+) bytes$/;
      const [, what, bytes] = amount.exec(refusal) ?? [refusal];
      expect(what).toBe(`${vaeWords(model)}: ${work}`);
      expect(Math.round(Number(bytes) / 1e6)).toBe(least);
      const smallest = planVaeRun(model, { ...request, budget: Number(bytes) });
      expect(bytesOf(smallest)).toBe(Number(bytes));
      expect(smallest.bands).toBeGreaterThan(bands);
      // the same work; only of TAESD's blocks, inner rows between bands are made twice
      const whole = planVaeRun(model, { ...request, profile: roomy, budget: Infinity });
      expect(whole.bands).toBe(1);
      if (model.kind === 'kl') expect(smallest.plan.macs).toBe(whole.plan.macs);
      else expect(smallest.plan.macs / whole.plan.macs).toBeLessThan(1.1);
    });
  }

  test('more pictures than fit at once are made one at a time, before bands', () => {
    const request = {
      half: 'decoder',
      height: 32,
      width: 32,
      storage: 'f16',
      profile: plainProfile,
    } as const;
    const one = planVae(sdxlModel, { ...request, samples: 1, budget: Infinity });
    const four = planVae(sdxlModel, { ...request, samples: 4, budget: Infinity });
    const inTurn = planVae(sdxlModel, { ...request, samples: 4, budget: one.scratch + one.io });
    expect([one.samples, four.samples, inTurn.samples, inTurn.bands]).toEqual([1, 1, 1, 1]);
    expect(inTurn).toEqual({ ...one, macs: 4 * one.macs, dispatches: 4 * one.dispatches });
    const small = planVae(sdxlModel, { ...request, height: 8, width: 8, samples: 4, budget: Infinity });
    expect([small.samples, small.bands]).toEqual([4, 1]);
  });

  test('limits that not even bands meet are named', () => {
    const profile = { ...plainProfile, limits: { ...defaultLimits, maxStorageBufferBindingSize: 2 ** 20 } };
    const request = { direction: 'decode', samples: 1, height: 64, width: 64 } as const;
    expect(() => planVaeRun(tiny, { ...request, storage: 'f16', profile, budget: Infinity })).toThrow(
      "TAESD with 4 latent channels: decoding 512 x 512 pixels must fit the device's limits: ",
    );
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
