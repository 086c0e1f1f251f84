/** Reference of mulRows. */
import type { Reference } from './reference';

export const mulRowsReference: Reference = {
  compute(node, [x, g]) {
    const columns = node.inputs[1]!.width;
    const sample = x!.length / node.inputs[1]!.dim(0);
    const width = node.inputs[0]!.width;
    return [x!.map((value, i) => value * g![Math.floor(i / sample) * columns + ((i % width) % columns)]!)];
  },
};
