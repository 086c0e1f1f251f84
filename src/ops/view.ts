/**
 * Views and placement: reshape and sliceRows cost nothing (their result uses the input's storage); concatRows and assign
 * cost nothing where the planner can have their inputs produced in place, and a copy otherwise.
 */
import { copyShader } from '../../shaders/view.wgsl';
import { ShapeError } from '../core/errors';
import { elementCount, sameShape, shapeText, type Shape } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, grid } from './kernel';

const free = { macs: 0, bytes: 0 };

/** Copies input `index` to `offset` elements into `target`. */
function copyInto<A>(ctx: LowerContext<A>, source: Tensor, target: Tensor, offset: number): void {
  const wide = canVector(ctx, source.elements, [source, target]) && offset % 4 === 0;
  const count = wide ? source.elements / 4 : source.elements;
  emit(ctx, {
    shader: 'copy',
    variant: { wide },
    text: (header) => copyShader({ wide }, header),
    operands: [
      { name: 'x', tensor: source, access: 'read', vector: wide ? 4 : 1 },
      { name: 'y', tensor: target, access: 'write', vector: wide ? 4 : 1 },
    ],
    uniforms: { count, start: wide ? offset / 4 : offset },
    workgroups: grid(Math.ceil(count / 64), ctx.profile),
  });
}

export interface ReshapeAttrs {
  readonly shape: Shape;
}

export const reshapeOp: OpDef<ReshapeAttrs> = {
  name: 'reshape',
  infer([x], { shape }) {
    if (elementCount(shape) !== x!.elements) {
      throw new ShapeError(
        `reshape: the number of elements stays: ${shapeText(x!.shape)} to ${shapeText(shape)}`,
      );
    }
    const { scale } = x!;
    if (scale && !(scale.elements === x!.shape[0] && scale.elements === shape[0])) {
      throw new ShapeError(
        `reshape: int8 weights keep the first axis as their output channels: ${x!.describe()} with ${scale.elements} channels to ${shapeText(shape)}`,
      );
    }
    return [{ shape, dtype: x!.dtype, scale }];
  },
  vjp: ({ graph, inputs, grads }) => [grads[0] ? reshape(graph, grads[0], inputs[0]!.shape) : null],
  alias: () => [{ output: 0, input: 0, offset: 0 }],
  lower() {},
  cost: () => free,
};

/** The same elements under another shape. Of a quantised weight the first axis stays: its output channels. */
export function reshape(graph: Graph, x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : graph.append(reshapeOp, [x], { shape })[0]!;
}

export interface SliceAttrs {
  /** First and one past the last index of the first axis. */
  readonly start: number;
  readonly end: number;
}

export const sliceRowsOp: OpDef<SliceAttrs> = {
  name: 'sliceRows',
  infer([x], { start, end }) {
    if (x!.rank < 1 || start < 0 || end > x!.dim(0) || start >= end) {
      throw new ShapeError(`sliceRows: 0 <= start < end <= rows: ${start} to ${end} of ${x!.describe()}`);
    }
    return [{ shape: [end - start, ...x!.shape.slice(1)], dtype: x!.dtype }];
  },
  vjp({ graph, inputs, grads, attrs }) {
    const g = grads[0];
    return [g ? padRows(graph, g, attrs.start, inputs[0]!.dim(0)) : null];
  },
  alias: (node) => [
    { output: 0, input: 0, offset: (node.attrs.start * node.inputs[0]!.elements) / node.inputs[0]!.dim(0) },
  ],
  lower() {},
  cost: () => free,
};

/** Rows [start, end) of the first axis, as a view. */
export function sliceRows(graph: Graph, x: Tensor, start: number, end: number): Tensor {
  return start === 0 && end === x.shape[0] ? x : graph.append(sliceRowsOp, [x], { start, end })[0]!;
}

/** Gradient of a slice: zero rows around it. */
function padRows(graph: Graph, x: Tensor, before: number, rows: number): Tensor {
  const rest = x.shape.slice(1);
  const zeros = (count: number): Tensor[] =>
    count > 0 ? [graph.constant(new Float32Array(count * elementCount(rest)), [count, ...rest])] : [];
  return concatRows(graph, [...zeros(before), x, ...zeros(rows - before - x.dim(0))]);
}

export const concatRowsOp: OpDef<null> = {
  name: 'concatRows',
  infer(inputs) {
    const first = inputs[0];
    if (!first) throw new ShapeError('concatRows: at least one tensor: none given');
    for (const input of inputs) {
      if (!sameShape(input.shape.slice(1), first.shape.slice(1)) || input.dtype !== first.dtype) {
        throw new ShapeError(
          `concatRows: all axes but the first and the dtype agree: ${inputs.map((t) => t.describe()).join(', ')}`,
        );
      }
    }
    const rows = inputs.reduce((sum, input) => sum + input.dim(0), 0);
    return [{ shape: [rows, ...first.shape.slice(1)], dtype: first.dtype }];
  },
  vjp({ graph, inputs, grads }) {
    let start = 0;
    return inputs.map((input) => {
      const end = start + input.dim(0);
      const part = grads[0] ? sliceRows(graph, grads[0], start, end) : null;
      start = end;
      return part;
    });
  },
  placement(node) {
    let offset = 0;
    return node.inputs.map((input, index) => {
      const rule = { input: index, output: 0, offset };
      offset += input.elements;
      return rule;
    });
  },
  lower(ctx) {
    let offset = 0;
    ctx.inputs.forEach((input, index) => {
      if (!ctx.isPlaced(index)) copyInto(ctx, input, ctx.outputs[0]!, offset);
      offset += input.elements;
    });
  },
  cost: touchedCost,
};

function touchedCost(node: Parameters<typeof touchedBytes>[0]): { macs: number; bytes: number } {
  return { macs: 0, bytes: touchedBytes(node) };
}

/** Tensors one after another along the first axis. */
export function concatRows(graph: Graph, parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : graph.append(concatRowsOp, parts, null)[0]!;
}

export const assignOp: OpDef<null> = {
  name: 'assign',
  effect: true,
  infer([state, x]) {
    if (state!.node.kind !== 'state' || state!.elements !== x!.elements || state!.dtype !== x!.dtype) {
      throw new ShapeError(
        `assign: a state tensor takes a value of its size and dtype: ${state!.describe()}, ${x!.describe()}`,
      );
    }
    return [{ shape: state!.shape, dtype: state!.dtype }];
  },
  vjp: null,
  alias: () => [{ output: 0, input: 0, offset: 0 }],
  placement: () => [{ input: 1, output: 0, offset: 0 }],
  lower(ctx) {
    if (!ctx.isPlaced(1)) copyInto(ctx, ctx.inputs[1]!, ctx.outputs[0]!, 0);
  },
  cost: touchedCost,
};

/** state = x, an effect. */
export function assign(graph: Graph, state: Tensor, x: Tensor): void {
  graph.append(assignOp, [state, x], null);
}
