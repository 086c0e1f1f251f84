/** Comparing tensors: largest error relative to the largest value, relative L2, and a message with the worst place. */
import { expect } from 'vitest';

export interface Difference {
  /** Largest absolute difference over largest absolute expected value (absolute when everything expected is 0). */
  readonly error: number;
  /** |a - b| / |b| in the Euclidean norm. */
  readonly relativeL2: number;
  readonly worstIndex: number;
  readonly actual: number;
  readonly expected: number;
}

export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) {
    throw new Error(`compare: ${actual.length} values against ${expected.length}`);
  }
  let worst = -1;
  let worstIndex = 0;
  let largest = 0;
  let squares = 0;
  let total = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!;
    const b = expected[i]!;
    const d = Number.isFinite(a) ? Math.abs(a - b) : Infinity;
    if (d > worst) {
      worst = d;
      worstIndex = i;
    }
    largest = Math.max(largest, Math.abs(b));
    squares += d * d;
    total += b * b;
  }
  return {
    error: worst <= 0 ? 0 : worst / (largest || 1),
    relativeL2: Math.sqrt(squares) / (Math.sqrt(total) || 1),
    worstIndex,
    actual: actual[worstIndex] ?? 0,
    expected: expected[worstIndex] ?? 0,
  };
}

/** Fails with the worst place unless the largest error over the largest value is at most `tolerance`. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): Difference {
  const d = difference(actual, expected);
  expect(
    d.error,
    `${what}: worst at ${d.worstIndex}: ${d.actual} against ${d.expected}, error ${d.error.toExponential(2)} > ${tolerance}`,
  ).toBeLessThanOrEqual(tolerance);
  return d;
}

/** Fails unless the relative L2 difference is at most `tolerance`. */
export function expectCloseL2(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): Difference {
  const d = difference(actual, expected);
  expect(
    d.relativeL2,
    `${what}: relative L2 ${d.relativeL2.toExponential(2)} > ${tolerance}, worst at ${d.worstIndex}: ${d.actual} against ${d.expected}`,
  ).toBeLessThanOrEqual(tolerance);
  return d;
}

/** Normal numbers from a seed, the same everywhere (xorshift and Box-Muller). */
export function normals(count: number, seed: number): Float32Array {
  let s = (seed * 2654435761 + 88675123) >>> 0 || 1;
  const uniform = (): number => {
    s ^= s << 13;
    s >>>= 0;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return (s + 0.5) / 4294967296;
  };
  for (let i = 0; i < 8; i++) uniform();
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}
