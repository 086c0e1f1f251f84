/** When the moving average of the weights is taken. */
import { expect, test } from 'vitest';
import { emaRate, smoothingOfHalfLife } from '../../src/train/ema';

const rates = (ema: Parameters<typeof emaRate>[0], steps: number): number[] =>
  Array.from({ length: steps }, (_, step) => emaRate(ema, step));

test('none without settings', () => expect(rates(null, 3)).toEqual([0, 0, 0]));

test('copied at the end of the batch that brings the count to start, averaged afterwards', () => {
  expect(rates({ smoothing: 0.75, start: 3 }, 5)).toEqual([0, 0, 1, 0.25, 0.25]);
});

test('from 0: copied when the first batch ends', () => {
  expect(rates({ smoothing: 0.75, start: 0 }, 3)).toEqual([1, 0.25, 0.25]);
});

test('averaged at multiples of the interval', () => {
  expect(rates({ smoothing: 0.75, start: 3, every: 2 }, 8)).toEqual([0, 0, 1, 0.25, 0, 0.25, 0, 0.25]);
});

test('half of a value is left after its half-life', () => {
  const smoothing = smoothingOfHalfLife(1000, 10);
  expect(smoothing ** 100).toBeCloseTo(0.5, 12);
});
