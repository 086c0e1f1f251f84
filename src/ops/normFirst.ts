/**
 * normFirst: the first samples are layer-normalised, the others get a vector. What guided sampling needs before
 * cross-attention: only the conditional half attends, the unconditional half's result is one constant vector.
 */
import { normFirstShader } from '../../shaders/normFirst.wgsl';
import { rowLanesFor, rowLaneThreads } from '../../shaders/lib/rowLanes';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, f32, grid, type Operand } from './kernel';
import { layerNormBackwardOp } from './layerNorm';
import { concatRows, sliceRows } from './view';

export interface NormFirstAttrs {
  readonly eps: number;
  /** Samples that are normalised. */
  readonly count: number;
}

/** Inputs x, weight, vector; outputs normed, shifted, stats. */
export const normFirstOp: OpDef<NormFirstAttrs> = {
  name: 'normFirst',
  infer([x, weight, vector], { count }) {
    if (x!.rank < 2 || !Number.isInteger(count) || count < 1 || count >= x!.dim(0)) {
      throw new ShapeError(
        `normFirst: x is [B, ..., D] and 1 to B - 1 of its samples are normalised: ${count} of ${x!.describe()}`,
      );
    }
    if (weight!.elements !== x!.width || vector!.elements !== x!.width) {
      throw new ShapeError(
        `normFirst: weight and vector have the width of x: weight ${weight!.describe()}, vector ${vector!.describe()}, x ${x!.describe()}`,
      );
    }
    const rest = x!.shape.slice(1);
    return [
      { shape: [count, ...rest], dtype: 'f32' },
      { shape: [x!.dim(0) - count, ...rest], dtype: 'f32' },
      { shape: [(x!.rows / x!.dim(0)) * count, 2], dtype: 'f32' },
    ];
  },
  vjp({ graph, inputs, outputs, attrs, grads, needs }) {
    const [x, weight, vector] = inputs as readonly [Tensor, Tensor, Tensor];
    const [dnormed, dshifted] = grads;
    if (grads[2]) throw new InternalError('normFirst: the saved statistics take no gradient');
    const { eps, count } = attrs;
    const zeros = (like: Tensor): Tensor => graph.constant(new Float32Array(like.elements), like.shape);
    let dfirst: Tensor | null = null;
    let dweight: Tensor | null = null;
    if (dnormed) {
      const norm = { eps, weight: true, bias: false, modulated: false, chosen: false };
      const plain = { ...norm, narrow: false, narrowBias: false, softmax: false };
      const first = sliceRows(graph, x, 0, count);
      const found = graph.append(layerNormBackwardOp, [dnormed, outputs[2]!, first, weight], plain);
      [dfirst, dweight] = [found[0]!, found[1]!];
    }
    const parts = [dfirst ?? zeros(outputs[0]!), dshifted ?? zeros(outputs[1]!)];
    return [
      needs[0] ? concatRows(graph, parts) : null,
      needs[1] ? dweight : null,
      needs[2] && dshifted ? columnSum(graph, dshifted, { columns: vector.elements }) : null,
    ];
  },
  lower(ctx) {
    const [x, weight, vector] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const [normed, shifted, stats] = ctx.outputs as readonly [Tensor, Tensor, Tensor];
    const wide = canVector(ctx, x.width, [x, weight, vector, normed, shifted]);
    const four = wide ? 4 : 1;
    const lanes = rowLanesFor(x.width, ctx.profile.software);
    const variant = { wide, lanes, saveStats: ctx.isUsed(2) };
    const operands: Operand[] = [
      { name: 'x', tensor: x, access: 'read', vector: four },
      { name: 'weight', tensor: weight, access: 'read', vector: four },
      { name: 'vector', tensor: vector, access: 'read', vector: four },
      { name: 'normed', tensor: normed, access: 'write', vector: four },
      { name: 'shifted', tensor: shifted, access: 'write', vector: four },
    ];
    if (variant.saveStats) operands.push({ name: 'stats', tensor: stats, access: 'write' });
    emit(ctx, {
      shader: 'normFirst',
      variant,
      text: (header) => normFirstShader(variant, header),
      operands,
      uniforms: { count: x.rows, first: normed.rows, columns: x.width, eps: f32(ctx.attrs.eps) },
      workgroups: grid(Math.ceil((x.rows * lanes) / rowLaneThreads), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) - node.outputs[2]!.elements * 4 }),
};

export interface NormFirstOptions {
  /** Samples that are normalised, 1 to B - 1. */
  readonly count: number;
  /** [D], f32 or f16 */
  readonly weight: Tensor;
  /** D elements, added to every row of the other samples. */
  readonly vector: Tensor;
  readonly eps: number;
}

/**
 * x [B, ..., D] as two tensors: `normed` [count, ..., D], the first samples layer-normalised, and `shifted`
 * [B - count, ..., D], the others plus the vector.
 * @throws ShapeError
 */
export function normFirst(
  graph: Graph,
  x: Tensor,
  options: NormFirstOptions,
): { normed: Tensor; shifted: Tensor } {
  const { count, weight, vector, eps } = options;
  const [normed, shifted] = graph.append(normFirstOp, [x, weight, vector], { count, eps });
  return { normed: normed!, shifted: shifted! };
}
