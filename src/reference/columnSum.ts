/** References of columnSum and repeatRows. */
import type { Reference } from './reference';

export const columnSumReference: Reference<{
  readonly groups: number;
  readonly columns: number;
  readonly scale: number;
}> = {
  compute(node, [x, times]) {
    const { groups, columns, scale } = node.attrs;
    const rows = x!.length / (groups * columns);
    const y = new Float64Array(groups * columns);
    for (let i = 0; i < x!.length; i++) {
      const group = Math.floor(i / (rows * columns));
      const column = i % columns;
      const at = group * columns + column;
      y[at] = y[at]! + x![i]! * (times ? times[i]! : 1);
    }
    return [y.map((value) => value * scale)];
  },
};

export const repeatRowsReference: Reference<{ readonly rows: number; readonly scale: number }> = {
  compute(node, [x]) {
    const { rows, scale } = node.attrs;
    const columns = node.inputs[0]!.width;
    return [
      Float64Array.from(
        { length: x!.length * rows },
        (_, i) => scale * x![Math.floor(i / (rows * columns)) * columns + (i % columns)]!,
      ),
    ];
  },
};
