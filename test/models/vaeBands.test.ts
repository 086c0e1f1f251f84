/** Autoencoders in bands of rows: the values of the whole picture, within limits that the whole picture breaks. */
import { afterEach, describe, expect, test } from 'vitest';
import { elementCount } from '../../src/core/shape';
import { Graph } from '../../src/graph/graph';
import { planGraph, type Plan } from '../../src/graph/plan';
import type { DeviceProfile } from '../../src/graph/profile';
import type { Tensor } from '../../src/graph/tensor';
import { taesdDecode, taesdEncode } from '../../src/models/taesd/model';
import { decode } from '../../src/models/vae/decoder';
import { encode } from '../../src/models/vae/encoder';
import { convolutionRows, cutRows, RowBands, store } from '../../src/models/vae/rowBands';
import { scaleLatents } from '../../src/models/vae/posterior';
import { parseKlConfig } from '../../src/protocol/schemas';
import type { VaeModel } from '../../src/protocol/vae';
import { groupWeights, loadWeights } from '../../src/sessions/loadWeights';
import { planVaeRun, vaeFactor, vaeGroup, vaeParameters } from '../../src/sessions/vaePlan';
import { expectClose, expectCloseL2, normals } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures } from '../helpers/fixtures';
import {
  kl,
  largestBinding,
  limitedProfile,
  randomFile,
  runPlan,
  smallKl,
  taesd,
} from '../helpers/vaeModels';
import { openFixture, readFixtureJson } from '../helpers/weights';

useTestGpu();
afterEach(async () => (await testGpu()).state.releaseAll());

type Direction = 'decode' | 'encode';

async function loadRandom(model: VaeModel): Promise<void> {
  const specs = vaeParameters(model, 'both');
  await loadWeights((await testGpu()).state, vaeGroup, await randomFile(specs), specs, { storage: 'f32' });
}

/** One direction for latents of this size, in bands of at most `bandRows` rows, on the test device's profile. */
async function planBands(
  model: VaeModel,
  direction: Direction,
  [height, width]: readonly [number, number],
  bandRows?: number,
  profile: Partial<DeviceProfile> = {},
): Promise<Plan> {
  const graph = new Graph();
  const weights = groupWeights(graph, vaeGroup, vaeParameters(model, 'both'), 'f32');
  const factor = vaeFactor(model);
  const x =
    direction === 'decode'
      ? graph.input('x', [1, model.config.latent_channels, height, width])
      : graph.input('x', [1, 3, height * factor, width * factor]);
  const options = { bandRows };
  const y = (): Tensor => {
    if (model.kind === 'taesd')
      return (direction === 'decode' ? taesdDecode : taesdEncode)(graph, weights, x, options);
    return (direction === 'decode' ? decode : encode)(graph, weights, model.config, x, options);
  };
  graph.output('y', y());
  return planGraph(graph, { ...(await testGpu()).device.profile, ...profile });
}

const inputOf = (plan: Plan): Float32Array => normals(elementCount([...plan.inputs.values()][0]!.shape), 7);

