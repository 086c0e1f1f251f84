/** Weights from a file to the device: what is stored how, values and scales as they then lie there, chunks, errors. */
import { afterEach, describe, expect, test } from 'vitest';
import { unpackHalf } from '../../src/core/float16';
import { elementCount } from '../../src/core/shape';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import type { TensorFile } from '../../src/formats/tensorFile';
import { readState } from '../../src/gpu/readback';
import { Graph } from '../../src/graph/graph';
import { defaultLimits } from '../../src/graph/profile';
import { groupBytes } from '../../src/graph/state';
import { namedDitConfig } from '../../src/models/dit/config';
import { ditParameters } from '../../src/models/dit/parameters';
import { repackOhwi, type ParameterSpec } from '../../src/models/parameters';
import { textParameters } from '../../src/models/text/tower';
import type { WeightStorage } from '../../src/protocol/generate';
import type { QuantizationFacts } from '../../src/protocol/messages';
import { parseTextConfig } from '../../src/protocol/schemas';
import { groupWeights, loadWeights, parameterSpec, storedParameters } from '../../src/sessions/loadWeights';
import { WholeUnits, WordWriter } from '../../src/sessions/weightStream';
import { memorySource } from '../../src/sources/memory';
import { normals } from '../helpers/compare';
import { testGpu, useTestGpu } from '../helpers/device';

useTestGpu();
afterEach(async () => (await testGpu()).state.releaseAll());

type Values = Readonly<Record<string, { shape: readonly number[]; values: Float32Array; dtype?: 'F16' }>>;

/** A file in memory that is never asked for more than 16 MiB at once. */
async function fileOf(tensors: Values): Promise<TensorFile> {
  const list = Object.entries(tensors).map(([name, { shape, values, dtype }]) =>
    floatTensor(name, shape, values, dtype ?? 'F32'),
  );
  const source = memorySource('weights.safetensors', encodeSafetensors(list));
  const file = await readSafetensors(source);
  const read: typeof source.read = (offset, length, signal) => {
    expect(length).toBeLessThanOrEqual(2 ** 24);
    return source.read(offset, length, signal);
  };
  return { ...file, source: { ...source, read } };
}

async function load(
  tensors: Values,
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
): Promise<readonly QuantizationFacts[] | null> {
  const { state } = await testGpu();
  let facts: readonly QuantizationFacts[] | null = null;
  const onQuantized = (errors: readonly QuantizationFacts[]): void => void (facts = errors);
  await loadWeights(state, 'w', await fileOf(tensors), specs, { storage, onQuantized });
  return facts;
}

const stored = async (name: string): Promise<ArrayBuffer> => readState((await testGpu()).state, `w:${name}`);
const floats = async (name: string): Promise<Float32Array> => new Float32Array(await stored(name));

/** The rule, written out again: largest magnitude over 127, half to even. */
function quantize(values: Float32Array, channelOf: (i: number) => number, channels: number) {
  const largest = new Float32Array(channels);
  values.forEach((w, i) => (largest[channelOf(i)] = Math.max(largest[channelOf(i)]!, Math.abs(w))));
  const scales = largest.map((m) => (m === 0 ? 1 : m / 127));
  const integers = Int8Array.from(values, (w, i) => {
    const exact = w / scales[channelOf(i)]!;
    const below = Math.floor(exact);
    const up = exact - below > 0.5 || (exact - below === 0.5 && below % 2 !== 0);
    return below + (up ? 1 : 0);
  });
  let [worst, squares, total] = [0, 0, 0];
  values.forEach((w, i) => {
    const e = w - integers[i]! * scales[channelOf(i)]!;
    worst = Math.max(worst, Math.abs(e));
    squares += e * e;
    total += w * w;
  });
  return { integers, scales, maxError: worst, relativeError: Math.sqrt(squares / total) };
}

const plain = (name: string, ...shape: number[]): ParameterSpec => ({ name, shape, layout: 'plain' });
const random = (seed: number, ...shape: number[]) => ({ shape, values: normals(elementCount(shape), seed) });

