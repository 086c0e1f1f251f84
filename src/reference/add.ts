/** References of add and accumulate. */
import type { Reference } from './reference';

interface AddAttrs {
  readonly alpha: number;
  readonly beta: number;
}

export const addReference: Reference<AddAttrs> = {
  compute(node, [a, b]) {
    const { alpha, beta } = node.attrs;
    return [a!.map((value, i) => alpha * value + beta * b![i % b!.length]!)];
  },
};

export const accumulateReference = addReference;
