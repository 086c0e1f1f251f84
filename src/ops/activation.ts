/** activation: y = act(x) elementwise, and its backward. */
import { activationBackwardShader, activationShader } from '../../shaders/activation.wgsl';
import type { Activation } from '../../shaders/lib/activations';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { ShapeError } from '../core/errors';
import { sameShape } from '../core/shape';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, grid } from './kernel';

export interface ActivationAttrs {
  readonly act: Activation;
}

export const activationOp: OpDef<ActivationAttrs> = {
  name: 'activation',
  infer: ([x]) => [{ shape: x!.shape, dtype: 'f32' }],
  vjp: ({ graph, inputs, grads, attrs }) => [
    grads[0] ? activationBackward(graph, grads[0], inputs[0]!, attrs.act) : null,
  ],
  lower(ctx) {
    const x = ctx.inputs[0]!;
    const y = ctx.outputs[0]!;
    const wide = canVector(ctx, x.elements, [x, y]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'activation',
      variant: { act: ctx.attrs.act, wide },
      text: (header) => activationShader({ act: ctx.attrs.act, wide }, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector },
        { name: 'y', tensor: y, access: 'write', vector },
      ],
      uniforms: { count: x.elements },
      workgroups: grid(Math.ceil(x.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export const activationBackwardOp: OpDef<ActivationAttrs> = {
  name: 'activationBackward',
  infer([dy, x]) {
    if (!sameShape(dy!.shape, x!.shape)) {
      throw new ShapeError(
        `activationBackward: dy and x have one shape: ${dy!.describe()}, ${x!.describe()}`,
      );
    }
    return [{ shape: x!.shape, dtype: 'f32' }];
  },
  vjp: null,
  lower(ctx) {
    const [dy, x] = ctx.inputs as readonly [Tensor, Tensor];
    const dx = ctx.outputs[0]!;
    const wide = canVector(ctx, x.elements, [x, dy, dx]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'activationBackward',
      variant: { act: ctx.attrs.act, wide },
      text: (header) => activationBackwardShader({ act: ctx.attrs.act, wide }, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector },
        { name: 'dy', tensor: dy, access: 'read', vector },
        { name: 'dx', tensor: dx, access: 'write', vector },
      ],
      uniforms: { count: x.elements },
      workgroups: grid(Math.ceil(x.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** act(x), elementwise. */
export function activation(graph: Graph, x: Tensor, act: Activation): Tensor {
  return graph.append(activationOp, [x], { act })[0]!;
}

/** dy act'(x) */
export function activationBackward(graph: Graph, dy: Tensor, x: Tensor, act: Activation): Tensor {
  return graph.append(activationBackwardOp, [dy, x], { act })[0]!;
}
