import { describe, expect, it } from 'vitest';
import { cpuGenerator } from '../../src/random/cpuGenerator';
import { cudaGenerator } from '../../src/random/cudaGenerator';
import { referenceSeed, seedBits } from '../../src/random/generator';
import { mt19937 } from '../../src/random/mt19937';
import { philoxWords } from '../../src/random/philox';
import { torchRandn } from '../../src/random/torchRandn';

const hex = (words: Iterable<number>): string =>
  [...words].map((word) => word.toString(16).padStart(8, '0')).join(' ');

/** Largest absolute difference between values and what they should be. */
function worst(values: ArrayLike<number>, expected: readonly number[]): number {
  return Math.max(...expected.map((value, i) => Math.abs(value - (values[i] ?? NaN))));
}

/** Philox in BigInt arithmetic, straight from the definition. */
function philoxByDefinition(counter: bigint[], key: bigint[]): bigint[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3];
}

describe('philox', () => {
  it('gives the published answers', () => {
    expect(hex(philoxWords([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philoxWords([ones, ones, ones, ones], [ones, ones]))).toBe(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    );
    expect(hex(philoxWords([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });

  it('agrees with its definition', () => {
    let word = 1;
    const next = (): number => {
      word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
      return word;
    };
    for (let i = 0; i < 2000; i++) {
      const c = [next(), next(), next(), next()] as const;
      const k = [next(), next()] as const;
      expect([...philoxWords(c, k)].map(BigInt)).toEqual(philoxByDefinition(c.map(BigInt), k.map(BigInt)));
    }
  });
});

describe('torch randn on CUDA', () => {
  it('gives the published values of a device', () => {
    const published = [
      ...[-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564],
      ...[-0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497],
    ];
    const values = torchRandn({ rng: 'cuda', seed: 0n, count: 12 });
    expect(worst(values, published)).toBeLessThan(1e-6);
    expect(worst(torchRandn({ rng: 'cuda', seed: 0n, count: 12, fma: true }), published)).toBeLessThan(1e-6);
  });

  it('gives the values of the reference seeds', () => {
    const cases: [bigint, number[]][] = [
      [42n, [0.194019, 2.161374, -0.172051, 0.84906, -1.924399, 0.652986, -0.649441, -0.817525]],
      [2024n, [0.997858, -1.144922, 0.629568, 0.775509, -1.971983, 0.509062, 0.76703, 1.31143]],
      [18n, [0.693592, -0.483633, 0.375733, -0.151776, -2.316152, 0.524664, 0.047068, 0.094157]],
      [1138n, [0.713007, -0.559029, 0.181787, 1.270816, 0.524768, 0.793938, 0.007531, 0.058385]],
    ];
    for (const [seed, expected] of cases) {
      expect(worst(torchRandn({ rng: 'cuda', seed, count: 8 }), expected)).toBeLessThan(1.1e-6);
    }
    const unseeded = [-1.151225, 1.148258, -0.179457, 0.985102, 0.434085, 1.874478, -1.063841, -1.456234];
    expect(worst(torchRandn({ rng: 'cuda', seed: null, count: 8 }), unseeded)).toBeLessThan(1.1e-6);
    const moved = torchRandn({ rng: 'cuda', seed: 2024n, count: 4, offset: 4n });
    expect(worst(moved, [0.570872, 0.069866, -1.871929, -0.230943])).toBeLessThan(1.1e-6);
  });

  it('moves its offset on, so that calls continue', () => {
    const generator = cudaGenerator(2024n);
    generator.randn(100_000);
    expect(generator.offset).toBe(4n);
    expect(generator.randn(300)).toEqual(torchRandn({ rng: 'cuda', seed: 2024n, count: 300, offset: 4n }));
    const capped = cudaGenerator(7n, { offset: 8n, maxThreads: 600 });
    capped.randn(5000);
    expect(capped.offset).toBe(20n);
    expect(cudaGenerator(7n).randn(0)).toEqual(new Float32Array(0));
  });

  it('draws element by element as one thread each, and four per pass when capped', () => {
    const free = torchRandn({ rng: 'cuda', seed: 5n, count: 3000 });
    const capped = torchRandn({ rng: 'cuda', seed: 5n, count: 3000, maxThreads: 256 });
    expect(capped.subarray(0, 256)).toEqual(free.subarray(0, 256));
    expect(capped.subarray(256, 512)).not.toEqual(free.subarray(256, 512));
    expect(
      worst(
        torchRandn({ rng: 'cuda', seed: 0n, count: 1024, maxThreads: 256 }).filter((_, i) => i % 256 === 0),
        [-0.924662, 0.991138, -0.482069, -0.617609],
      ),
    ).toBeLessThan(1.1e-6);
  });

  it('keeps the fused form within its bound', () => {
    const plain = torchRandn({ rng: 'cuda', seed: 3n, count: 50_000 });
    const fused = torchRandn({ rng: 'cuda', seed: 3n, count: 50_000, fma: true });
    expect(worst(fused, [...plain])).toBeLessThan(1.8e-6);
    expect(fused).not.toEqual(plain);
  });

  it('refuses values out of range', () => {
    expect(() => torchRandn({ rng: 'cuda', seed: 2n ** 64n, count: 1 })).toThrow(
      '-2^63 and 2^64 - 1: 18446744073709551616',
    );
    expect(() => torchRandn({ rng: 'cpu', seed: -(2n ** 63n) - 1n, count: 1 })).toThrow('seed');
    expect(() => torchRandn({ rng: 'cuda', seed: 1n, count: 1.5 })).toThrow('whole number up to 2^31: 1.5');
    expect(() => torchRandn({ rng: 'cpu', seed: 1n, count: -1 })).toThrow('whole number up to 2^31: -1');
    expect(() => torchRandn({ rng: 'cuda', seed: 1n, count: 1, offset: 2n })).toThrow(
      'multiple of 4 below 2^64: 2',
    );
    expect(() => torchRandn({ rng: 'cuda', seed: 1n, count: 1, maxThreads: 255 })).toThrow(
      'at least 256 threads: 255',
    );
  });
});

describe('torch randn on the CPU', () => {
  it('has the published words of MT19937', () => {
    const words = (seed: number, count: number): number[] => {
      const engine = mt19937(seed);
      return Array.from({ length: count }, () => engine.next());
    };
    expect(words(5489, 3)).toEqual([3499211612, 581869302, 3890346734]);
    expect(words(5489, 10_000).at(-1)).toBe(4123659995); // the C++ standard's check value
    expect(words(0, 4)).toEqual([2357136044, 2546248239, 3071714933, 3626093760]);
  });

  it('gives the values that PyTorch prints', () => {
    const check = (seed: bigint, count: number, expected: number[]): void =>
      expect(worst(torchRandn({ rng: 'cpu', seed, count }), expected)).toBeLessThan(5.1e-5);
    check(0n, 6, [1.541, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986]);
    check(0n, 16, [
      ...[-1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.692, -0.316, -2.1152],
      ...[0.3223, -1.2633, 0.35, 0.3081, 0.1198, 1.2377, 1.1168, -0.2473],
    ]);
    check(0n, 20, [
      ...[-1.1258, -1.1524, -0.2506, -0.4339, 0.5988, -1.5551, -0.3414, 1.853, 0.4681, -0.1577],
      ...[1.4437, 0.266, 1.3894, 1.5863, 0.9463, -0.8437, 0.9318, 1.259, 2.005, 0.0537],
    ]);
    check(42n, 8, [0.3367, 0.1288, 0.2345, 0.2303, -1.1229, -0.1863, 2.2082, -0.638]);
    expect(worst(cpuGenerator(0n).rand(4), [0.4963, 0.7682, 0.0885, 0.132])).toBeLessThan(5.1e-5);
  });

  it('looks at the low half of the seed only', () => {
    const five = torchRandn({ rng: 'cpu', seed: 5n, count: 40 });
    expect(torchRandn({ rng: 'cpu', seed: 2n ** 32n + 5n, count: 40 })).toEqual(five);
    expect(torchRandn({ rng: 'cpu', seed: -1n, count: 3 })).toEqual(
      torchRandn({ rng: 'cpu', seed: 0xffffffffn, count: 3 }),
    );
  });
});

describe('seeds', () => {
  it('takes negative ones modulo 2^64', () => {
    expect(seedBits(-1n)).toBe(2n ** 64n - 1n);
    expect(seedBits(-(2n ** 63n))).toBe(2n ** 63n);
    expect(seedBits(2n ** 64n - 1n)).toBe(2n ** 64n - 1n);
  });

  it('leaves the generator unseeded for none and for 0, as the reference does', () => {
    expect(referenceSeed(null)).toBe(67280421310721n);
    expect(referenceSeed(0n)).toBe(67280421310721n);
    expect(referenceSeed(-3n)).toBe(-3n);
  });
});
