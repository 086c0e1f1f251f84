/** Reference of gatherRows. */
import type { Reference } from './reference';

export const gatherRowsReference: Reference<null> = {
  compute(node, [x, index]) {
    const [rows, width] = [node.inputs[0]!.dim(0), node.inputs[0]!.width];
    const count = node.outputs[0]!.dim(0);
    const entries = index!.length / count;
    const y = new Float64Array(count * width);
    index!.forEach((row, at) => {
      if (row >= rows) return;
      const target = Math.floor(at / entries) * width;
      for (let c = 0; c < width; c++) y[target + c] = y[target + c]! + x![row * width + c]!;
    });
    return [y];
  },
};
