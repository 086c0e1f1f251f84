/** Weights in 8 bits: rounding, scales, error sums, packing. */
import { describe, expect, test } from 'vitest';
import {
  int8Scale,
  noError,
  packInt8,
  quantizeColumns,
  quantizeRows,
  relativeError,
  unpackInt8,
} from '../../src/core/int8';
import { normals } from '../helpers/compare';

const rows = (values: readonly number[], channels: number) =>
  quantizeRows(Float32Array.from(values), channels, noError());

describe('quantising', () => {
  test('rounds half to even, on both sides of zero', () => {
    // 127 makes the scale 1
    const given = [127, 0.5, 1.5, 2.5, 3.5, 125.5, 126.5, -0.5, -1.5, -2.5, -126.5, 0.50001, 2.4999, -3.49];
    const { values, scales } = rows(given, 1);
    expect([...scales]).toEqual([1]);
    expect([...values]).toEqual([127, 0, 2, 2, 4, 126, 126, 0, -2, -2, -126, 1, 2, -3]);
  });

  test('the largest magnitude of a row is 127 of its scale', () => {
    const given = normals(64 * 50, 1).map((value, i) => value * 10 ** ((Math.floor(i / 64) % 9) - 4));
    const { values, scales } = quantizeRows(given, 50, noError());
    for (let row = 0; row < 50; row++) {
      const own = values.subarray(row * 64, (row + 1) * 64);
      expect(Math.max(...own.map(Math.abs))).toBe(127);
      const largest = Math.max(...given.subarray(row * 64, (row + 1) * 64).map(Math.abs));
      expect(scales[row]).toBe(Math.fround(largest / 127));
    }
  });

  test('integers times a scale are kept exactly', () => {
    for (const scale of [0.1, 3e-5, 7777.7, 1 / 127, 2 ** -100].map(Math.fround)) {
      const integers = Int8Array.from({ length: 255 }, (_, i) => i - 127);
      const given = Float32Array.from(integers, (q) => q * scale);
      const error = noError();
      const { values, scales } = quantizeRows(given, 1, error);
      expect(values).toEqual(integers);
      // the largest value was rounded to f32 once more
      expect(Math.abs(scales[0]! / scale - 1)).toBeLessThanOrEqual(2 ** -23);
      expect(relativeError(error)).toBeLessThan(2 ** -23);
    }
    const exact = rows([127 * 0.25, -3 * 0.25, 0.25, 0], 1);
    expect([...exact.values, ...exact.scales]).toEqual([127, -3, 1, 0, 0.25]);
  });

  test('rows of zeros, and rows too small for a normal scale, are zeros of scale 1', () => {
    const error = noError();
    const tiny = 2 ** -127;
    const { values, scales } = quantizeRows(Float32Array.of(0, -0, tiny, -tiny, 1, 2), 3, error);
    expect([...values]).toEqual([0, 0, 0, 0, 64, 127]);
    expect([...scales]).toEqual([1, 1, Math.fround(2 / 127)]);
    expect(error.largest).toBeGreaterThan(0);
    expect(int8Scale(0)).toBe(1);
    expect(int8Scale(127 * 2 ** -126)).toBe(2 ** -126);
    expect(relativeError(noError())).toBe(0);
  });

  test('columns are rows of the transposed matrix', () => {
    const [height, width] = [37, 11];
    const given = normals(height * width, 3);
    const turned = given.map((_, i) => given[(i % height) * width + Math.floor(i / height)]!);
    const [byRows, byColumns] = [noError(), noError()];
    const a = quantizeRows(turned, width, byRows);
    const b = quantizeColumns(given, width, byColumns);
    expect(b.scales).toEqual(a.scales);
    expect([...b.values]).toEqual([
      ...given.map((_, i) => a.values[(i % width) * height + Math.floor(i / width)]!),
    ]);
    expect(byColumns.largest).toBe(byRows.largest);
    expect(relativeError(byColumns)).toBeCloseTo(relativeError(byRows), 12);
  });

  test('error sums are those of what is read back, over all calls', () => {
    const error = noError();
    let [largest, squares, total] = [0, 0, 0];
    for (const seed of [4, 5]) {
      const given = normals(300, seed);
      const { values, scales } = quantizeRows(given, 3, error);
      given.forEach((w, i) => {
        const e = Math.abs(w - values[i]! * scales[Math.floor(i / 100)]!);
        largest = Math.max(largest, e);
        squares += e * e;
        total += w * w;
        expect(e).toBeLessThanOrEqual(scales[Math.floor(i / 100)]! * (0.5 + 1e-6));
      });
    }
    expect(error.largest).toBe(largest);
    expect(relativeError(error)).toBeCloseTo(Math.sqrt(squares / total), 12);
    // normals of a hundred to a row: between 0.5 and 1 per cent
    expect(relativeError(error)).toBeGreaterThan(0.004);
    expect(relativeError(error)).toBeLessThan(0.01);
  });

  test('values that are not finite show in the sums', () => {
    for (const wrong of [NaN, Infinity, -Infinity]) {
      for (const quantize of [quantizeRows, quantizeColumns]) {
        const error = noError();
        quantize(Float32Array.of(1, 2, wrong, 4), 2, error);
        expect(Number.isFinite(error.squaredWeight)).toBe(false);
      }
    }
    const error = noError();
    quantizeRows(Float32Array.of(3.4e38, -3.4e38), 1, error);
    expect(Number.isFinite(error.squaredWeight)).toBe(true);
  });

  test('matrices that are none are refused', () => {
    expect(() => rows([1, 2, 3], 2)).toThrow('quantizeRows: 2 rows of equal length: 3 values');
    expect(() => quantizeColumns(new Float32Array(3), 2, noError())).toThrow(
      'quantizeColumns: 2 columns of equal length: 3 values',
    );
  });
});

test('four values to a word, the first in the low byte', () => {
  const words = packInt8(Int8Array.of(1, -1, 127, -127, 5));
  expect([...words]).toEqual([0x817fff01, 5]);
  expect([...unpackInt8(words, 5)]).toEqual([1, -1, 127, -127, 5]);
  expect(() => unpackInt8(words, 9)).toThrow('unpackInt8: 9 values asked for, 2 words hold 8');
});
