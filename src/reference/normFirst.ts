/** Reference of normFirst. */
import { rowStats, type Reference } from './reference';

export const normFirstReference: Reference<{ readonly eps: number; readonly count: number }> = {
  compute(node, [x, weight, vector]) {
    const width = node.inputs[0]!.width;
    const split = node.outputs[0]!.elements;
    const stats = new Float64Array(node.outputs[2]!.elements);
    for (let row = 0; row < split / width; row++) {
      stats.set(rowStats(x!, row * width, width, node.attrs.eps), row * 2);
    }
    const normed = x!.slice(0, split).map((value, i) => {
      const row = Math.floor(i / width);
      return (value - stats[row * 2]!) * stats[row * 2 + 1]! * weight![i % width]!;
    });
    const shifted = x!.slice(split).map((value, i) => value + vector![i % width]!);
    return [normed, shifted, stats];
  },
};
