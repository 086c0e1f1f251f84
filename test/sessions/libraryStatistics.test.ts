/** Statistics of tensors, against sums over the same values. */
import { describe, expect, test } from 'vitest';
import { floatsToBfloats, floatsToHalves } from '../../src/core/float16';
import type { FileDType } from '../../src/core/dtype';
import { encodeSafetensors } from '../../src/formats/safetensors/writer';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { tensorStatistics } from '../../src/sessions/libraryStatistics';
import { memorySource } from '../../src/sources/memory';

async function statistics(dtype: FileDType, data: ArrayBufferView, count: number) {
  const file = await readSafetensors(
    memorySource('t', encodeSafetensors([{ name: 'x', dtype, shape: [count], data }])),
  );
  return tensorStatistics(file.source, file.tensors.get('x')!);
}

/** Sums in f64, values one by one. */
function expected(values: readonly number[]): object {
  const finite = values.filter(Number.isFinite);
  const [min, max] = [Math.min(...finite), Math.max(...finite)];
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const histogram = new Array<number>(64).fill(0);
  for (const value of finite) {
    histogram[max === min ? 0 : Math.min(63, Math.floor((value - min) * (64 / (max - min))))]! += 1;
  }
  const squares = finite.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    ...{ count: values.length, min, max, mean: expect.closeTo(mean, 12) as number },
    deviation: expect.closeTo(Math.sqrt(squares / finite.length), 12) as number,
    zeros: finite.filter((value) => value === 0).length,
    ...{ notFinite: values.length - finite.length, histogram },
  };
}

describe('tensorStatistics', () => {
  const wave = Float32Array.from({ length: 3000 }, (_, i) =>
    i % 10 === 0 ? 0 : Math.sin(i) * (1 + i / 1000),
  );

  test.each<[FileDType, (floats: Float32Array) => ArrayBufferView]>([
    ['F32', (floats) => floats],
    ['F64', (floats) => Float64Array.from(floats)],
    ['F16', floatsToHalves],
    ['BF16', floatsToBfloats],
  ])('%s', async (dtype, encode) => {
    // powers of two and their sums are exact in every type
    const exact = wave.map((value) => Math.round(value * 8) / 8);
    expect(await statistics(dtype, encode(exact), exact.length)).toEqual(expected([...exact]));
  });

  test('more values than are read at a time', async () => {
    const values = Float32Array.from({ length: 2 ** 19 + 12345 }, (_, i) => Math.sin(i) + i / 2 ** 19);
    const { mean, deviation, count } = await statistics('F32', values, values.length);
    const sum = values.reduce((total, value) => total + value, 0);
    const own = sum / values.length;
    expect(count).toBe(values.length);
    expect(Math.abs(mean - own)).toBeLessThan(1e-12);
    const squares = values.reduce((total, value) => total + (value - own) ** 2, 0);
    expect(Math.abs(deviation - Math.sqrt(squares / values.length))).toBeLessThan(1e-12);
  });

  test.each<[FileDType, ArrayBufferView, number[]]>([
    ['BOOL', Uint8Array.of(0, 1, 1, 0, 1), [0, 1, 1, 0, 1]],
    ['U8', Uint8Array.of(0, 255, 7), [0, 255, 7]],
    ['I8', Int8Array.of(-128, 127, 0), [-128, 127, 0]],
    ['I64', BigInt64Array.of(-5n, 1n << 40n, 0n), [-5, 2 ** 40, 0]],
    ['F32', Float32Array.of(3, 3, 3), [3, 3, 3]],
    ['F32', Float32Array.of(NaN, Infinity, -1, -Infinity, 2, -0), [NaN, Infinity, -1, -Infinity, 2, -0]],
  ])('a few values of %s', async (dtype, data, values) => {
    expect(await statistics(dtype, data, values.length)).toEqual(expected(values));
  });

  test('nothing finite, nothing at all, complex numbers', async () => {
    const none = { min: NaN, max: NaN, mean: NaN, deviation: NaN, zeros: 0 };
    expect(await statistics('F32', Float32Array.of(NaN), 1)).toMatchObject({
      ...none,
      count: 1,
      notFinite: 1,
    });
    expect(await statistics('F32', new Float32Array(0), 0)).toMatchObject({
      ...none,
      count: 0,
      notFinite: 0,
    });
    await expect(statistics('C64', Float32Array.of(1, 2), 1)).rejects.toThrow('must hold real numbers');
  });
});
