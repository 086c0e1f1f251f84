/** attention: softmax(q k^T / sqrt(headDim)) v per head, and its backward (shaders/attention.wgsl.ts has the story). */
import {
  attentionBackwardShader,
  attentionDeltaShader,
  attentionShader,
  attentionTile,
  directAttentionShader,
  type AttentionVariant,
} from '../../shaders/attention.wgsl';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type GraphNode, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, f32, type Operand } from './kernel';
import { splitColumns, splitColumnsBackwardOp } from './splitColumns';

export interface AttentionAttrs {
  readonly heads: number;
  readonly causal: boolean;
  /** q is layer-normalised over its whole width first, with this eps; null: q is used as it is. */
  readonly normalizeQ: number | null;
}

/** Largest width of one head: its tiles fill the workgroup memory. */
export const maxHeadDim = 128;

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly headDim: number;
}

function attentionSizes(q: Tensor, k: Tensor, v: Tensor, attrs: AttentionAttrs): Sizes {
  const { heads, causal } = attrs;
  const all = `q ${q.describe()}, k ${k.describe()}, v ${v.describe()}`;
  if (q.rank !== 3 || k.rank !== 3 || v.rank !== 3) {
    throw new ShapeError(`attention: q is [B, Tq, W], k and v are [B, Tk, W]: ${all}`);
  }
  const [batch, queries, width] = [q.dim(0), q.dim(1), q.dim(2)];
  const keys = k.dim(1);
  if (
    k.dim(0) !== batch ||
    v.dim(0) !== batch ||
    v.dim(1) !== keys ||
    k.dim(2) !== width ||
    v.dim(2) !== width
  ) {
    throw new ShapeError(`attention: q, k and v share B and W, k and v share Tk: ${all}`);
  }
  const headDim = width / heads;
  if (!Number.isInteger(headDim) || headDim > maxHeadDim) {
    throw new ShapeError(
      `attention: the width is heads times at most ${maxHeadDim}: ${width} for ${heads} heads`,
    );
  }
  if (causal && keys !== queries) {
    throw new ShapeError(`attention: causal attention has as many keys as queries: ${all}`);
  }
  return { batch, queries, keys, width, headDim };
}

const uniformsOf = (s: Sizes, { heads }: AttentionAttrs): KernelUniforms => ({
  queries: s.queries,
  keys: s.keys,
  width: s.width,
  heads,
  scale: f32(1 / Math.sqrt(s.headDim)),
});

type KernelUniforms = Parameters<typeof emit>[1]['uniforms'];

function cost(node: GraphNode<AttentionAttrs>, products: number): { macs: number; bytes: number } {
  const { batch, queries, keys, width } = attentionSizes(
    node.inputs[0]!,
    node.inputs[1]!,
    node.inputs[2]!,
    node.attrs,
  );
  return { macs: products * batch * queries * keys * width, bytes: touchedBytes(node) };
}

export const attentionOp: OpDef<AttentionAttrs> = {
  name: 'attention',
  infer([q, k, v], attrs) {
    const { batch, queries } = attentionSizes(q!, k!, v!, attrs);
    return [
      { shape: q!.shape, dtype: 'f32' },
      { shape: [batch, attrs.heads, queries], dtype: 'f32' },
    ];
  },
  vjp({ graph, inputs, outputs, grads, attrs, needs }) {
    if (grads[1]) throw new InternalError('attention: the saved log-sum-exp takes no gradient');
    const dout = grads[0];
    if (!dout) return [null, null, null];
    const [q, k, v] = inputs as readonly [Tensor, Tensor, Tensor];
    const { normalizeQ: eps } = attrs;
    // the normalised q is made again: it was never stored
    const parts = [{ width: q.width, normalize: true }];
    const used = eps === null ? q : splitColumns(graph, q, parts, eps)[0]!;
    const backward = [used, k, v, outputs[0]!, outputs[1]!, dout];
    const [dused, dk, dv] = graph.append(attentionBackwardOp, backward, attrs);
    let dq = dused!;
    if (eps !== null && needs[0]) {
      const split = { normalize: [true], present: [true], eps };
      dq = graph.append(splitColumnsBackwardOp, [q, dq], split)[0]!;
    }
    return [dq, dk!, dv!].map((gradient, index) => (needs[index] ? gradient : null));
  },
  lower(ctx) {
    const [q, k, v] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const [o, lse] = ctx.outputs as readonly [Tensor, Tensor];
    const { heads, causal, normalizeQ: eps } = ctx.attrs;
    const s = attentionSizes(q, k, v, ctx.attrs);
    const normalize = eps !== null;
    const wide = s.headDim % 4 === 0 && canVector(ctx, s.width, [q, k, v, o]);
    const vector = wide ? 4 : 1;
    const variant: AttentionVariant = {
      ...{ headDim: s.headDim, causal, normalize, wide },
      saveLse: ctx.isUsed(1),
    };
    const operands: Operand[] = [
      { name: 'q', tensor: q, access: 'read', vector },
      { name: 'k', tensor: k, access: 'read', vector },
      { name: 'v', tensor: v, access: 'read', vector },
      { name: 'o', tensor: o, access: 'write', vector },
    ];
    if (variant.saveLse) operands.push({ name: 'lse', tensor: lse, access: 'write' });
    const direct = ctx.profile.software && s.headDim <= 64;
    const rows = direct ? 64 : attentionTile(s.headDim, false).rows;
    emit(ctx, {
      shader: direct ? 'attentionDirect' : 'attention',
      variant: { ...variant },
      text: (header) => (direct ? directAttentionShader : attentionShader)(variant, header),
      operands,
      uniforms: { ...uniformsOf(s, ctx.attrs), ...(eps === null ? {} : { eps: f32(eps) }) },
      workgroups: [Math.ceil(s.queries / rows), heads, s.batch],
      macs: 2 * s.batch * s.queries * s.keys * s.width,
    });
  },
  cost: (node) => cost(node, 2),
};

