/** Reference of permute. */
import type { Reference } from './reference';

export const permuteReference: Reference<{ readonly to: 'nhwc' | 'nchw' }> = {
  compute(node, [x]) {
    const [batch, i, j, k] = node.inputs[0]!.shape as readonly [number, number, number, number];
    const [p, q] = node.attrs.to === 'nhwc' ? [i, j * k] : [i * j, k];
    const y = new Float64Array(x!.length);
    for (let b = 0; b < batch; b++) {
      for (let row = 0; row < p; row++) {
        for (let column = 0; column < q; column++) {
          y[(b * q + column) * p + row] = x![(b * p + row) * q + column]!;
        }
      }
    }
    return [y];
  },
};
