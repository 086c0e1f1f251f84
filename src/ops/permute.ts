/** permute: pictures from channels first to channels last and back. Its derivative is the other direction. */
import { permuteShader, permuteTile } from '../../shaders/permute.wgsl';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { emit } from './kernel';

export interface PermuteAttrs {
  /** Layout of the result. */
  readonly to: 'nhwc' | 'nchw';
}

export const permuteOp: OpDef<PermuteAttrs> = {
  name: 'permute',
  infer([x], { to }) {
    if (x!.rank !== 4 || x!.dtype !== 'f32') {
      const axes = to === 'nhwc' ? '[B, C, H, W]' : '[B, H, W, C]';
      throw new ShapeError(`permute: x is f32 ${axes}: ${x!.describe()}`);
    }
    const [b, i, j, k] = x!.shape as readonly [number, number, number, number];
    return [{ shape: to === 'nhwc' ? [b, j, k, i] : [b, k, i, j], dtype: 'f32' }];
  },
  vjp({ graph, attrs, grads }) {
    const dy = grads[0];
    if (!dy) return [null];
    return [attrs.to === 'nhwc' ? nhwcToNchw(graph, dy) : nchwToNhwc(graph, dy)];
  },
  lower(ctx) {
    const x = ctx.inputs[0]!;
    const batch = x.dim(0);
    const channels = ctx.attrs.to === 'nhwc' ? x.dim(1) : x.width;
    const pixels = x.elements / batch / channels;
    const [p, q] = ctx.attrs.to === 'nhwc' ? [channels, pixels] : [pixels, channels];
    emit(ctx, {
      shader: 'permute',
      variant: {},
      text: permuteShader,
      operands: [
        { name: 'x', tensor: x, access: 'read' },
        { name: 'y', tensor: ctx.outputs[0]!, access: 'write' },
      ],
      uniforms: { p, q },
      workgroups: [Math.ceil(q / permuteTile), Math.ceil(p / permuteTile), batch],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** [B, C, H, W] to [B, H, W, C]. @throws ShapeError */
export function nchwToNhwc(graph: Graph, x: Tensor): Tensor {
  return graph.append(permuteOp, [x], { to: 'nhwc' })[0]!;
}

/** [B, H, W, C] to [B, C, H, W]. @throws ShapeError */
export function nhwcToNchw(graph: Graph, x: Tensor): Tensor {
  return graph.append(permuteOp, [x], { to: 'nchw' })[0]!;
}