describe('int8', () => {
  test('products, pieces, convolutions, experts: integers, scales and errors', async () => {
    const specs: ParameterSpec[] = [
      plain('nk', 6, 10),
      { ...plain('stacked', 9, 5), stacked: ['q', 'k', 'v'] },
      { name: 'conv', shape: [5, 3, 3, 3], layout: 'ohwi' },
      plain('pointwise', 6, 7, 1, 1),
      { ...plain('experts', 3, 5, 7), use: 'experts' },
      plain('bias', 10),
      { ...plain('table', 5, 3), use: 'rows' },
      { ...plain('router', 2, 3), use: 'router' },
      { ...plain('positions', 1, 3, 3), use: 'positions' },
    ];
    const file = {
      nk: random(1, 6, 10),
      q: random(2, 3, 5),
      k: random(3, 3, 5),
      v: random(4, 3, 5),
      conv: random(5, 5, 3, 3, 3),
      pointwise: random(6, 6, 7, 1, 1),
      experts: random(7, 3, 5, 7),
      bias: random(8, 10),
      table: random(9, 5, 3),
      router: random(10, 2, 3),
      positions: random(11, 1, 3, 3),
    };
    file.nk.values.fill(0, 20, 30);
    file.experts.values.forEach((_, i) => i % 7 === 2 && (file.experts.values[i] = 0));
    const facts = await load(file, specs, 'int8');

    const stackedValues = Float32Array.of(...file.q.values, ...file.k.values, ...file.v.values);
    const expected = {
      nk: quantize(file.nk.values, (i) => Math.floor(i / 10), 6),
      stacked: quantize(stackedValues, (i) => Math.floor(i / 5), 9),
      conv: quantize(repackOhwi(file.conv.values, [5, 3, 3, 3]), (i) => Math.floor(i / 27), 5),
      pointwise: quantize(file.pointwise.values, (i) => Math.floor(i / 7), 6),
      experts: quantize(file.experts.values, (i) => Math.floor(i / 35) * 7 + (i % 7), 21),
    };
    for (const [name, { integers, scales }] of Object.entries(expected)) {
      expect(new Int8Array(await stored(name)).subarray(0, integers.length), name).toEqual(integers);
      expect(await floats(`${name}.scale`), `${name}.scale`).toEqual(scales);
    }
    expect(facts?.map(({ tensor }) => tensor)).toEqual(Object.keys(expected));
    for (const { tensor, maxError, relativeError } of facts ?? []) {
      const own = expected[tensor as keyof typeof expected];
      expect(maxError, tensor).toBeCloseTo(own.maxError, 12);
      expect(relativeError, tensor).toBeCloseTo(own.relativeError, 9);
    }
    expect(await floats('bias')).toEqual(file.bias.values);
    expect(await floats('router')).toEqual(file.router.values);
    expect(await floats('positions')).toEqual(file.positions.values);
    const table = unpackHalf(new Uint32Array(await stored('table')), 15);
    table.forEach((value, i) => expect(Math.abs(value / file.table.values[i]! - 1)).toBeLessThan(2 ** -10));
  });

  test('rows and experts cut by chunks, from f32 and f16 files', async () => {
    // rows of 2053 values in chunks of 2^22; two experts of 3.4 million
    const [rows, width] = [2100, 2053];
    const specs = [plain('nk', rows, width), { ...plain('experts', 2, 1601, 2099), use: 'experts' as const }];
    const count = rows * width;
    const cheap = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => (i * 40503) % 1021);
    const tensors = {
      nk: { shape: [rows, width], values: cheap(count), dtype: 'F16' as const },
      experts: { shape: [2, 1601, 2099], values: cheap(2 * 1601 * 2099) },
    };
    const facts = await load(tensors, specs, 'int8');
    const nk = quantize(tensors.nk.values, (i) => Math.floor(i / width), rows);
    const experts = quantize(
      tensors.experts.values,
      (i) => Math.floor(i / (1601 * 2099)) * 2099 + (i % 2099),
      2 * 2099,
    );
    for (const [name, { integers, scales }] of Object.entries({ nk, experts })) {
      const found = new Int8Array(await stored(name)).subarray(0, integers.length);
      expect(Buffer.compare(Buffer.from(found), Buffer.from(integers)), name).toBe(0);
      expect(await floats(`${name}.scale`)).toEqual(scales);
    }
    expect(facts?.[0]?.relativeError).toBeCloseTo(nk.relativeError, 9);
    expect(facts?.[1]?.maxError).toBeCloseTo(experts.maxError, 9);
  });

  test('a value that is not finite is named, and nothing stays allocated', async () => {
    const { values, shape } = random(1, 6, 10);
    values[37] = NaN;
    await expect(load({ nk: { shape, values } }, [plain('nk', 6, 10)], 'int8')).rejects.toThrow(
      'weights.safetensors: tensor "nk" must be finite to be stored as int8: value 37 is NaN',
    );
    expect((await testGpu()).state.has('w:nk')).toBe(false);
    expect(await load({ nk: { shape, values } }, [plain('nk', 6, 10)], 'f32')).toBeNull();
  });

  test('what is allocated is what graphs bind', () => {
    const config = namedDitConfig('MicroDiT_XL_2');
    const specs = ditParameters(config);
    const graph = new Graph();
    const weights = groupWeights(graph, 'dit', specs, 'int8');
    for (const { name } of specs) weights(name);
    const bound = [...graph.states].map(([name, { shape, dtype }]) => [name.slice(4), { shape, dtype }]);
    const allocated = storedParameters(specs, 'int8');
    expect(Object.fromEntries(bound)).toEqual(Object.fromEntries(allocated));
    const bytes = (storage: WeightStorage): number =>
      groupBytes('dit', storedParameters(specs, storage), defaultLimits);
    // a quarter, and what scales, router and vectors add
    expect(bytes('int8') / bytes('f32')).toBeLessThan(0.252);
    expect(bytes('f16') / bytes('f32')).toBeLessThan(0.501);
  });
});

