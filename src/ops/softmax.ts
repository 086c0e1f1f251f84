/** softmax over the last axis, and its backward. Routing uses it, and attention where whole scores are kept. */
import { softmaxBackwardShader, softmaxShader, type SoftmaxVariant } from '../../shaders/softmax.wgsl';
import { ShapeError } from '../core/errors';
import { sameShape } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, grid, type Operand } from './kernel';

/** Threads by the width of a row: a few elements each at least, 256 threads at most. */
function chooseThreads(width: number): Pick<SoftmaxVariant, 'lanes' | 'threads'> {
  if (width <= 64) return { lanes: 8, threads: 64 };
  if (width <= 2048) return { lanes: 64, threads: 64 };
  return { lanes: 256, threads: 256 };
}

function lower(
  ctx: LowerContext<null>,
  shader: string,
  text: (variant: SoftmaxVariant, header: string) => string,
  operands: readonly Operand[],
): void {
  const y = ctx.outputs[0]!;
  const wide = canVector(ctx, y.width, [...ctx.inputs, y]);
  const variant = { wide, ...chooseThreads(y.width) };
  const rowsPerWorkgroup = variant.threads / variant.lanes;
  emit(ctx, {
    shader,
    variant,
    text: (header) => text(variant, header),
    operands: operands.map((operand) => ({ ...operand, vector: wide ? 4 : 1 })),
    uniforms: { rows: y.rows, columns: y.width },
    workgroups: grid(Math.ceil(y.rows / rowsPerWorkgroup), ctx.profile),
  });
}

export const softmaxOp: OpDef<null> = {
  name: 'softmax',
  infer([x]) {
    if (x!.rank < 1 || x!.dtype !== 'f32')
      throw new ShapeError(`softmax: x is f32 [..., N]: ${x!.describe()}`);
    return [{ shape: x!.shape, dtype: 'f32' }];
  },
  vjp: ({ graph, outputs, grads }) => [grads[0] ? softmaxBackward(graph, grads[0], outputs[0]!) : null],
  lower(ctx) {
    lower(ctx, 'softmax', softmaxShader, [
      { name: 'x', tensor: ctx.inputs[0]!, access: 'read' },
      { name: 'y', tensor: ctx.outputs[0]!, access: 'write' },
    ]);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export const softmaxBackwardOp: OpDef<null> = {
  name: 'softmaxBackward',
  infer([dy, y]) {
    if (!sameShape(dy!.shape, y!.shape)) {
      throw new ShapeError(`softmaxBackward: dy and y have one shape: ${dy!.describe()}, ${y!.describe()}`);
    }
    return [{ shape: y!.shape, dtype: 'f32' }];
  },
  vjp: null,
  lower(ctx) {
    lower(ctx, 'softmaxBackward', softmaxBackwardShader, [
      { name: 'dy', tensor: ctx.inputs[0]!, access: 'read' },
      { name: 'y', tensor: ctx.inputs[1]!, access: 'read' },
      { name: 'dx', tensor: ctx.outputs[0]!, access: 'write' },
    ]);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * Softmax of each row of x [..., N], f32.
 * @throws ShapeError
 */
export function softmax(graph: Graph, x: Tensor): Tensor {
  return graph.append(softmaxOp, [x], null)[0]!;
}

/** Gradient of x for the gradient dy of y = softmax(x). */
export function softmaxBackward(graph: Graph, dy: Tensor, y: Tensor): Tensor {
  return graph.append(softmaxBackwardOp, [dy, y], null)[0]!;
}