describe('row bands', () => {
  test('a picture is cut into equal bands, the last one maybe lower', () => {
    expect(cutRows(12, Infinity)).toEqual([[0, 12]]);
    expect(cutRows(12, 12)).toEqual([[0, 12]]);
    expect(cutRows(12, 5)).toEqual([
      [0, 4],
      [4, 8],
      [8, 12],
    ]);
    expect(cutRows(10, 4)).toEqual([
      [0, 4],
      [4, 8],
      [8, 10],
    ]);
    expect(cutRows(3, 1)).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  test('rows are views where they lie in one band, and joined from views where not', () => {
    const graph = new Graph();
    const bands = new RowBands(
      graph,
      [4, 4, 2].map((rows, i) => graph.input(`x${i}`, [1, rows, 3, 8])),
    );
    expect(bands.height).toBe(10);
    expect(bands.rows(4, 8)).toBe(bands.bands[1]);
    expect(bands.parts(3, 9).map((part) => part.shape)).toEqual([
      [1, 1, 3, 8],
      [1, 4, 3, 8],
      [1, 1, 3, 8],
    ]);
    expect(bands.rows(3, 9).shape).toEqual([1, 6, 3, 8]);
    expect(bands.whole().shape).toEqual([1, 10, 3, 8]);
  });

  test('several bands take one picture at a time', () => {
    const graph = new Graph();
    const two = new RowBands(graph, [graph.input('x', [2, 4, 3, 8])]);
    const source = convolutionRows(graph, 'conv', two, graph.input('w', [8, 3, 3, 8]));
    expect(store(graph, source, Infinity).bands).toHaveLength(1);
    expect(() => store(graph, source, 2)).toThrow('row bands: one picture at a time: f32 [2, 4, 3, 8]');
  });
});

describe('an autoencoder in bands', () => {
  // Sums of group norms run over chunks of 64 pixels: bands of whole chunks give the very bytes of the whole picture.
  const cases: [
    model: VaeModel,
    direction: Direction,
    size: [number, number],
    bandRows: number[],
    exact: boolean,
  ][] = [
    [kl, 'decode', [12, 8], [24, 12], true],
    [kl, 'decode', [11, 9], [22, 7, 2], false],
    [kl, 'encode', [12, 8], [24, 12], true],
    [kl, 'encode', [11, 9], [17, 8], false],
    [taesd, 'decode', [3, 2], [8, 5], true],
    [taesd, 'encode', [3, 2], [8, 5], true],
  ];
  for (const [model, direction, size, bandRows, exact] of cases) {
    test(`${model.kind}: ${direction}, latents of ${size.join(' x ')}, bands of ${bandRows.join(', ')} rows`, async () => {
      await loadRandom(model);
      const whole = await planBands(model, direction, size);
      const input = inputOf(whole);
      const expected = await runPlan(whole, input);
      for (const rows of bandRows) {
        const plan = await planBands(model, direction, size, rows);
        expect(plan.dispatches.length).toBeGreaterThan(whole.dispatches.length);
        const actual = await runPlan(plan, input);
        if (exact) expectClose(actual, expected, 0, `bands of ${rows} rows`);
        else expectCloseL2(actual, expected, 1e-6, `bands of ${rows} rows`);
      }
    });
  }

  test("kl: decode with a GPU's tiles", async () => {
    // every tiled pipeline takes a software driver seconds
    const few = { mid_block_add_attention: false, use_quant_conv: false, use_post_quant_conv: false };
    const model: VaeModel = { kind: 'kl', config: { ...smallKl, ...few } };
    await loadRandom(model);
    const gpu = { gemmTile: 'large', software: false } as const;
    const whole = await planBands(model, 'decode', [8, 8], undefined, gpu);
    const input = inputOf(whole);
    const banded = await planBands(model, 'decode', [8, 8], 8, gpu);
    expectClose(await runPlan(banded, input), await runPlan(whole, input), 0, 'bands of 8 rows');
  });

  test('a picture of no more rows than a band has is planned as ever', async () => {
    for (const model of [kl, taesd]) {
      for (const direction of ['decode', 'encode'] as const) {
        const [whole, one] = [
          await planBands(model, direction, [4, 3]),
          await planBands(model, direction, [4, 3], 32),
        ];
        expect(one.dispatches).toEqual(whole.dispatches);
        expect(one.scratchPages).toEqual(whole.scratchPages);
      }
    }
  });
});

describeFixtures('bands under small limits, against diffusers', () => {
  /** Bytes of a binding, which the weights fit (and the scores of attention) and the largest activations do not. */
  const models = [
    ['kl-a', { decode: 160 * 1024, encode: 160 * 1024 }],
    ['kl-b', { decode: 64 * 1024, encode: 150 * 1024 }],
  ] as const;
  for (const [name, bindings] of models) {
    test(`${name}: a picture that is not square, both ways`, async () => {
      const configPath = `vae/${name}/config.json`;
      const model: VaeModel = {
        kind: 'kl',
        config: parseKlConfig(configPath, readFixtureJson(configPath)).config,
      };
      const { file } = await openFixture(`vae/${name}/diffusion_pytorch_model.safetensors`);
      const golden = await openFixture(`vae/${name}.golden.safetensors`);
      const { state, device } = await testGpu();
      await loadWeights(state, vaeGroup, file, vaeParameters(model, 'both'), { storage: 'f32' });
      for (const direction of ['decode', 'encode'] as const) {
        const binding = bindings[direction];
        const latentName = direction === 'decode' ? 'decode.1.latent' : 'encode.1.mean';
        const [, , height, width] = golden.shape(latentName) as [number, number, number, number];
        const request = { direction, samples: 1, height, width, storage: 'f32', budget: Infinity } as const;
        const whole = planVaeRun(model, { ...request, profile: device.profile });
        const banded = planVaeRun(model, { ...request, profile: await limitedProfile(binding) });
        expect([whole.bands, banded.bands > 1]).toEqual([1, true]);
        expect(largestBinding(whole.plan)).toBeGreaterThan(binding);
        expect(largestBinding(banded.plan)).toBeLessThanOrEqual(binding);
        const input =
          direction === 'decode'
            ? scaleLatents(await golden.floats(latentName), 1 / model.config.scaling_factor)
            : await golden.floats('encode.1.image');
        const actual = await runPlan(banded.plan, input);
        expectCloseL2(
          actual,
          await runPlan(whole.plan, input),
          1e-6,
          `${name}: ${direction} in ${banded.bands} bands`,
        );
        const wanted = await golden.floats(direction === 'decode' ? 'decode.1.image' : latentName);
        expectClose(
          actual.subarray(0, wanted.length),
          wanted,
          2e-5,
          `${name}: ${direction} against the golden`,
        );
      }
    });
  }
});
