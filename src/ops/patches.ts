/**
 * patches: pictures cut into square patches, one token each, and back. Each direction is the other's derivative.
 */
import { patchElementsPerWorkgroup, patchesShader } from '../../shaders/patches.wgsl';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { emit, grid } from './kernel';

/** Place of channel, row i and column j inside a token: (ch p + i) p + j, or (i p + j) C + ch. */
export type PatchOrder = 'channelSlow' | 'channelFast';

export interface PatchifyOptions {
  /** Side of a patch in elements. */
  readonly patch: number;
  readonly order: PatchOrder;
}

export interface UnpatchifyOptions extends PatchifyOptions {
  readonly channels: number;
  /** Height and width of the picture. */
  readonly height: number;
  readonly width: number;
}

/** Throws unless a picture is cut into whole patches; `name` is the op's. */
export function checkCut(
  name: string,
  { patch }: Pick<PatchifyOptions, 'patch'>,
  height: number,
  width: number,
): void {
  if (!Number.isInteger(patch) || patch < 1 || height % patch !== 0 || width % patch !== 0) {
    throw new ShapeError(
      `${name}: the picture is cut into whole patches: ${height} x ${width}, patch ${patch}`,
    );
  }
}

/** The uniforms by which kernels find an element of `picture` [B, C, h, w] among its tokens (tokenIndexText). */
export function patchUniforms(picture: Tensor, patch: number): Record<string, number> {
  const [channels, height, width] = [picture.dim(1), picture.dim(2), picture.dim(3)];
  return { channels, height, width, patchSize: patch, tokens: (height / patch) * (width / patch) };
}

/** One dispatch over the elements of `picture`, which is x or y. */
function lower(ctx: LowerContext<PatchifyOptions>, picture: Tensor, toTokens: boolean): void {
  const x = ctx.inputs[0]!;
  const y = ctx.outputs[0]!;
  const { patch, order } = ctx.attrs;
  const variant = { toTokens, channelFast: order === 'channelFast' };
  emit(ctx, {
    shader: 'patches',
    variant,
    text: (header) => patchesShader(variant, header),
    operands: [
      { name: 'x', tensor: x, access: 'read' },
      { name: 'y', tensor: y, access: 'write' },
    ],
    uniforms: { count: picture.elements, ...patchUniforms(picture, patch) },
    workgroups: grid(Math.ceil(picture.elements / patchElementsPerWorkgroup), ctx.profile),
  });
}

export const patchifyOp: OpDef<PatchifyOptions> = {
  name: 'patchify',
  infer([x], attrs) {
    if (x!.rank !== 4) throw new ShapeError(`patchify: x is [B, C, h, w]: ${x!.describe()}`);
    const [batch, channels, height, width] = [x!.dim(0), x!.dim(1), x!.dim(2), x!.dim(3)];
    checkCut('patchify', attrs, height, width);
    const area = attrs.patch * attrs.patch;
    return [{ shape: [batch, (height * width) / area, channels * area], dtype: 'f32' }];
  },
  vjp({ graph, inputs, grads, attrs }) {
    const x = inputs[0]!;
    const picture = { channels: x.dim(1), height: x.dim(2), width: x.dim(3) };
    return [grads[0] ? unpatchify(graph, grads[0], { ...attrs, ...picture }) : null];
  },
  lower: (ctx) => lower(ctx, ctx.inputs[0]!, true),
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export const unpatchifyOp: OpDef<UnpatchifyOptions> = {
  name: 'unpatchify',
  infer([x], attrs) {
    const { patch, channels, height, width } = attrs;
    checkCut('unpatchify', attrs, height, width);
    const tokens = (height / patch) * (width / patch);
    const columns = channels * patch * patch;
    if (x!.rank !== 3 || x!.dim(1) !== tokens || x!.dim(2) !== columns) {
      throw new ShapeError(
        `unpatchify: x is [B, ${tokens}, ${columns}] for ${channels} channels of ${height} x ${width}, patch ${patch}: ${x!.describe()}`,
      );
    }
    return [{ shape: [x!.dim(0), channels, height, width], dtype: 'f32' }];
  },
  vjp({ graph, grads, attrs: { patch, order } }) {
    return [grads[0] ? patchify(graph, grads[0], { patch, order }) : null];
  },
  lower: (ctx) => lower(ctx, ctx.outputs[0]!, false),
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * Cuts a picture [B, C, h, w] into tokens [B, (h/p)(w/p), C p p], row by row.
 * @throws ShapeError
 */
export function patchify(graph: Graph, x: Tensor, options: PatchifyOptions): Tensor {
  const { patch, order } = options;
  return graph.append(patchifyOp, [x], { patch, order })[0]!;
}

/**
 * Puts tokens [B, T, p p C] together to a picture [B, C, height, width].
 * @throws ShapeError
 */
export function unpatchify(graph: Graph, x: Tensor, options: UnpatchifyOptions): Tensor {
  return graph.append(unpatchifyOp, [x], options)[0]!;
}
