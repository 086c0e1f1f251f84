/**
 * Whole models with weights stored as f16 and int8, against the same models in f32 holding exactly the values that lie
 * on the device: what is left is the rounding of f32 arithmetic. What int8 itself costs, against the file's own weights
 * (which are exact in f16), is printed.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { unpackHalf } from '../../src/core/float16';
import { elementCount } from '../../src/core/shape';
import type { TensorFile } from '../../src/formats/tensorFile';
import { readState } from '../../src/gpu/readback';
import { Graph, scaleName } from '../../src/graph/graph';
import { ditLayout, resolveDitConfig } from '../../src/models/dit/config';
import { ditForward } from '../../src/models/dit/forward';
import { ditParameters } from '../../src/models/dit/parameters';
import { outputChannels, type ParameterSpec } from '../../src/models/parameters';
import { textParameters, textTower } from '../../src/models/text/tower';
import { decode } from '../../src/models/vae/decoder';
import { klDecoderParameters } from '../../src/models/vae/parameters';
import type { Weights } from '../../src/models/weights';
import type { WeightStorage } from '../../src/protocol/generate';
import { parseKlConfig, parseTextConfig } from '../../src/protocol/schemas';
import { timestepRows } from '../../src/sessions/ditSession';
import { groupWeights, loadWeights, parameterSpec } from '../../src/sessions/loadWeights';
import { expectCloseL2, difference, normals } from '../helpers/compare';
import { runGraph, testGpu, useTestGpu } from '../helpers/device';
import { describeFixtures, fixturePath } from '../helpers/fixtures';
import { goldenPath } from '../helpers/golden';
import { openTensors } from '../helpers/tensors';

useTestGpu();
afterEach(async () => (await testGpu()).state.releaseAll());

const report: string[] = [];
afterAll(() => {
  for (const line of report) console.log(line);
});

/** A model with its inputs: `trace` appends it and names its outputs. */
interface Subject {
  readonly file: TensorFile;
  readonly specs: readonly ParameterSpec[];
  readonly trace: (graph: Graph, weights: Weights) => void;
  readonly inputs: Readonly<Record<string, Float32Array | Uint32Array>>;
}

type Results = ReadonlyMap<string, Float32Array>;

async function run(subject: Subject, storage: WeightStorage): Promise<Results> {
  const graph = new Graph();
  subject.trace(graph, groupWeights(graph, 'model', subject.specs, storage));
  const { outputs } = await runGraph(graph, subject.inputs);
  return new Map([...outputs].map(([name, bytes]) => [name, new Float32Array(bytes)]));
}

/** The values that a stored parameter stands for, in the device's order. */
async function valuesOf(spec: ParameterSpec, storage: WeightStorage): Promise<Float32Array> {
  const { state } = await testGpu();
  const name = `model:${spec.name}`;
  const bytes = await readState(state, name);
  const count = elementCount(spec.shape);
  const { dtype } = parameterSpec(spec, storage);
  if (dtype === 'f16') return unpackHalf(new Uint32Array(bytes), count);
  if (dtype === 'f32') return new Float32Array(bytes);
  const integers = new Int8Array(bytes).subarray(0, count);
  const scales = new Float32Array(await readState(state, scaleName(name)));
  const channels = outputChannels(spec);
  const columns = spec.use === 'experts' ? spec.shape.at(-1)! : 1;
  const inner = count / channels;
  // experts [E, K, N]: expert and column; others: row
  return Float32Array.from(integers, (q, i) => {
    const outer = Math.floor(i / (inner * columns));
    return q * scales[outer * columns + (i % columns)]!;
  });
}

