import { expect, test } from 'vitest';
import { Run } from '../../src/gpu/run';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { decode } from '../../src/models/vae/decoder';
import { encode } from '../../src/models/vae/encoder';
import { klParameters } from '../../src/models/vae/parameters';
import { posteriorOf, samplePosterior, scaleLatents } from '../../src/models/vae/posterior';
import type { Tap } from '../../src/models/weights';
import { nhwcToNchw } from '../../src/ops/permute';
import { parseKlConfig, type KlConfig } from '../../src/protocol/schemas';
import { groupWeights } from '../../src/sessions/loadWeights';
import { toByte } from '../../src/sessions/pictures';
import { expectClose } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures } from '../helpers/fixtures';
import type { GoldenFile } from '../helpers/tensors';
import { loadState, openFixture, readFixtureJson } from '../helpers/weights';

useTestGpu();

const tolerance = 2e-5;

interface Model {
  readonly group: string;
  readonly config: KlConfig;
}

async function loadModel(group: string, configPath: string, weightsPath: string): Promise<Model> {
  const { config } = parseKlConfig(configPath, readFixtureJson(configPath));
  const { file } = await openFixture(weightsPath);
  const { state } = await testGpu();
  await loadState(state, group, file, klParameters(config));
  return { group, config };
}

/** Traces one direction of the model for an input of this shape, runs it, gives every output by name. */
async function runModel(
  { group, config }: Model,
  direction: 'encode' | 'decode',
  input: Float32Array,
  shape: readonly number[],
  wanted: readonly string[] = [],
  bandRows?: number,
): Promise<Map<string, Float32Array>> {
  const graph = new Graph();
  const weights = groupWeights(graph, group, klParameters(config), 'f32');
  const tap: Tap = (name, value) => {
    if (wanted.includes(`steps.${name}`)) graph.output(`steps.${name}`, nhwcToNchw(graph, value));
  };
  const trace = direction === 'encode' ? encode : decode;
  const x = graph.input('x', shape);
  graph.output('y', trace(graph, weights, config, x, { tap: wanted.length > 0 ? tap : undefined, bandRows }));
  const resources = await testGpu();
  const run = await Run.create(planGraph(graph, resources.device.profile), resources);
  try {
    run.write('x', input);
    run.replay();
    const results = new Map<string, Float32Array>();
    for (const name of graph.outputs.keys()) results.set(name, await run.read(name));
    return results;
  } finally {
    run.destroy();
  }
}

/** Bytes from a float image, equal to the golden's or one off where the float lies within the tolerance of a half. */
function expectBytes(image: Float32Array, shape: readonly number[], bytes: Int32Array, error: number): void {
  const [samples, channels, height, width] = shape as readonly [number, number, number, number];
  const plane = height * width;
  let off = 0;
  for (let i = 0; i < samples * plane; i++) {
    for (let channel = 0; channel < channels; channel++) {
      const value = image[(Math.floor(i / plane) * channels + channel) * plane + (i % plane)]!;
      const byte = toByte(value);
      const wanted = bytes[i * channels + channel]!;
      if (byte === wanted) continue;
      const scaled = 255 * (value / 2 + 0.5);
      const nearHalf = Math.abs(scaled - Math.floor(scaled) - 0.5) <= 127.5 * error + 1e-4;
      if (Math.abs(byte - wanted) > 1 || !nearHalf) off++;
    }
  }
  expect(off, 'bytes that differ though the float is not near a half').toBe(0);
}

async function checkDecoding(model: Model, golden: GoldenFile, prefix: string): Promise<void> {
  const latent = await golden.floats(`${prefix}.latent`);
  const unscaled = scaleLatents(latent, 1 / model.config.scaling_factor);
  const shape = golden.shape(`${prefix}.latent`);
  const image = (await runModel(model, 'decode', unscaled, shape)).get('y')!;
  const wanted = await golden.floats(`${prefix}.image`);
  expectClose(image, wanted, tolerance, `${prefix}.image`);
  const largest = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const bytes = await golden.ints(`${prefix}.uint8`);
  expectBytes(image, golden.shape(`${prefix}.image`), bytes, tolerance * largest);
}

