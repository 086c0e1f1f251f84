/**
 * groupNorm: group normalisation of pictures with channels last, optionally followed by SiLU; the norm of the VAE
 * (torch.nn.GroupNorm, biased variance). Saves its statistics for the backward pass. Pictures that are too large for
 * one tensor are normalised in bands: groupNormStats over all of them, then groupNormApply to each (forward only).
 */
import { columnsPerWorkgroup, columnSumShader } from '../../shaders/columnSum.wgsl';
import {
  channelsPerWorkgroup,
  groupNormApplyShader,
  groupNormBackwardShader,
  groupNormMeansShader,
  groupNormPartialsShader,
  groupNormStatsShader,
  groupNormSumsShader,
} from '../../shaders/groupNorm.wgsl';
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, f32, grid, type Operand } from './kernel';
import { reshape, sliceRows } from './view';

export interface GroupNormStatsAttrs {
  readonly groups: number;
  readonly eps: number;
}

export interface GroupNormAttrs extends GroupNormStatsAttrs {
  /** SiLU after the norm. */
  readonly silu: boolean;
}

/** Pixels are summed in chunks: at least 64 each, at most 256 of them to a picture of `pixels`. */
const chunkSize = (pixels: number): number => Math.max(64, Math.ceil(pixels / 256));

/** Sizes of a norm, and how its rows are cut into chunks. */
function sizesOf(
  x: Tensor,
  groups: number,
): {
  batch: number;
  pixels: number;
  channels: number;
  groupChannels: number;
  chunkRows: number;
  chunks: number;
} {
  const batch = x.dim(0);
  const channels = x.width;
  const pixels = x.rows / batch;
  const chunkRows = chunkSize(pixels);
  const chunks = Math.ceil(pixels / chunkRows);
  return { batch, pixels, channels, groupChannels: channels / groups, chunkRows, chunks };
}

function checkShapes(x: Tensor, weight: Tensor, bias: Tensor, groups: number): void {
  if (x.rank < 3 || x.width % groups !== 0) {
    throw new ShapeError(
      `groupNorm: x is [B, ..., C] with C a multiple of ${groups} groups: ${x.describe()}`,
    );
  }
  checkParameters('groupNorm', x, weight, bias);
}

function checkParameters(op: string, x: Tensor, weight: Tensor, bias: Tensor): void {
  if (weight.elements !== x.width || bias.elements !== x.width) {
    throw new ShapeError(
      `${op}: weight and bias have C elements: ${weight.describe()}, ${bias.describe()} for x ${x.describe()}`,
    );
  }
}

const read = (name: string, tensor: Tensor, vector: 1 | 4 = 1): Operand => ({
  name,
  tensor,
  access: 'read',
  vector,
});
const write = (name: string, tensor: Tensor, vector: 1 | 4 = 1): Operand => ({
  name,
  tensor,
  access: 'write',
  vector,
});

/** Statistics [B, 2, C] of a picture given as bands: sums over chunks of each, then all of them together. */
function lowerStats<A>(
  ctx: LowerContext<A>,
  bands: readonly Tensor[],
  stats: Tensor,
  { groups, eps }: GroupNormStatsAttrs,
): void {
  const [batch, channels] = [bands[0]!.dim(0), bands[0]!.width];
  const sizes = bands.map((band) => band.rows / batch);
  const pixels = sizes.reduce((sum, size) => sum + size, 0);
  const chunkRows = chunkSize(pixels);
  const counts = sizes.map((size) => Math.ceil(size / chunkRows));
  const chunks = counts.reduce((sum, count) => sum + count, 0);
  const partial = ctx.temp({ shape: [batch, chunks, 2, channels], dtype: 'f32' });
  let firstChunk = 0;
  bands.forEach((x, index) => {
    const wide = canVector(ctx, channels, [x]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'groupNormPartials',
      variant: { wide },
      text: (header) => groupNormPartialsShader({ wide }, header),
      operands: [read('x', x, vector), write('partial', partial, vector)],
      uniforms: { pixels: sizes[index]!, channels, chunkRows, chunks, firstChunk },
      workgroups: [Math.ceil(channels / channelsPerWorkgroup), counts[index]!, batch],
    });
    firstChunk += counts[index]!;
  });
  emit(ctx, {
    shader: 'groupNormStats',
    variant: {},
    text: groupNormStatsShader,
    operands: [read('partial', partial), write('stats', stats)],
    uniforms: {
      ...{ pixels, channels, groupChannels: channels / groups, chunkRows, chunks },
      ...{ bandPixels: sizes[0]!, bandChunks: counts[0]!, eps: f32(eps) },
    },
    workgroups: [groups, batch, 1],
  });
}