test('every storage by use', () => {
  const of = (storage: WeightStorage, spec: Partial<ParameterSpec>): string =>
    parameterSpec({ ...plain('w', 8, 4), ...spec }, storage).dtype;
  const uses = [undefined, 'product', 'experts', 'rows', 'router', 'positions'] as const;
  const row = (storage: WeightStorage): string[] => [
    ...uses.map((use) => of(storage, use ? { use } : {})),
    of(storage, { shape: [8] }),
    of(storage, { shape: [1, 1, 8] }),
    of(storage, { shape: [8, 4, 3, 3], layout: 'ohwi' }),
  ];
  expect(row('f32')).toEqual(Array.from({ length: 9 }, () => 'f32'));
  expect(row('f16')).toEqual(['f16', 'f16', 'f16', 'f16', 'f16', 'f32', 'f32', 'f32', 'f16']);
  expect(row('int8')).toEqual(['i8', 'i8', 'i8', 'f16', 'f32', 'f32', 'f32', 'f32', 'i8']);
});

test('the embeddings of CLIP-H fit a binding of any device, unless they are f32', () => {
  const { config } = parseTextConfig('open_clip_config.json', {
    model_cfg: {
      embed_dim: 1024,
      text_cfg: { context_length: 77, vocab_size: 49408, width: 1024, heads: 16, layers: 24 },
    },
  });
  const bytes = (storage: WeightStorage): number =>
    groupBytes('text', storedParameters(textParameters(config), storage), defaultLimits);
  expect(bytes('f16')).toBeGreaterThan(700e6);
  expect(bytes('int8')).toBeLessThan(410e6);
  expect(() => bytes('f32')).toThrow(
    'state text:token_embedding.weight: a binding may hold at most 134217728 bytes on this device: 202375168 bytes',
  );
});

describe('f32 and f16', () => {
  test('convolutions of odd rows, pieces of odd length', async () => {
    const specs: ParameterSpec[] = [
      { name: 'conv', shape: [5, 3, 3, 3], layout: 'ohwi' },
      { ...plain('stacked', 9, 5), stacked: ['q', 'k', 'v'] },
    ];
    const file = {
      conv: random(5, 5, 3, 3, 3),
      q: random(2, 3, 5),
      k: random(3, 3, 5),
      v: random(4, 3, 5),
    };
    // multiples of 1/64 are exact in both
    for (const { values } of Object.values(file))
      values.forEach((v, i) => (values[i] = Math.round(v * 64) / 64));
    const conv = repackOhwi(file.conv.values, [5, 3, 3, 3]);
    const stacked = Float32Array.of(...file.q.values, ...file.k.values, ...file.v.values);
    await load(file, specs, 'f32');
    expect(await floats('conv')).toEqual(conv);
    expect(await floats('stacked')).toEqual(stacked);
    (await testGpu()).state.releaseAll();
    expect(await load(file, specs, 'f16')).toBeNull();
    expect(unpackHalf(new Uint32Array(await stored('conv')), 135)).toEqual(conv);
    expect(unpackHalf(new Uint32Array(await stored('stacked')), 45)).toEqual(stacked);
  });

  test('convolutions cut by chunks', async () => {
    const shape = [1000, 487, 3, 3];
    const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => (i * 40503) % 2039);
    await load({ conv: { shape, values } }, [{ name: 'conv', shape, layout: 'ohwi' }], 'f16');
    const halves = unpackHalf(new Uint32Array(await stored('conv')), values.length);
    expect(Buffer.compare(Buffer.from(halves.buffer), Buffer.from(repackOhwi(values, shape).buffer))).toBe(0);
  });
});

test('whole units of pieces of any size', () => {
  for (const unit of [1, 3, 7, 40]) {
    const values = Float32Array.from({ length: 840 }, (_, i) => i);
    const passed: number[] = [];
    const units = new WholeUnits(unit, (block) => {
      expect(block.length % unit).toBe(0);
      passed.push(...block);
    });
    for (let at = 0, size = 1; at < values.length; at += size, size = (size * 5 + 3) % 61) {
      units.push(values.slice(at, at + size));
    }
    expect(passed).toEqual([...values]);
  }
});

test('words of pieces of any size', async () => {
  const { state } = await testGpu();
  await state.allocate('w', new Map([['bytes', { shape: [101], dtype: 'i8' }]]));
  const writer = new WordWriter(state, 'w:bytes');
  const values = Int8Array.from({ length: 101 }, (_, i) => i * 7);
  for (let at = 0, size = 1; at < 101; at += size, size = (size * 3 + 1) % 11) {
    writer.put(values.subarray(at, at + size));
  }
  expect(() => writer.finish(102, 1)).toThrow(
    'state w:bytes: filled by 102 elements of 1 bytes: 101 bytes put',
  );
  writer.finish(101, 1);
  expect(new Int8Array(await stored('bytes')).subarray(0, 101)).toEqual(values);
});
