/** columnSum: sums over the rows of each group, optionally of a product; repeatRows: its transpose. */
import { columnsPerWorkgroup, columnSumShader, repeatRowsShader } from '../../shaders/columnSum.wgsl';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, f32, grid, type Operand } from './kernel';

export interface ColumnSumAttrs {
  readonly groups: number;
  readonly columns: number;
  readonly scale: number;
}

export const columnSumOp: OpDef<ColumnSumAttrs> = {
  name: 'columnSum',
  infer([x, times], { groups, columns }) {
    if (x!.elements % (groups * columns) !== 0 || (times && times.elements !== x!.elements)) {
      throw new ShapeError(
        `columnSum: x is [${groups} groups, rows, ${columns} columns]${times ? ' and so is times' : ''}: ${x!.describe()}${times ? `, ${times.describe()}` : ''}`,
      );
    }
    return [{ shape: [groups, columns], dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, attrs, needs }) {
    if (!grads[0]) return [null, null];
    if (inputs.length > 1) throw new ShapeError('columnSum: the sum of a product is not differentiated');
    const rows = inputs[0]!.elements / (attrs.groups * attrs.columns);
    return [needs[0] ? repeatRows(graph, grads[0], rows, attrs.scale) : null];
  },
  lower(ctx) {
    const [x, times] = ctx.inputs;
    const { groups, columns, scale } = ctx.attrs;
    const y = ctx.outputs[0]!;
    const wide = canVector(ctx, columns, [x, times, y]);
    const vector = wide ? 4 : 1;
    const operands: Operand[] = [
      { name: 'x', tensor: x!, access: 'read', vector },
      { name: 'y', tensor: y, access: 'write', vector },
    ];
    if (times) operands.push({ name: 'times', tensor: times, access: 'read', vector });
    const variant = { wide, times: times !== undefined };
    emit(ctx, {
      shader: 'columnSum',
      variant,
      text: (header) => columnSumShader(variant, header),
      operands,
      uniforms: { rows: x!.elements / (groups * columns), columns, scale: f32(scale) },
      workgroups: [Math.ceil(columns / columnsPerWorkgroup), groups, 1],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface RepeatRowsAttrs {
  readonly rows: number;
  readonly scale: number;
}

export const repeatRowsOp: OpDef<RepeatRowsAttrs> = {
  name: 'repeatRows',
  infer([x], { rows }) {
    if (x!.rank !== 2) throw new ShapeError(`repeatRows: x is [groups, columns]: ${x!.describe()}`);
    return [{ shape: [x!.dim(0), rows, x!.dim(1)], dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, attrs }) {
    const x = inputs[0]!;
    return [
      grads[0]
        ? columnSum(graph, grads[0], { groups: x.dim(0), columns: x.dim(1), scale: attrs.scale })
        : null,
    ];
  },
  lower(ctx) {
    const x = ctx.inputs[0]!;
    const y = ctx.outputs[0]!;
    const wide = canVector(ctx, x.width, [x, y]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'repeatRows',
      variant: { wide },
      text: (header) => repeatRowsShader({ wide }, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector },
        { name: 'y', tensor: y, access: 'write', vector },
      ],
      uniforms: { count: y.elements, rows: ctx.attrs.rows, columns: x.width, scale: f32(ctx.attrs.scale) },
      workgroups: grid(Math.ceil(y.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface ColumnSumOptions {
  readonly columns: number;
  readonly groups?: number;
  readonly scale?: number;
  /** Of x's size: the sum is of x times this. */
  readonly times?: Tensor;
}

/** x as [groups, rows, columns] summed over rows: [groups, columns]. */
export function columnSum(graph: Graph, x: Tensor, options: ColumnSumOptions): Tensor {
  const { columns, groups = 1, scale = 1, times } = options;
  return graph.append(columnSumOp, times ? [x, times] : [x], { groups, columns, scale })[0]!;
}

/** Mean over the tokens of each sample: [B, T, D] to [B, D]. */
export function meanTokens(graph: Graph, x: Tensor): Tensor {
  return columnSum(graph, x, { groups: x.dim(0), columns: x.width, scale: 1 / x.dim(-2) });
}

/** Each row of [G, C] repeated `rows` times: [G, rows, C]. */
export function repeatRows(graph: Graph, x: Tensor, rows: number, scale = 1): Tensor {
  return graph.append(repeatRowsOp, [x], { rows, scale })[0]!;
}
