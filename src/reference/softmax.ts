/** References of softmax and softmaxBackward. */
import type { Reference, Values } from './reference';

/** Calls `visit` with the start of each row. */
function eachRow(values: Values, width: number, visit: (start: number) => void): void {
  for (let start = 0; start < values.length; start += width) visit(start);
}

/** Softmax of each row of `width` values. */
export function softmaxRows(x: Values, width: number): Values {
  const y = new Float64Array(x.length);
  eachRow(x, width, (start) => {
    const row = x.subarray(start, start + width);
    const high = row.reduce((max, value) => Math.max(max, value), -Infinity);
    const powers = row.map((value) => Math.exp(value - high));
    const sum = powers.reduce((total, value) => total + value, 0);
    y.set(
      powers.map((value) => value / sum),
      start,
    );
  });
  return y;
}

export const softmaxReference: Reference<null> = {
  compute: (node, [x]) => [softmaxRows(x!, node.inputs[0]!.width)],
};

export const softmaxBackwardReference: Reference<null> = {
  compute(node, [dy, y]) {
    const width = node.outputs[0]!.width;
    const dx = new Float64Array(y!.length);
    eachRow(y!, width, (start) => {
      let dot = 0;
      for (let i = start; i < start + width; i++) dot += dy![i]! * y![i]!;
      for (let i = start; i < start + width; i++) dx[i] = y![i]! * (dy![i]! - dot);
    });
    return [dx];
  },
};
