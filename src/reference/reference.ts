/**
 * What a reference implementation of an op is: plain loops in float64, forward only (backward ops are ops of their own
 * and have their own reference). Values are Float64Array whatever the dtype; u32 and i32 are whole numbers.
 */
import type { GraphNode } from '../graph/op';

export type Values = Float64Array;

export interface Reference<A = unknown> {
  /** One array per output, from one array per input. For in-place outputs: the new content of the whole input. */
  compute(node: GraphNode<A>, inputs: readonly Values[]): Values[];
}

/** erf to double precision: series for small arguments, continued fraction for large ones. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 200; n++) {
      term *= (-a * a) / n;
      const add = term / (2 * n + 1);
      sum += add;
      if (Math.abs(add) < 1e-18 * Math.abs(sum)) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  // erfc(a) = exp(-a^2) / sqrt(pi) * 1 / (a + (1/2) / (a + (2/2) / (a + (3/2) / (a + ...))))
  let fraction = a;
  for (let n = 100; n >= 1; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction);
}

/** Mean and 1 / sqrt(biased variance + eps) of `width` values from `start`. */
export function rowStats(x: Values, start: number, width: number, eps: number): [mean: number, rstd: number] {
  let mean = 0;
  for (let c = 0; c < width; c++) mean += x[start + c]! / width;
  let variance = 0;
  for (let c = 0; c < width; c++) variance += (x[start + c]! - mean) ** 2 / width;
  return [mean, 1 / Math.sqrt(variance + eps)];
}
