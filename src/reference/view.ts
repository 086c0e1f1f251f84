/** References of reshape, sliceRows, concatRows, assign. */

import type { Reference } from './reference';

interface SliceAttrs {
  readonly start: number;
  readonly end: number;
}

export const reshapeReference: Reference = { compute: (_node, [x]) => [x!] };

export const sliceRowsReference: Reference<SliceAttrs> = {
  compute(node, [x]) {
    const row = x!.length / node.inputs[0]!.dim(0);
    return [x!.slice(node.attrs.start * row, node.attrs.end * row)];
  },
};

export const concatRowsReference: Reference = {
  compute(node, inputs) {
    const out = new Float64Array(node.outputs[0]!.elements);
    let offset = 0;
    for (const input of inputs) {
      out.set(input, offset);
      offset += input.length;
    }
    return [out];
  },
};

export const assignReference: Reference = { compute: (_node, inputs) => [inputs[1]!.slice()] };