/** Inputs q, k, v, o, lse, do; outputs dq, dk, dv. */
export const attentionBackwardOp: OpDef<AttentionAttrs> = {
  name: 'attentionBackward',
  infer([q, k, v, , , dout], attrs) {
    attentionSizes(q!, k!, v!, attrs);
    if (dout!.elements !== q!.elements) {
      throw new ShapeError(`attentionBackward: do has the shape of q: ${dout!.describe()}, ${q!.describe()}`);
    }
    return [q!, k!, v!].map(({ shape }) => ({ shape, dtype: 'f32' as const }));
  },
  vjp: null,
  lower(ctx) {
    const [q, k, v, o, , dout] = ctx.inputs;
    const { heads } = ctx.attrs;
    const s = attentionSizes(q!, k!, v!, ctx.attrs);
    const wide = s.headDim % 4 === 0 && canVector(ctx, s.width, [q, k, v, o, dout, ...ctx.outputs]);
    const vector = wide ? 4 : 1;
    const delta = ctx.temp({ shape: [s.batch, heads, s.queries], dtype: 'f32' });
    emit(ctx, {
      shader: 'attentionDelta',
      variant: { headDim: s.headDim, wide },
      text: (header) => attentionDeltaShader({ headDim: s.headDim, wide }, header),
      operands: [
        { name: 'dout', tensor: dout!, access: 'read', vector },
        { name: 'o', tensor: o!, access: 'read', vector },
        { name: 'delta', tensor: delta, access: 'write' },
      ],
      uniforms: uniformsOf(s, ctx.attrs),
      workgroups: [Math.ceil(s.queries / 64), heads, s.batch],
    });
    if (ctx.isUsed(0)) lowerBackward(ctx, s, delta, 'dq', wide);
    if (ctx.isUsed(1) || ctx.isUsed(2)) lowerBackward(ctx, s, delta, 'dkv', wide);
  },
  // scores and their gradients are made twice, once for each side
  cost: (node) => cost(node, 7),
};

function lowerBackward(
  ctx: LowerContext<AttentionAttrs>,
  s: Sizes,
  delta: Tensor,
  of: 'dq' | 'dkv',
  wide: boolean,
): void {
  const [q, k, v, , lse, dout] = ctx.inputs;
  const [dq, dk, dv] = ctx.outputs as readonly [Tensor, Tensor, Tensor];
  const { heads, causal } = ctx.attrs;
  const vector = wide ? 4 : 1;
  const variant = { headDim: s.headDim, causal, wide, of };
  const results: Operand[] =
    of === 'dq'
      ? [{ name: 'dq', tensor: dq, access: 'write', vector }]
      : [
          { name: 'dk', tensor: dk, access: 'write', vector },
          { name: 'dv', tensor: dv, access: 'write', vector },
        ];
  const owners = of === 'dq' ? s.queries : s.keys;
  emit(ctx, {
    shader: 'attentionBackward',
    variant,
    text: (header) => attentionBackwardShader(variant, header),
    operands: [
      { name: 'q', tensor: q!, access: 'read', vector },
      { name: 'k', tensor: k!, access: 'read', vector },
      { name: 'v', tensor: v!, access: 'read', vector },
      { name: 'dout', tensor: dout!, access: 'read', vector },
      { name: 'lse', tensor: lse!, access: 'read' },
      { name: 'delta', tensor: delta, access: 'read' },
      ...results,
    ],
    uniforms: uniformsOf(s, ctx.attrs),
    workgroups: [Math.ceil(owners / attentionTile(s.headDim, true).rows), heads, s.batch],
    macs: (of === 'dq' ? 3 : 4) * s.batch * s.queries * s.keys * s.width,
  });
}

export interface AttentionOptions {
  readonly heads: number;
  /** A query sees only keys up to its own position. */
  readonly causal?: boolean;
  /** Eps of a layer norm of q over its whole width, all heads together, without weight; absent: q is used as it is. */
  readonly normalizeQ?: number;
}

/**
 * Attention of q [B, Tq, W] over k, v [B, Tk, W], heads side by side in the columns; scale 1 / sqrt(W / heads). Gives
 * [B, Tq, W].
 * @throws ShapeError
 */
export function attention(graph: Graph, q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { heads, causal = false, normalizeQ = null } = options;
  return graph.append(attentionOp, [q, k, v], { heads, causal, normalizeQ })[0]!;
}