async function checkEncoding(model: Model, golden: GoldenFile, prefix: string): Promise<void> {
  const image = await golden.floats(`${prefix}.image`);
  const moments = (await runModel(model, 'encode', image, golden.shape(`${prefix}.image`))).get('y')!;
  const [samples, channels, height, width] = golden.shape(`${prefix}.mean`) as [
    number,
    number,
    number,
    number,
  ];
  const posterior = posteriorOf(moments, [samples, channels * 2, height, width]);
  const sample = samplePosterior(posterior, await golden.floats(`${prefix}.noise`));
  const results = {
    mean: posterior.mean,
    logvar: posterior.logvar,
    sample,
    scaled: scaleLatents(sample, model.config.scaling_factor),
  };
  for (const [name, values] of Object.entries(results)) {
    expectClose(values, await golden.floats(`${prefix}.${name}`), tolerance, `${prefix}.${name}`);
  }
}

async function checkSteps(model: Model, golden: GoldenFile, bandRows?: number): Promise<void> {
  const names = golden.names.filter((name) => /^steps\.(encoder|decoder|post_quant_conv)/.test(name));
  const latent = scaleLatents(await golden.floats('steps.latent'), 1 / model.config.scaling_factor);
  const decoded = await runModel(model, 'decode', latent, golden.shape('steps.latent'), names, bandRows);
  const image = await golden.floats('steps.image');
  const encoded = await runModel(model, 'encode', image, golden.shape('steps.image'), names, bandRows);
  const results = new Map([...encoded, ...decoded]);
  expectClose(encoded.get('y')!, await golden.floats('steps.moments'), tolerance, 'steps.moments');
  for (const name of names) {
    const values = results.get(name);
    expect(values, `${name} is shown to the tap`).toBeDefined();
    expectClose(values!, await golden.floats(name), tolerance, name);
  }
}

describeFixtures('autoencoder against diffusers', () => {
  const models = [
    ['kl-a', 'kl-a'],
    ['kl-b', 'kl-b'],
    ['kl-b-old', 'kl-b'],
  ] as const;
  for (const [name, goldenName] of models) {
    const goldens = `vae/${goldenName}.golden.safetensors`;
    let loaded: Promise<Model> | null = null;
    const model = (): Promise<Model> => {
      const weights = `vae/${name}/diffusion_pytorch_model.safetensors`;
      return (loaded ??= loadModel(name, `vae/${name}/config.json`, weights));
    };
    /** The cases of a kind: `decode.0`, `decode.1`, ... */
    const each = (golden: GoldenFile, kind: string): string[] =>
      golden.names
        .filter((n) => n.startsWith(kind) && n.endsWith('.image'))
        .map((n) => n.replace('.image', ''));

    test(`${name}: every step`, async () => {
      await checkSteps(await model(), await openFixture(goldens));
    });

    test(`${name}: every step, in bands of rows`, async () => {
      await checkSteps(await model(), await openFixture(goldens), 7);
    });

    test(`${name}: decoding`, async () => {
      const golden = await openFixture(goldens);
      for (const prefix of each(golden, 'decode.')) await checkDecoding(await model(), golden, prefix);
    });

    test(`${name}: encoding`, async () => {
      const golden = await openFixture(goldens);
      for (const prefix of each(golden, 'encode.')) await checkEncoding(await model(), golden, prefix);
    });
  }

  // two pictures of eight, as a software driver is slow
  test('the demo bundle: latents of 8 steps to pictures', async () => {
    const model = await loadModel('demo', 'demo/emoji-64/vae.json', 'demo/emoji-64/vae.safetensors');
    const golden = await openFixture('demo/golden/samples.safetensors');
    const [, ...rest] = golden.shape('latents_8');
    const latents = await golden.floats('latents_8');
    const unscaled = scaleLatents(latents.subarray(0, latents.length / 4), 1 / model.config.scaling_factor);
    const image = (await runModel(model, 'decode', unscaled, [2, ...rest])).get('y')!;
    const wanted = await golden.floats('image_8');
    expectClose(image, wanted.subarray(0, wanted.length / 4), tolerance, 'image_8');
  });

  test('posterior: clamped log-variances, samples, bytes', async () => {
    const golden = await openFixture('vae/posterior.safetensors');
    const posterior = posteriorOf(await golden.floats('moments'), golden.shape('moments'));
    const sample = samplePosterior(posterior, await golden.floats('noise'));
    expectClose(posterior.mean, await golden.floats('mean'), 0, 'mean');
    expectClose(posterior.mean, await golden.floats('mode'), 0, 'mode');
    expectClose(posterior.logvar, await golden.floats('logvar'), 0, 'logvar');
    expectClose(posterior.std, await golden.floats('std'), 1e-6, 'std');
    expectClose(sample, await golden.floats('sample'), 1e-6, 'sample');
    expectBytes(await golden.floats('image'), golden.shape('image'), await golden.ints('uint8'), 0);
  });
});
