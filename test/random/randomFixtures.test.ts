/** Random numbers against PyTorch's own (CPU) and an independent emulation (CUDA). Tolerances: rng/README.md. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { findTensor, loadFloats } from '../../src/formats/tensorFile';
import { cpuGenerator } from '../../src/random/cpuGenerator';
import { cudaGenerator } from '../../src/random/cudaGenerator';
import type { PhiloxCounter, PhiloxKey } from '../../src/random/philox';
import { philoxWords } from '../../src/random/philox';
import { torchRandn } from '../../src/random/torchRandn';
import { nodeFile } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

const tolerance = 4e-6;
const read = (name: string): unknown => JSON.parse(readFileSync(fixturePath(`rng/${name}.json`), 'utf8'));
const words = (hex: string[]): number[] => hex.map((word) => parseInt(word, 16));
const sha256 = (data: Uint32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');

/** Largest absolute difference; NaN where lengths differ. */
function worst(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) return NaN;
  let most = 0;
  for (let i = 0; i < expected.length; i++)
    most = Math.max(most, Math.abs((values[i] as number) - (expected[i] as number)));
  return most;
}

interface Summary {
  first?: number[];
  last?: number[];
  sum?: number;
  std?: number;
  max_abs?: number;
}

function checkSummary(values: Float32Array, want: Summary): void {
  if (want.first) expect(worst(values.subarray(0, want.first.length), want.first)).toBeLessThan(tolerance);
  if (want.last) expect(worst(values.slice(-want.last.length), want.last)).toBeLessThan(tolerance);
  const sum = values.reduce((total, value) => total + value, 0);
  expect(Math.abs(sum - (want.sum ?? NaN))).toBeLessThan(tolerance * Math.sqrt(values.length) + 1e-5);
  const mean = sum / values.length;
  const std = Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length);
  expect(Math.abs(std - (want.std ?? NaN))).toBeLessThan(tolerance);
  const most = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  expect(Math.abs(most - (want.max_abs ?? NaN))).toBeLessThan(tolerance);
}

describeFixtures('random numbers', () => {
  it('philox words', () => {
    const file = read('philox') as Record<
      'known' | 'random',
      { counter: string[]; key: string[]; output: string[] }[]
    >;
    for (const { counter, key, output } of [...file.known, ...file.random]) {
      const got = philoxWords(words(counter) as unknown as PhiloxCounter, words(key) as unknown as PhiloxKey);
      expect([...got]).toEqual(words(output));
    }
  });

  const cuda = read('cuda_randn') as (Summary & {
    seed: string;
    shape: number[];
    offset: string;
    max_threads: number | null;
    offset_after: string;
    words_thread0: string[];
    words_sha256: string;
  })[];
  it.each(
    cuda.map(
      (want) => [`seed ${want.seed}, shape [${want.shape.join(', ')}], offset ${want.offset}`, want] as const,
    ),
  )('cuda: %s', (_, want) => {
    const generator = cudaGenerator(BigInt(want.seed), {
      offset: BigInt(want.offset),
      ...(want.max_threads === null ? {} : { maxThreads: want.max_threads }),
    });
    const count = want.shape.reduce((product, extent) => product * extent, 1);
    const all = generator.words(count);
    expect([...all.subarray(0, 4)]).toEqual(words(want.words_thread0));
    expect(sha256(all)).toBe(want.words_sha256);
    checkSummary(generator.randn(count), want);
    expect(generator.offset).toBe(BigInt(want.offset_after));
  });

  type Cpu =
    | { kind: 'mt19937'; seed: string; first: number[]; word_1000: number; sha256_4096_words_le: string }
    | { kind: 'rand'; seed: string; n: number; values: number[] }
    | ({ kind: 'randn'; seed: string; n: number; values?: number[] } & Summary)
    | { kind: 'randn_calls'; seed: string; n: number[]; values: number[][] };
  const cpu = read('cpu_randn') as Cpu[];
  it.each(
    cpu.map(
      (want) =>
        [`${want.kind} seed ${want.seed}${'n' in want ? ` n ${want.n.toString()}` : ''}`, want] as const,
    ),
  )('cpu: %s', (_, want) => {
    const generator = cpuGenerator(BigInt(want.seed));
    switch (want.kind) {
      case 'mt19937': {
        const all = Uint32Array.from({ length: 4096 }, () => generator.word());
        expect([...all.subarray(0, want.first.length)]).toEqual(want.first);
        expect(all[1000]).toBe(want.word_1000);
        expect(sha256(all)).toBe(want.sha256_4096_words_le);
        break;
      }
      case 'rand':
        expect([...generator.rand(want.n)]).toEqual(want.values);
        break;
      case 'randn': {
        const values = generator.randn(want.n);
        if (want.values) expect(worst(values, want.values)).toBeLessThan(tolerance);
        else checkSummary(values, want);
        break;
      }
      case 'randn_calls':
        want.n.forEach((count, call) =>
          expect(worst(generator.randn(count), want.values[call] ?? [])).toBeLessThan(tolerance),
        );
    }
  });

  it('whole tensors', async () => {
    const source = await nodeFile(fixturePath('rng/full.safetensors'));
    const file = await readSafetensors(source);
    const check = async (name: string, values: Float32Array): Promise<void> =>
      expect(worst(values, await loadFloats(source, findTensor(file, name)))).toBeLessThan(tolerance);
    await check('cpu.seed18', torchRandn({ rng: 'cpu', seed: 18n, count: 4096 }));
    await check('cuda.seed18', torchRandn({ rng: 'cuda', seed: 18n, count: 8192 }));
    await check(
      'cuda.capped',
      torchRandn({ rng: 'cuda', seed: 7n, count: 5000, offset: 8n, maxThreads: 512 }),
    );
  });
});