/** y from x and the statistics of its picture. */
function lowerApply<A>(
  ctx: LowerContext<A>,
  [x, stats, weight, bias, y]: readonly [Tensor, Tensor, Tensor, Tensor, Tensor],
  silu: boolean,
): void {
  const channels = x.width;
  const wide = canVector(ctx, channels, [x, weight, bias, y]);
  const vector = wide ? 4 : 1;
  emit(ctx, {
    shader: 'groupNormApply',
    variant: { wide, silu },
    text: (header) => groupNormApplyShader({ wide, silu }, header),
    operands: [
      read('x', x, vector),
      read('stats', stats, vector),
      read('weight', weight, vector),
      read('bias', bias, vector),
      write('y', y, vector),
    ],
    uniforms: { count: x.elements, channels, sample: x.elements / x.dim(0) },
    workgroups: grid(Math.ceil(x.elements / elementsPerWorkgroup), ctx.profile),
  });
}

function lower(ctx: LowerContext<GroupNormAttrs>): void {
  const [x, weight, bias] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
  const [y, stats] = ctx.outputs as readonly [Tensor, Tensor];
  lowerStats(ctx, [x], stats, ctx.attrs);
  lowerApply(ctx, [x, stats, weight, bias, y], ctx.attrs.silu);
}

/** Outputs y and its statistics [B, 2, C]: mean and 1 / standard deviation of each channel's group. */
export const groupNormOp: OpDef<GroupNormAttrs> = {
  name: 'groupNorm',
  infer([x, weight, bias], { groups }) {
    checkShapes(x!, weight!, bias!, groups);
    return [
      { shape: x!.shape, dtype: 'f32' },
      { shape: [x!.dim(0), 2, x!.width], dtype: 'f32' },
    ];
  },
  vjp({ graph, inputs, outputs, attrs, grads, needs }) {
    if (grads[1]) throw new InternalError('groupNorm: the saved statistics take no gradient');
    const dy = grads[0];
    if (!dy) return [null, null, null];
    const [x, weight, bias] = inputs as readonly [Tensor, Tensor, Tensor];
    const shared = [x, outputs[1]!, weight, bias, dy];
    const sums = graph.append(groupNormSumsOp, shared, attrs)[0]!;
    const dx = needs[0] ? graph.append(groupNormBackwardOp, [...shared, sums], attrs)[0]! : null;
    if (!needs[1] && !needs[2]) return [dx, null, null];
    const total = reshape(graph, columnSum(graph, sums, { columns: 2 * x.width }), [2, x.width]);
    return [
      dx,
      needs[1] ? reshape(graph, sliceRows(graph, total, 1, 2), weight.shape) : null,
      needs[2] ? reshape(graph, sliceRows(graph, total, 0, 1), bias.shape) : null,
    ];
  },
  lower,
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** Sums over the pixels of dz and of dz xhat: [B, 2, C] from x, stats, weight, bias, dy. */
export const groupNormSumsOp: OpDef<GroupNormAttrs> = {
  name: 'groupNormSums',
  infer: ([x]) => [{ shape: [x!.dim(0), 2, x!.width], dtype: 'f32' }],
  vjp: null,
  lower(ctx) {
    const [x, stats, weight, bias, dy] = ctx.inputs as readonly [Tensor, Tensor, Tensor, Tensor, Tensor];
    const sums = ctx.outputs[0]!;
    const { groups, silu } = ctx.attrs;
    const { batch, pixels, channels, chunkRows, chunks } = sizesOf(x, groups);
    const partial = ctx.temp({ shape: [batch, chunks, 2, channels], dtype: 'f32' });
    const wide = canVector(ctx, channels, [x, stats, weight, bias, dy, sums]);
    const vector = wide ? 4 : 1;
    const operands = [read('x', x, vector), read('dy', dy, vector), read('stats', stats, vector)];
    if (silu) operands.push(read('weight', weight, vector), read('bias', bias, vector));
    emit(ctx, {
      shader: 'groupNormSums',
      variant: { wide, silu },
      text: (header) => groupNormSumsShader({ wide, silu }, header),
      operands: [...operands, write('partial', partial, vector)],
      uniforms: { pixels, channels, chunkRows, chunks, firstChunk: 0 },
      workgroups: [Math.ceil(channels / channelsPerWorkgroup), chunks, batch],
    });
    const variant = { wide, times: false };
    emit(ctx, {
      shader: 'columnSum',
      variant,
      text: (header) => columnSumShader(variant, header),
      operands: [read('x', partial, vector), write('y', sums, vector)],
      uniforms: { rows: chunks, columns: 2 * channels, scale: f32(1) },
      workgroups: [Math.ceil((2 * channels) / columnsPerWorkgroup), batch, 1],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** dx from x, stats, weight, bias, dy and groupNormSums. */
export const groupNormBackwardOp: OpDef<GroupNormAttrs> = {
  name: 'groupNormBackward',
  infer: ([x]) => [{ shape: x!.shape, dtype: 'f32' }],
  vjp: null,
  lower(ctx) {
    const [x, stats, weight, bias, dy, sums] = ctx.inputs as readonly [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const dx = ctx.outputs[0]!;
    const { groups, silu } = ctx.attrs;
    const { batch, pixels, channels, groupChannels } = sizesOf(x, groups);
    const means = ctx.temp({ shape: [batch, 2, channels], dtype: 'f32' });
    emit(ctx, {
      shader: 'groupNormMeans',
      variant: {},
      text: groupNormMeansShader,
      operands: [read('sums', sums), read('weight', weight), write('means', means)],
      uniforms: { count: means.elements, channels, groupChannels, scale: f32(1 / (pixels * groupChannels)) },
      workgroups: grid(Math.ceil((batch * 2 * channels) / 64), ctx.profile),
    });
    const wide = canVector(ctx, channels, [x, stats, weight, bias, dy, dx]);
    const vector = wide ? 4 : 1;
    const operands = [
      read('x', x, vector),
      read('dy', dy, vector),
      read('stats', stats, vector),
      read('means', means, vector),
      read('weight', weight, vector),
    ];
    if (silu) operands.push(read('bias', bias, vector));
    emit(ctx, {
      shader: 'groupNormBackward',
      variant: { wide, silu },
      text: (header) => groupNormBackwardShader({ wide, silu }, header),
      operands: [...operands, write('dx', dx, vector)],
      uniforms: { count: x.elements, channels, sample: pixels * channels },
      workgroups: grid(Math.ceil(x.elements / elementsPerWorkgroup), ctx.profile),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** Statistics [B, 2, C] of the picture whose bands [B, ..., C] are the inputs. */
export const groupNormStatsOp: OpDef<GroupNormStatsAttrs> = {
  name: 'groupNormStats',
  infer(bands, { groups }) {
    const first = bands[0];
    if (!first) throw new ShapeError('groupNormStats: at least one band: none given');
    const [batch, channels] = [first.dim(0), first.width];
    const fits = (band: Tensor, index: number): boolean =>
      band.dim(0) === batch &&
      band.width === channels &&
      (band.rows === first.rows || (index === bands.length - 1 && band.rows < first.rows));
    if (first.rank < 3 || channels % groups !== 0 || !bands.every(fits)) {
      throw new ShapeError(
        `groupNormStats: bands are [B, ..., C] with C a multiple of ${groups} groups, equal but for a smaller last one: ${bands.map((band) => band.describe()).join(', ')}`,
      );
    }
    return [{ shape: [batch, 2, channels], dtype: 'f32' }];
  },
  vjp: null,
  lower: (ctx) => lowerStats(ctx, ctx.inputs, ctx.outputs[0]!, ctx.attrs),
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface GroupNormApplyAttrs {
  readonly silu: boolean;
}

/** y from x, statistics, weight and bias. */
export const groupNormApplyOp: OpDef<GroupNormApplyAttrs> = {
  name: 'groupNormApply',
  infer(inputs) {
    const [x, stats, weight, bias] = inputs as readonly [Tensor, Tensor, Tensor, Tensor];
    if (x.rank < 3 || stats.shape.join() !== [x.dim(0), 2, x.width].join()) {
      throw new ShapeError(
        `groupNormApply: x is [B, ..., C] and its statistics [B, 2, C]: ${x.describe()}, ${stats.describe()}`,
      );
    }
    checkParameters('groupNormApply', x, weight, bias);
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  vjp: null,
  lower(ctx) {
    const [x, stats, weight, bias] = ctx.inputs as readonly [Tensor, Tensor, Tensor, Tensor];
    lowerApply(ctx, [x, stats, weight, bias, ctx.outputs[0]!], ctx.attrs.silu);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface GroupNormOptions {
  readonly groups: number;
  readonly eps: number;
  readonly silu?: boolean;
}

/**
 * Group norm of x [B, ..., C] with weight and bias [C], then SiLU if asked for.
 * @throws ShapeError
 */
export function groupNorm(
  graph: Graph,
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  options: GroupNormOptions,
): Tensor {
  const { groups, eps, silu = false } = options;
  return graph.append(groupNormOp, [x, weight, bias], { groups, eps, silu })[0]!;
}

/**
 * Mean and 1 / standard deviation [B, 2, C] of each channel's group over a picture given as bands [B, ..., C] of equal
 * size, the last one maybe smaller. Has no gradient.
 * @throws ShapeError
 */
export function groupNormStats(graph: Graph, bands: readonly Tensor[], options: GroupNormStatsAttrs): Tensor {
  const { groups, eps } = options;
  return graph.append(groupNormStatsOp, bands, { groups, eps })[0]!;
}

/**
 * Group norm of a part x [B, ..., C] of the picture that has these statistics, then SiLU if asked for. Has no gradient.
 * @throws ShapeError
 */
export function groupNormApply(
  graph: Graph,
  x: Tensor,
  stats: Tensor,
  weight: Tensor,
  bias: Tensor,
  { silu = false }: { readonly silu?: boolean } = {},
): Tensor {
  return graph.append(groupNormApplyOp, [x, stats, weight, bias], { silu })[0]!;
}
