/** VaeSession: halves, budgets, both kinds and namings, and memory as planned. */
import { afterEach, describe, expect, test } from 'vitest';
import { openTensorFile } from '../../src/formats/openTensorFile';
import type { TensorFile } from '../../src/formats/tensorFile';
import { ScratchPool } from '../../src/gpu/run';
import { samplePosterior, scaleLatents } from '../../src/models/vae/posterior';
import { parseKlConfig } from '../../src/protocol/schemas';
import type { VaeHalf, VaeModel } from '../../src/protocol/vae';
import type { SessionResources } from '../../src/sessions/resources';
import { planVae, vaeGroup, vaeParameters } from '../../src/sessions/vaePlan';
import { VaeSession, type VaeLoadOptions } from '../../src/sessions/vaeSession';
import { nodeFile } from '../../src/sources/node';
import { expectClose, expectCloseL2, normals } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { kl, randomFile, taesd } from '../helpers/vaeModels';
import { openFixture, readFixtureJson } from '../helpers/weights';

useTestGpu();
afterEach(async () => (await testGpu()).state.releaseAll());

/** The test device with scratch of its own. */
async function freshResources(): Promise<SessionResources> {
  const resources = await testGpu();
  return { ...resources, scratch: new ScratchPool(resources.device) };
}

const fileOf = (model: VaeModel, half: VaeHalf, original = false): Promise<TensorFile> =>
  randomFile(vaeParameters(model, half), original);

/** Runs `use` on a session that is then disposed of. */
async function withSession<T>(
  model: VaeModel,
  file: TensorFile,
  options: Partial<VaeLoadOptions>,
  use: (session: VaeSession, resources: SessionResources) => Promise<T>,
): Promise<T> {
  const resources = await freshResources();
  const session = await VaeSession.load(resources, model, file, { storage: 'f32', ...options });
  try {
    return await use(session, resources);
  } finally {
    session.dispose();
    resources.scratch.destroy();
    expect(resources.state.bytes(vaeGroup)).toBe(0);
  }
}

