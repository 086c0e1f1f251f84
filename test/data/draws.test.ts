/** The draws of a training run: the scheme itself, held by numbers, and that its numbers are random. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../src/core/errors';
import { createDraws, type DrawPlace, type Draws } from '../../src/data/draws';
import { philoxWords } from '../../src/random/philox';

const normals = (draws: Draws, place: DrawPlace, count: number): Float32Array => {
  const out = new Float32Array(count);
  draws.normals(place, out);
  return out;
};
const uniforms = (draws: Draws, place: DrawPlace, count: number): Float32Array => {
  const out = new Float32Array(count);
  draws.uniforms(place, out);
  return out;
};

const mean = (values: ArrayLike<number>, of = (value: number): number => value): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += of(values[i]!);
  return sum / values.length;
};
const correlation = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
};

/** Where most tests draw. */
const place: DrawPlace = { purpose: 'noise', step: 17, sample: 5 };

describe('the scheme', () => {
  test('words are those of Philox under the seed at (call, sample, step, purpose + 256 stream)', () => {
    const seed = 0x0123456789abcdefn;
    const key = [0x89abcdef, 0x01234567] as const;
    for (const [purpose, code] of Object.entries({
      level: 1,
      noise: 2,
      mask: 3,
      drop: 4,
      order: 5,
      split: 6,
    })) {
      for (const [stream, add] of Object.entries({ train: 0, evaluate: 256 })) {
        const at = { purpose, step: 17, sample: 5 } as DrawPlace;
        const drawn = uniforms(createDraws(seed, stream as 'train'), at, 8);
        const words = [0, 1].flatMap((call) => [...philoxWords([call, 5, 17, code + add], key)]);
        expect([...drawn]).toEqual(words.map((word) => (word >>> 8) / 2 ** 24));
      }
    }
  });

  test('normals are Box and Muller of pairs of words', () => {
    const drawn = normals(createDraws(99n), place, 40_000);
    let worst = 0;
    for (let call = 0; call < 10_000; call++) {
      const words = philoxWords([call, place.sample, place.step, 2], [99, 0]);
      for (const pair of [0, 2]) {
        const radius = Math.sqrt(-2 * Math.log((words[pair]! + 0.5) / 2 ** 32));
        const angle = 2 * Math.PI * ((words[pair + 1]! + 0.5) / 2 ** 32 - 1 / 8);
        const at = 4 * call + pair;
        worst = Math.max(worst, Math.abs(drawn[at]! - Math.fround(radius * Math.cos(angle))));
        worst = Math.max(worst, Math.abs(drawn[at + 1]! - Math.fround(radius * Math.sin(angle))));
      }
    }
    expect(worst).toBeLessThan(2.5e-7); // half a unit in the last place of values from 2 to 4: the rounding to f32
  });

  // Recorded from this scheme when it was made. They must never change: saved runs go on with these numbers.
  test('golden numbers', () => {
    const draws = createDraws(18n);
    const noise: DrawPlace = { purpose: 'noise', step: 3, sample: 1 };
    const mask: DrawPlace = { purpose: 'mask', step: 249_999, sample: 2047 };
    expect([...normals(draws, noise, 6)]).toEqual([
      0.897027313709259, 0.623471200466156, 0.5977379083633423, 1.0169315338134766, 0.6596754193305969,
      -0.9159805774688721,
    ]);
    expect([...normals(draws, { purpose: 'level', step: 0, sample: 0 }, 1)]).toEqual([1.019260287284851]);
    expect([...uniforms(draws, mask, 4)]).toEqual([
      0.5866973400115967, 0.7680972814559937, 0.22062832117080688, 0.6333265900611877,
    ]);
    expect([...uniforms(draws, { ...noise, purpose: 'drop' }, 1)]).toEqual([0.808215320110321]);
    expect([...draws.order(0, 12)]).toEqual([0, 10, 3, 5, 11, 9, 7, 4, 8, 1, 6, 2]);
    expect([...draws.order(1, 12)]).toEqual([7, 1, 3, 0, 9, 6, 11, 4, 8, 5, 10, 2]);
    const evaluation = createDraws(18n, 'evaluate');
    expect([...normals(evaluation, noise, 2)]).toEqual([-0.050058040767908096, 0.7565407156944275]);
    expect([...normals(createDraws(-1n), noise, 2)]).toEqual([0.6036292910575867, -0.31401821970939636]);
  });

  test('golden digests of long lists', () => {
    const digest = (values: Float32Array | Uint32Array): string =>
      createHash('sha256')
        .update(new Uint8Array(values.buffer as ArrayBuffer))
        .digest('hex');
    const draws = createDraws(18n);
    const at = { step: 3, sample: 1 };
    expect(digest(normals(draws, { ...at, purpose: 'noise' }, 65_536))).toBe(
      '6cb2a4047038b8107deed74935ba0ec96ff02d75a7618b539b5745574d95ce61',
    );
    expect(digest(uniforms(draws, { ...at, purpose: 'mask' }, 65_536))).toBe(
      'e08b75db9d9ea0e8a97670914f7342bb075f6041e238d2eaeedb08da8fd7ed73',
    );
    expect(digest(draws.order(3, 65_536))).toBe(
      '1c041071fedda094f335860a730b5239f310aceaa0ee82b200577981852bd47b',
    );
  });

  test('a shorter list is the beginning of a longer one, and drawing changes nothing', () => {
    const draws = createDraws(7n);
    const long = normals(draws, place, 1001);
    const longUniforms = uniforms(draws, place, 1001);
    for (const count of [0, 1, 2, 3, 4, 5, 64, 999]) {
      expect(normals(draws, place, count)).toEqual(long.subarray(0, count));
      expect(uniforms(draws, place, count)).toEqual(longUniforms.subarray(0, count));
    }
    expect(normals(createDraws(7n), place, 1001)).toEqual(long);
  });

  test('places and seeds out of range are refused', () => {
    expect(() => createDraws(2n ** 64n)).toThrow(InputError);
    const draws = createDraws(0n);
    expect(() => normals(draws, { ...place, step: -1 }, 1)).toThrow(
      'draws: step: a whole number from 0 to 2^32 - 1: -1',
    );
    expect(() => uniforms(draws, { ...place, sample: 0.5 }, 1)).toThrow('draws: sample: a whole number');
    expect(() => draws.order(2 ** 32, 4)).toThrow('draws: step: a whole number');
    expect(() => draws.order(0, NaN)).toThrow('draws: samples: a whole number');
  });
});

