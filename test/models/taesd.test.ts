/** TAESD against diffusers' AutoencoderTiny, from diffusers' file and from the original ones. */
import { describe, expect, test } from 'vitest';
import { openTensorFile } from '../../src/formats/openTensorFile';
import { Run } from '../../src/gpu/run';
import { Graph } from '../../src/graph/graph';
import { planGraph } from '../../src/graph/plan';
import { plainProfile } from '../../src/graph/profile';
import { parameterCount, parametersByName, type ParameterSpec } from '../../src/models/parameters';
import { latentsToUnit, taesdDecode, taesdEncode, unitToLatents } from '../../src/models/taesd/model';
import {
  taesdDecoderParameters,
  taesdEncoderParameters,
  taesdParameters,
} from '../../src/models/taesd/parameters';
import { groupWeights } from '../../src/sessions/loadWeights';
import { toByte } from '../../src/sessions/pictures';
import { nodeFile } from '../../src/sources/node';
import { expectClose } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import type { GoldenFile } from '../helpers/tensors';
import { loadState, openFixture } from '../helpers/weights';

useTestGpu();

const tolerance = 1e-5;

type Direction = 'encode' | 'decode';

/** Weights of one naming on the device. */
interface Loaded {
  readonly group: string;
  readonly specs: readonly ParameterSpec[];
}

/** Loads a file in either format; `specs` is the table of what it holds. */
async function load(group: string, rel: string, specs: readonly ParameterSpec[]): Promise<Loaded> {
  const file = await openTensorFile(await nodeFile(fixturePath(rel), rel));
  expect(file.tensors.size, `${rel}: tensors`).toBe(specs.length);
  await loadState((await testGpu()).state, group, file, specs);
  return { group, specs };
}

/** A graph of one direction for inputs of this shape. */
function trace({ group, specs }: Loaded, direction: Direction, shape: readonly number[]): Graph {
  const graph = new Graph();
  const weights = groupWeights(graph, group, specs, 'f32');
  const model = direction === 'encode' ? taesdEncode : taesdDecode;
  graph.output('y', model(graph, weights, graph.input('x', shape)));
  return graph;
}

async function runModel(
  model: Loaded,
  direction: Direction,
  golden: GoldenFile,
  input: string,
): Promise<Float32Array> {
  const resources = await testGpu();
  const graph = trace(model, direction, golden.shape(input));
  const run = await Run.create(planGraph(graph, resources.device.profile), resources);
  try {
    run.write('x', await golden.floats(input));
    run.replay();
    return await run.read('y');
  } finally {
    run.destroy();
  }
}

/** One case of the goldens, `decode.0` and the like. */
async function check(model: Loaded, golden: GoldenFile, name: string): Promise<void> {
  const direction = name.startsWith('encode') ? 'encode' : 'decode';
  const [input, output] = direction === 'encode' ? ['image', 'latent'] : ['latent', 'image'];
  const y = await runModel(model, direction, golden, `${name}.${input}`);
  expectClose(y, await golden.floats(`${name}.${output}`), tolerance, `${model.group} ${name}`);
  if (direction === 'encode') return;
  // bytes may differ by one where the value lies at a half
  const bytes = await golden.ints(`${name}.uint8`);
  const plane = y.length / 3;
  const off = Array.from(bytes, (byte, i) => {
    const value = y[(i % 3) * plane + Math.floor(i / 3)]!;
    const scaled = 127.5 * (value + 1);
    return toByte(value) === byte || Math.abs(scaled - Math.floor(scaled) - 0.5) < 1e-2 ? 0 : 1;
  });
  expect(off.indexOf(1), `${name}.uint8: first byte that differs`).toBe(-1);
}

describeFixtures('TAESD against diffusers', () => {
  const goldens = (): Promise<GoldenFile> => openFixture('vae/taesdxl.golden.safetensors');

  test("diffusers' file", async () => {
    const path = 'vae/taesdxl/diffusion_pytorch_model.safetensors';
    const model = await load('taesd', path, taesdParameters());
    const golden = await goldens();
    for (const name of ['decode.0', 'decode.1', 'encode.0', 'encode.1']) await check(model, golden, name);
  });

  // the weights are the same: the smaller cases show that each one is in its place
  test('the original files', async () => {
    const golden = await goldens();
    const decoder = await load('decoder', 'vae/taesdxl_decoder.pth', taesdDecoderParameters());
    await check(decoder, golden, 'decode.1');
    const encoder = await load('encoder', 'vae/taesdxl_encoder.pth', taesdEncoderParameters());
    await check(encoder, golden, 'encode.0');
  });

  test('8-bit storage', async () => {
    const golden = await goldens();
    const latents = await golden.floats('storage.float');
    const units = await golden.floats('storage.unit');
    expectClose(latentsToUnit(latents), units, 1e-7, 'storage.unit');
    const clamped = latents.map((value) => Math.min(Math.max(value, -3), 3));
    expectClose(unitToLatents(units), clamped, 1e-6, 'storage.float within [-3, 3]');
  });
});

describe('TAESD', () => {
  const specs = taesdParameters();
  const model: Loaded = { group: 'taesd', specs };

  test('tables: tensors, values, names', () => {
    expect(parametersByName(specs).size).toBe(134);
    expect([taesdEncoderParameters().length, taesdDecoderParameters().length]).toEqual([67, 67]);
    expect(parameterCount(taesdEncoderParameters())).toBe(1_222_532);
    expect(parameterCount(taesdDecoderParameters())).toBe(1_222_531);
    // 16 channels: 12 more, each with 9 x 64 weights, and 12 biases of the encoder's
    expect(parameterCount(taesdParameters(16))).toBe(2_445_063 + 2 * 12 * 9 * 64 + 12);
    const byName = parametersByName(specs);
    expect(byName.get('decoder.layers.2.conv.4.bias')?.aliases).toEqual(['3.conv.4.bias']);
    expect(byName.get('encoder.layers.2.weight')?.aliases).toEqual(['2.weight']);
  });

  test('work: as the layers have it', () => {
    const macs = (direction: Direction, shape: readonly number[]): number =>
      planGraph(trace(model, direction, shape), plainProfile).macs;
    expect(macs('decode', [1, 4, 32, 32]) / 1e9).toBeCloseTo(17.7, 1);
    expect(macs('decode', [1, 4, 64, 64]) / 1e9).toBeCloseTo(70.7, 1);
  });

  test('wrong shapes are named', () => {
    expect(() => trace(model, 'decode', [1, 16, 4, 4])).toThrow(
      'taesdDecode: latent is [B, 4, h, w]: f32 [1, 16, 4, 4]',
    );
    expect(() => trace(model, 'encode', [1, 3, 20, 16])).toThrow(
      'taesdEncode: image is [B, 3, H, W] with sides that are multiples of 8: f32 [1, 3, 20, 16]',
    );
  });
});