describe('VaeSession', () => {
  // one picture of 32 x 24
  const size = { samples: 1, height: 8, width: 6 };
  const latents = normals(4 * 48, 1);
  const image = normals(3 * 32 * 24, 2).map((value) => Math.tanh(value));

  const planned: [model: VaeModel, half: VaeHalf, storage: VaeLoadOptions['storage'], tight: boolean][] = [
    [kl, 'both', 'f32', false],
    [kl, 'decoder', 'f32', true],
    [kl, 'encoder', 'int8', true],
    [taesd, 'both', 'f32', false],
    [taesd, 'decoder', 'f32', true],
  ];
  for (const [model, half, storage, tight] of planned) {
    test(`${model.kind}, ${half}, ${storage}${tight ? ', in bands' : ''}: created as planned`, async () => {
      const own = model.kind === 'kl' ? size : { samples: 1, height: 4, width: 3 };
      const { profile } = (await testGpu()).device;
      const free = planVae(model, { ...own, half, storage, profile, budget: Infinity });
      const budget = tight ? free.scratch + free.io - 1 : Infinity;
      const plan = planVae(model, { ...own, half, storage, profile, budget });
      expect([free.bands, plan.bands > 1]).toEqual([1, tight]);
      await withSession(
        model,
        await fileOf(model, half),
        { half, storage, budget },
        async (session, { state, scratch }) => {
          expect(state.bytes(vaeGroup)).toBe(plan.weights);
          const { factor } = session;
          if (half !== 'encoder') await session.decode(latents.subarray(0, 4 * own.height * own.width), own);
          const edges = { samples: 1, height: own.height * factor, width: own.width * factor };
          if (half !== 'decoder')
            await session.encode(image.subarray(0, 3 * edges.height * edges.width), edges);
          expect(scratch.bytes).toBe(plan.scratch);
          expect(plan.scratch + plan.io).toBeLessThanOrEqual(budget);
          if (half === 'decoder') {
            const run = await session.decoder(own.samples, own.height, own.width);
            expect([run.ownedBytes, run.plan.macs, run.plan.dispatches.length]).toEqual([
              plan.io,
              plan.macs,
              plan.dispatches,
            ]);
          }
        },
      );
    });
  }

  test('a half by itself computes what both do', async () => {
    const file = await fileOf(kl, 'both');
    const both = await withSession(kl, file, {}, async (session) => ({
      image: await session.decode(latents, size),
      posterior: await session.encode(image, { samples: 1, height: 32, width: 24 }),
      count: session.parameterCount,
    }));
    const counts: number[] = [];
    await withSession(kl, file, { half: 'decoder' }, async (session) => {
      expect(await session.decode(latents, size)).toEqual(both.image);
      counts.push(session.parameterCount);
      await expect(session.encode(image, { samples: 1, height: 32, width: 24 })).rejects.toThrow(
        'AutoencoderKL with 4 latent channels: its encoder must be loaded: only its decoder is',
      );
    });
    await withSession(kl, file, { half: 'encoder' }, async (session) => {
      expect(await session.encode(image, { samples: 1, height: 32, width: 24 })).toEqual(both.posterior);
      counts.push(session.parameterCount);
      await expect(session.decode(latents, size)).rejects.toThrow(
        'its decoder must be loaded: only its encoder is',
      );
    });
    expect(counts[0]! + counts[1]!).toBe(both.count);
  });

  test('within a budget: pictures one at a time, then in bands, with the same values', async () => {
    const file = await fileOf(kl, 'decoder');
    const three = { samples: 3, height: 8, width: 6 };
    const many = normals(3 * latents.length, 3);
    const { profile } = (await testGpu()).device;
    const one = planVae(kl, { ...size, half: 'decoder', storage: 'f32', profile, budget: Infinity });
    const decode = (budget: number): Promise<Float32Array> =>
      withSession(kl, file, { half: 'decoder', budget }, async (session, { scratch }) => {
        const { values } = await session.decode(many, three);
        expect(scratch.bytes).toBeLessThan(budget);
        return values;
      });
    const free = await decode(1e9);
    expect(free).toHaveLength(3 * 3 * 32 * 24);
    expectClose(await decode(one.scratch + one.io), free, 0, 'one at a time');
    expectCloseL2(await decode(one.scratch + one.io - 1), free, 1e-6, 'in bands');
    await expect(decode(10_000)).rejects.toThrow(
      /^AutoencoderKL with 4 latent channels: decoding 24 x 32 pixels must fit 10000 bytes of memory beside its weights: it takes at least \d+ bytes$/,
    );
  });

  test("latents are a sampler's, or divided by the scaling factor already", async () => {
    await withSession(kl, await fileOf(kl, 'decoder'), { half: 'decoder' }, async (session) => {
      expect([session.factor, session.latentChannels, session.scalingFactor]).toEqual([4, 4, 0.25]);
      const scaled = await session.decode(latents, size);
      const own = await session.decode(scaleLatents(latents, 4), { ...size, scaled: false });
      expect(own).toEqual(scaled);
      expect([scaled.height, scaled.width]).toEqual([32, 24]);
    });
  });

  test('TAESD from an original file of one half; its latents have no other scale and no variance', async () => {
    const own = { samples: 1, height: 3, width: 4 };
    const some = normals(4 * 12, 4);
    const named = await withSession(taesd, await fileOf(taesd, 'decoder'), { half: 'decoder' }, (session) =>
      session.decode(some, own),
    );
    const original = await fileOf(taesd, 'decoder', true);
    await withSession(taesd, original, { half: 'decoder' }, async (session) => {
      expect(await session.decode(some, own)).toEqual(named);
      expect([session.factor, session.latentChannels, session.scalingFactor]).toEqual([8, 4, 1]);
      await expect(session.decode(some, { ...own, scaled: false })).rejects.toThrow(
        'TAESD with 4 latent channels: latents must be as a sampler gives them: unscaled ones',
      );
    });
    await expect(VaeSession.load(await testGpu(), taesd, original, { storage: 'f32' })).rejects.toThrow(
      'random.safetensors: tensor "encoder.layers.0.weight" must be in the file',
    );
    await withSession(taesd, await fileOf(taesd, 'encoder', true), { half: 'encoder' }, async (session) => {
      const posterior = await session.encode(image.subarray(0, 3 * 24 * 32), {
        samples: 1,
        height: 24,
        width: 32,
      });
      expect(posterior.shape).toEqual([1, 4, 3, 4]);
      expect(posterior.std.every((value) => value === 0)).toBe(true);
      expect(samplePosterior(posterior, normals(48, 5))).toEqual(posterior.mean);
      await expect(session.encode(image, { samples: 1, height: 20, width: 32 })).rejects.toThrow(
        'TAESD with 4 latent channels: sides must be multiples of 8: 32 x 20',
      );
    });
  });

  test('runs of many sizes: the oldest are given up and made again', async () => {
    await withSession(kl, await fileOf(kl, 'decoder'), { half: 'decoder' }, async (session) => {
      const decode = async (height: number): Promise<Float32Array> =>
        (await session.decode(latents.subarray(0, 4 * height), { samples: 1, height, width: 1 })).values;
      const first = await decode(1);
      for (const height of [2, 3, 4, 5]) await decode(height);
      expect(await decode(1)).toEqual(first);
    });
  });
});