// Bounds are five standard errors of the estimate, the draws are fixed: a test fails by a change, never by chance.
describe('statistics', () => {
  const count = 400_000;

  test('normals have the moments and the tails of a standard normal', () => {
    const values = normals(createDraws(1n), place, count);
    const error = (variance: number): number => 5 * Math.sqrt(variance / count);
    expect(Math.abs(mean(values))).toBeLessThan(error(1));
    expect(Math.abs(mean(values, (x) => x ** 2) - 1)).toBeLessThan(error(2));
    expect(Math.abs(mean(values, (x) => x ** 3))).toBeLessThan(error(15));
    expect(Math.abs(mean(values, (x) => x ** 4) - 3)).toBeLessThan(error(96));
    for (const [above, share] of [
      [0, 0.5],
      [1, 0.158655],
      [2, 0.02275],
      [3, 0.00135],
    ] as const) {
      const found = mean(values, (x) => (x > above ? 1 : 0));
      expect(Math.abs(found - share)).toBeLessThan(error(share * (1 - share)));
    }
  });

  test('uniforms fill [0, 1) evenly', () => {
    const values = uniforms(createDraws(1n), { ...place, purpose: 'mask' }, count);
    expect(Math.abs(mean(values) - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    const bins = new Array<number>(64).fill(0);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    for (const value of values) bins[Math.floor(value * 64)]!++;
    const expected = count / 64;
    const chiSquare = bins.reduce((sum, found) => sum + (found - expected) ** 2 / expected, 0);
    expect(Math.abs(chiSquare - 63)).toBeLessThan(5 * Math.sqrt(2 * 63));
  });

  test('neighbouring seeds, streams, purposes, steps, samples and elements are independent', () => {
    const list = 100_000;
    const base = normals(createDraws(1n), place, list);
    const others: Record<string, Float32Array> = {
      seed: normals(createDraws(2n), place, list),
      'high word of the seed': normals(createDraws(1n + 2n ** 32n), place, list),
      stream: normals(createDraws(1n, 'evaluate'), place, list),
      purpose: normals(createDraws(1n), { ...place, purpose: 'level' }, list),
      step: normals(createDraws(1n), { ...place, step: 18 }, list),
      sample: normals(createDraws(1n), { ...place, sample: 6 }, list),
      'step and sample exchanged': normals(createDraws(1n), { ...place, step: 5, sample: 17 }, list),
    };
    for (const shift of [1, 2, 3, 4]) others[`element ${shift}`] = base.slice(shift);
    for (const [name, other] of Object.entries(others)) {
      expect(Math.abs(correlation(base.subarray(0, other.length), other)), name).toBeLessThan(
        5 / Math.sqrt(list),
      );
      // The sizes too: Box and Muller's pairs share a radius.
      const squares = other.map((x) => x * x);
      const own = base.subarray(0, other.length).map((x) => x * x);
      expect(Math.abs(correlation(own, squares)), `${name}, squares`).toBeLessThan(5 / Math.sqrt(list));
    }
  });

  test('the first elements of samples and of steps are independent too', () => {
    const draws = createDraws(3n);
    const first = (of: (i: number) => DrawPlace): Float32Array =>
      Float32Array.from({ length: 40_000 }, (_, i) => normals(draws, of(i), 1)[0]!);
    for (const values of [
      first((i) => ({ purpose: 'level', step: i, sample: 0 })),
      first((i) => ({ purpose: 'level', step: 0, sample: i })),
    ]) {
      expect(Math.abs(mean(values))).toBeLessThan(5 / Math.sqrt(values.length));
      expect(Math.abs(mean(values, (x) => x * x) - 1)).toBeLessThan(5 * Math.sqrt(2 / values.length));
      expect(Math.abs(correlation(values.subarray(1), values.subarray(0, -1)))).toBeLessThan(
        5 / Math.sqrt(values.length),
      );
    }
  });
});

describe('orders', () => {
  test('hold every number once and differ between epochs and seeds', () => {
    const draws = createDraws(5n);
    const order = draws.order(0, 1000);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(draws.order(0, 1000)).toEqual(order);
    const fixed = (other: Uint32Array): number => order.filter((id, at) => other[at] === id).length;
    expect(fixed(draws.order(1, 1000))).toBeLessThan(8); // one on average
    expect(fixed(createDraws(6n).order(0, 1000))).toBeLessThan(8);
    expect([...draws.order(0, 0)]).toEqual([]);
    expect([...draws.order(0, 1)]).toEqual([0]);
  });

  test('every order of four is equally likely', () => {
    const draws = createDraws(5n);
    const epochs = 24_000;
    const found = new Map<string, number>();
    for (let epoch = 0; epoch < epochs; epoch++) {
      const key = draws.order(epoch, 4).join('');
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    expect(found.size).toBe(24);
    const chiSquare = [...found.values()].reduce((sum, n) => sum + (n - epochs / 24) ** 2 / (epochs / 24), 0);
    expect(Math.abs(chiSquare - 23)).toBeLessThan(5 * Math.sqrt(2 * 23));
  });
});
