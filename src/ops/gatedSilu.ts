/** gatedSilu: y = silu(a) b, the gate of the dense feed-forward, and its backward. */
import { gatedSiluBackwardShader, gatedSiluShader } from '../../shaders/gatedSilu.wgsl';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { ShapeError } from '../core/errors';
import { sameShape } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, grid } from './kernel';

function checkSame(name: string, tensors: readonly Tensor[]): void {
  if (tensors.some((tensor) => !sameShape(tensor.shape, tensors[0]!.shape))) {
    throw new ShapeError(
      `${name}: all inputs have one shape: ${tensors.map((t) => t.describe()).join(', ')}`,
    );
  }
}

export const gatedSiluOp: OpDef<null> = {
  name: 'gatedSilu',
  infer(inputs) {
    checkSame('gatedSilu', inputs);
    return [{ shape: inputs[0]!.shape, dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads }) {
    if (!grads[0]) return [null, null];
    const { da, db } = gatedSiluBackward(graph, grads[0], inputs[0]!, inputs[1]!);
    return [da, db];
  },
  lower(ctx) {
    const [a, b] = ctx.inputs as readonly [Tensor, Tensor];
    const y = ctx.outputs[0]!;
    const wide = canVector(ctx, a.elements, [a, b, y]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'gatedSilu',
      variant: { wide },
      text: (header) => gatedSiluShader({ wide }, header),
      operands: [
        { name: 'a', tensor: a, access: 'read', vector },
        { name: 'b', tensor: b, access: 'read', vector },
        { name: 'y', tensor: y, access: 'write', vector },
      ],
      uniforms: { count: a.elements },
      workgroups: grid(Math.ceil(a.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export const gatedSiluBackwardOp: OpDef<null> = {
  name: 'gatedSiluBackward',
  infer(inputs) {
    checkSame('gatedSiluBackward', inputs);
    const spec = { shape: inputs[1]!.shape, dtype: 'f32' as const };
    return [spec, spec];
  },
  vjp: null,
  lower(ctx) {
    const [dy, a, b] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const [da, db] = ctx.outputs as readonly [Tensor, Tensor];
    const wide = canVector(ctx, a.elements, [dy, a, b, da, db]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'gatedSiluBackward',
      variant: { wide },
      text: (header) => gatedSiluBackwardShader({ wide }, header),
      operands: [
        { name: 'dy', tensor: dy, access: 'read', vector },
        { name: 'a', tensor: a, access: 'read', vector },
        { name: 'b', tensor: b, access: 'read', vector },
        { name: 'da', tensor: da, access: 'write', vector },
        { name: 'db', tensor: db, access: 'write', vector },
      ],
      uniforms: { count: a.elements },
      workgroups: grid(Math.ceil(a.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** silu(a) b */
export function gatedSilu(graph: Graph, a: Tensor, b: Tensor): Tensor {
  return graph.append(gatedSiluOp, [a, b], null)[0]!;
}

/** Gradients of silu(a) b for the gradient dy of its result. */
export function gatedSiluBackward(
  graph: Graph,
  dy: Tensor,
  a: Tensor,
  b: Tensor,
): { da: Tensor; db: Tensor } {
  const [da, db] = graph.append(gatedSiluBackwardOp, [dy, a, b], null);
  return { da: da!, db: db! };
}