describeFixtures('VaeSession against diffusers', () => {
  const tolerance = 1e-4;
  const folder = 'vae/taesdxl/diffusion_pytorch_model.safetensors';
  const open = async (path: string): Promise<TensorFile> =>
    openTensorFile(await nodeFile(fixturePath(path), path));

  /** Of a tensor [N, C, H, W]. */
  const sizeOf = (shape: readonly number[]): { samples: number; height: number; width: number } => ({
    samples: shape[0]!,
    height: shape[2]!,
    width: shape[3]!,
  });

  for (const [naming, encoder, decoder] of [
    ["diffusers' file", folder, folder],
    ['the original files', 'vae/taesdxl_encoder.pth', 'vae/taesdxl_decoder.pth'],
  ] as const) {
    test(`TAESD from ${naming}`, async () => {
      const golden = await openFixture('vae/taesdxl.golden.safetensors');
      // tests of the model itself decode the larger cases
      await withSession(taesd, await open(decoder), { half: 'decoder' }, async (session) => {
        const latent = await golden.floats('decode.1.latent');
        const { values } = await session.decode(latent, sizeOf(golden.shape('decode.1.latent')));
        expectClose(values, await golden.floats('decode.1.image'), tolerance, 'decode.1.image');
      });
      await withSession(taesd, await open(encoder), { half: 'encoder' }, async (session) => {
        const picture = await golden.floats('encode.0.image');
        const { mean } = await session.encode(picture, sizeOf(golden.shape('encode.0.image')));
        expectClose(mean, await golden.floats('encode.0.latent'), tolerance, 'encode.0.latent');
      });
    });
  }

  test('kl-b both ways within a budget', async () => {
    const golden = await openFixture('vae/kl-b.golden.safetensors');
    const { config } = parseKlConfig('kl-b', readFixtureJson('vae/kl-b/config.json'));
    const file = await open('vae/kl-b/diffusion_pytorch_model.safetensors');
    await withSession({ kind: 'kl', config }, file, { budget: 600_000 }, async (session) => {
      const latent = await golden.floats('decode.1.latent');
      const { values } = await session.decode(latent, sizeOf(golden.shape('decode.1.latent')));
      expectClose(values, await golden.floats('decode.1.image'), tolerance, 'decode.1.image');
      const picture = await golden.floats('encode.1.image');
      const encoded = await session.encode(picture, sizeOf(golden.shape('encode.1.image')));
      expectClose(encoded.mean, await golden.floats('encode.1.mean'), tolerance, 'encode.1.mean');
      expectClose(encoded.logvar, await golden.floats('encode.1.logvar'), tolerance, 'encode.1.logvar');
      const scaled = scaleLatents(
        samplePosterior(encoded, await golden.floats('encode.1.noise')),
        session.scalingFactor,
      );
      expectClose(scaled, await golden.floats('encode.1.scaled'), tolerance, 'encode.1.scaled');
    });
  });
});
