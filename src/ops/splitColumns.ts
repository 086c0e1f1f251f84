/** splitColumns: equal column parts of a projection as dense tensors, each optionally layer-normalised (q/k norm). */
import {
  splitColumnsBackwardShader,
  splitColumnsShader,
  type SplitColumnsVariant,
} from '../../shaders/splitColumns.wgsl';
import { rowLanesFor, rowLaneThreads } from '../../shaders/lib/rowLanes';
import { ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, f32, type Operand } from './kernel';

export interface SplitColumnsAttrs {
  /** Per part: normalised over its whole width. */
  readonly normalize: readonly boolean[];
  readonly eps: number;
}

export interface ColumnPart {
  readonly width: number;
  readonly normalize: boolean;
}

/** Bindings allow x and this many parts in one dispatch. */
const maxParts = 6;

function lower<A extends SplitColumnsAttrs>(
  ctx: LowerContext<A>,
  x: Tensor,
  parts: string,
  tensors: ReadonlyMap<number, Tensor>,
  dx: Tensor | null,
): void {
  const count = ctx.attrs.normalize.length;
  const columns = x.width / count;
  const wide = canVector(ctx, columns, [x, dx, ...tensors.values()]);
  const vector = wide ? 4 : 1;
  const lanes = rowLanesFor(columns, ctx.profile.software);
  const variant: SplitColumnsVariant = { wide, lanes, parts };
  const operands: Operand[] = [];
  if (!dx || parts.includes('n')) operands.push({ name: 'x', tensor: x, access: 'read', vector });
  for (const [index, tensor] of tensors) {
    operands.push({ name: `part${index}`, tensor, access: dx ? 'read' : 'write', vector });
  }
  if (dx) operands.push({ name: 'dx', tensor: dx, access: 'write', vector });
  emit(ctx, {
    shader: dx ? 'splitColumnsBackward' : 'splitColumns',
    variant: { ...variant },
    text: (header) => (dx ? splitColumnsBackwardShader : splitColumnsShader)(variant, header),
    operands,
    uniforms: { count: x.rows, columns, stride: x.width, eps: f32(ctx.attrs.eps) },
    workgroups: [Math.ceil((x.rows * lanes) / rowLaneThreads), count, 1],
  });
}

export const splitColumnsOp: OpDef<SplitColumnsAttrs> = {
  name: 'splitColumns',
  infer([x], { normalize }) {
    const count = normalize.length;
    if (count < 1 || count > maxParts || x!.width % count !== 0) {
      throw new ShapeError(
        `splitColumns: x [..., P W] is cut into P = 1 to ${maxParts} equal parts: ${count} parts of ${x!.describe()}`,
      );
    }
    const spec = { shape: [...x!.shape.slice(0, -1), x!.width / count], dtype: 'f32' as const };
    return normalize.map(() => spec);
  },
  vjp({ graph, inputs, grads, attrs }) {
    const present = grads.map((gradient) => gradient !== null);
    const given = grads.filter((gradient) => gradient !== null);
    return [graph.append(splitColumnsBackwardOp, [inputs[0]!, ...given], { ...attrs, present })[0]!];
  },
  lower(ctx) {
    const used = ctx.attrs.normalize.map((_, index) => ctx.isUsed(index));
    const parts = ctx.attrs.normalize
      .map((normal, index) => (used[index] ? (normal ? 'n' : 'p') : '-'))
      .join('');
    const tensors = new Map(
      ctx.outputs.map((tensor, index) => [index, tensor] as const).filter(([i]) => used[i]),
    );
    lower(ctx, ctx.inputs[0]!, parts, tensors, null);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface SplitColumnsBackwardAttrs extends SplitColumnsAttrs {
  /** Per part: has a gradient. */
  readonly present: readonly boolean[];
}

/** Inputs x and the gradients of the parts that have one; output dx. */
export const splitColumnsBackwardOp: OpDef<SplitColumnsBackwardAttrs> = {
  name: 'splitColumnsBackward',
  infer: ([x]) => [{ shape: x!.shape, dtype: 'f32' }],
  vjp: null,
  lower(ctx) {
    const [x, ...gradients] = ctx.inputs as readonly [Tensor, ...Tensor[]];
    const { normalize, present } = ctx.attrs;
    const parts = normalize.map((normal, index) => (present[index] ? (normal ? 'n' : 'p') : '-')).join('');
    let next = 0;
    const tensors = new Map<number, Tensor>();
    present.forEach((has, index) => {
      if (has) tensors.set(index, gradients[next++]!);
    });
    lower(ctx, x, parts, tensors, ctx.outputs[0]!);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * The columns of x [..., P W] as P tensors [..., W]; parts marked `normalize` are layer-normalised over W, without weight.
 * @throws ShapeError unless the parts are equally wide and make up x
 */
export function splitColumns(
  graph: Graph,
  x: Tensor,
  parts: readonly ColumnPart[],
  eps: number,
): readonly Tensor[] {
  const width = x.width / parts.length;
  if (parts.some((part) => part.width !== width)) {
    throw new ShapeError(
      `splitColumns: the parts are equally wide and make up x: ${parts.map((part) => part.width).join(' + ')} of ${x.describe()}`,
    );
  }
  return graph.append(splitColumnsOp, [x], { normalize: parts.map((part) => part.normalize), eps });
}