/** Relative L2 of the stored model against f32 of the same values; for int8 also what the file's own values give. */
async function compare(what: string, subject: Subject, storage: 'f16' | 'int8'): Promise<void> {
  const { state } = await testGpu();
  const { file, specs } = subject;
  await loadWeights(state, 'model', file, specs, { storage });
  const actual = await run(subject, storage);
  const bytes = state.bytes('model');
  const stored = specs.map((spec) => parameterSpec(spec, storage).dtype);
  expect(stored, what).toContain(storage === 'int8' ? 'i8' : 'f16');
  const values = new Map<string, Float32Array>();
  for (const spec of specs) values.set(spec.name, await valuesOf(spec, storage));

  state.release('model');
  await loadWeights(state, 'model', file, specs, { storage: 'f32' });
  const exact = storage === 'int8' ? await run(subject, 'f32') : null;
  for (const spec of specs) state.write(`model:${spec.name}`, values.get(spec.name)!);
  const expected = await run(subject, 'f32');
  for (const [name, wanted] of expected) {
    const { relativeL2 } = expectCloseL2(actual.get(name)!, wanted, 2e-5, `${what}, ${storage}, ${name}`);
    let line = `${what}, ${name}: ${storage} against f32 of the same values ${relativeL2.toExponential(1)}`;
    if (exact) {
      const cost = difference(wanted, exact.get(name)!).relativeL2;
      expect(cost, `${what}, ${name}: int8 shows, or nothing was compared`).toBeGreaterThan(1e-4);
      line += `, against f32 of the file's ${cost.toExponential(1)}`;
    }
    report.push(`${line}; ${bytes} of ${state.bytes('model')} bytes`);
  }
}

/** The transformer on golden inputs. */
async function transformer(weightsPath: string, forwardPath: string, config: unknown): Promise<Subject> {
  const golden = await openTensors(forwardPath);
  const { file } = await openTensors(weightsPath);
  const resolved = resolveDitConfig(config ?? JSON.parse(golden.file.metadata.get('config')!)).config;
  const [samples, captionLength] = [golden.shape('x')[0]!, golden.shape('y')[2]!];
  const shape = { samples, captionLength, guidance: 1, keptTokens: null };
  return {
    file,
    specs: ditParameters(resolved),
    trace: (graph, weights) => graph.output('F', ditForward(graph, weights, ditLayout(resolved), shape)),
    inputs: {
      x: await golden.floats('x'),
      y: await golden.floats('y'),
      features: timestepRows(await golden.floats('t'), samples),
    },
  };
}

const demoPath = (name: string): string => resolve(import.meta.dirname, '../../public/models/emoji-64', name);
const demoJson = (name: string): unknown => JSON.parse(readFileSync(demoPath(name), 'utf8'));

describe.each(['f16', 'int8'] as const)('%s weights', (storage) => {
  test('transformer with experts', async () => {
    const weights = goldenPath('micro-a.weights.safetensors');
    const subject = await transformer(weights, goldenPath('micro-a.forward.safetensors'), null);
    await compare('micro-a', subject, storage);
  });

  test('text tower', async () => {
    const { config } = parseTextConfig('open_clip_config.json', demoJson('open_clip_config.json'));
    const shape = [2, config.context] as const;
    const subject: Subject = {
      file: (await openTensors(demoPath('text_encoder.safetensors'))).file,
      specs: textParameters(config),
      trace: (graph, weights) =>
        graph.output('hidden', textTower(graph, weights, config, graph.input('ids', shape, 'u32'))),
      inputs: { ids: Uint32Array.from({ length: 2 * config.context }, (_, i) => (i * 37) % config.vocab) },
    };
    await compare('demo', subject, storage);
  });

  test('autoencoder', async () => {
    const { config } = parseKlConfig('vae.json', demoJson('vae.json'));
    const shape = [1, config.latent_channels, 6, 5];
    const subject: Subject = {
      file: (await openTensors(demoPath('vae.safetensors'))).file,
      specs: klDecoderParameters(config),
      trace: (graph, weights) =>
        graph.output('image', decode(graph, weights, config, graph.input('latent', shape))),
      inputs: { latent: normals(elementCount(shape), 1) },
    };
    await compare('demo', subject, storage);
  });
});

describeFixtures('f16 and int8 weights, golden models', () => {
  for (const storage of ['f16', 'int8'] as const) {
    test(`micro-b, ${storage}`, async () => {
      const path = (kind: string, ending: string): string => fixturePath(`dit/micro-b.${kind}.${ending}`);
      const json = JSON.parse(readFileSync(path('forward', 'json'), 'utf8')) as unknown;
      const forward = path('forward', 'safetensors');
      await compare('micro-b', await transformer(path('weights', 'safetensors'), forward, json), storage);
    });
  }
});
