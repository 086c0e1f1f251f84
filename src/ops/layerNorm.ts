/**
 * layerNorm: normalisation over the last axis, optionally with weight, bias, and modulation by shift and scale of the
 * row's sample (adaLN); and its backward. projectNorm: the same with a narrow product of the result in one dispatch.
 */
import {
  layerNormBackwardShader,
  layerNormChunk,
  layerNormParametersShader,
  layerNormShader,
  layerNormSumsShader,
  maxNarrow,
  type LayerNormParametersVariant,
  type LayerNormVariant,
} from '../../shaders/layerNorm.wgsl';
import { rowLanesFor, rowLaneThreads } from '../../shaders/lib/rowLanes';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import {
  accumulated,
  touchedBytes,
  type GraphNode,
  type InputGradient,
  type LowerContext,
  type OpDef,
  type VjpContext,
} from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, f32, grid, type Operand } from './kernel';
import { linear } from './linear';
import { softmaxBackward } from './softmax';
import { reshape } from './view';

export interface LayerNormAttrs {
  readonly eps: number;
  /** Which optional inputs follow x, in this order: weight, bias, shift and scale, rows, narrow, narrowBias. */
  readonly weight: boolean;
  readonly bias: boolean;
  readonly modulated: boolean;
  readonly chosen: boolean;
  readonly narrow: boolean;
  readonly narrowBias: boolean;
  /** Of the narrow product. */
  readonly softmax: boolean;
}

export interface LayerNormOptions {
  readonly eps: number;
  /** [D], f32 or f16 */
  readonly weight?: Tensor;
  /** [D] */
  readonly bias?: Tensor;
  /** [R, D]; both or neither. */
  readonly shift?: Tensor;
  readonly scale?: Tensor;
  /** u32 [B]: row of shift and scale for each sample; without it the sample's own number. */
  readonly rows?: Tensor;
}

/** A product with few outputs: z = y weight^T + bias, or softmax(z) over the outputs. */
export interface NarrowProduct {
  /** [N, D], f32 or f16, N at most 64 */
  readonly weight: Tensor;
  /** [N] */
  readonly bias?: Tensor;
  readonly softmax?: boolean;
}

function inputNames(attrs: LayerNormAttrs): string[] {
  const names = ['x'];
  if (attrs.weight) names.push('weight');
  if (attrs.bias) names.push('bias');
  if (attrs.modulated) names.push('shift', 'scale');
  if (attrs.chosen) names.push('rows');
  if (attrs.narrow) names.push('narrow');
  if (attrs.narrowBias) names.push('narrowBias');
  return names;
}

function named(inputs: readonly Tensor[], attrs: LayerNormAttrs, skip = 0): Map<string, Tensor> {
  return new Map(inputNames(attrs).map((name, index) => [name, inputs[index + skip]!]));
}

/** Samples that share rows of shift and scale; one when nothing is modulated. */
function sampleCount(inputs: ReadonlyMap<string, Tensor>): number {
  return inputs.get('rows')?.elements ?? inputs.get('shift')?.rows ?? 1;
}

function check(inputs: ReadonlyMap<string, Tensor>): void {
  const x = inputs.get('x')!;
  if (x.rank < 1 || x.width === 0) throw new ShapeError(`layerNorm: x is [..., D]: ${x.describe()}`);
  for (const name of ['weight', 'bias']) {
    const tensor = inputs.get(name);
    if (tensor && tensor.elements !== x.width) {
      throw new ShapeError(`layerNorm: ${name} has the width of x: ${tensor.describe()}, x ${x.describe()}`);
    }
  }
  checkNarrow(inputs);
  const shift = inputs.get('shift');
  const scale = inputs.get('scale');
  if (!shift || !scale) return;
  const rows = inputs.get('rows');
  if (shift.width !== x.width || scale.width !== x.width || shift.rows !== scale.rows) {
    throw new ShapeError(
      `layerNorm: shift and scale are [R, D] for x [..., D]: shift ${shift.describe()}, scale ${scale.describe()}, x ${x.describe()}`,
    );
  }
  const samples = sampleCount(inputs);
  if (x.rows % samples !== 0 || (rows && rows.dtype !== 'u32')) {
    throw new ShapeError(
      `layerNorm: the rows of x divide evenly among the samples: ${x.rows} rows, ${samples} samples${rows ? `, rows ${rows.describe()}` : ''}`,
    );
  }
}

function checkNarrow(inputs: ReadonlyMap<string, Tensor>): void {
  const [x, narrow, bias] = ['x', 'narrow', 'narrowBias'].map((name) => inputs.get(name));
  if (!x || !narrow) return;
  const floats = narrow.dtype === 'f32' || narrow.dtype === 'f16';
  if (!floats || narrow.rank !== 2 || narrow.width !== x.width || narrow.rows > maxNarrow) {
    throw new ShapeError(
      `layerNorm: the narrow weight is f32 or f16 [N, D] with N at most ${maxNarrow}: ${narrow.describe()}, x ${x.describe()}`,
    );
  }
  if (bias && inputs.has('shift')) {
    // both would bind more buffers than WebGPU's default limits allow
    throw new ShapeError(
      `layerNorm: the narrow bias goes with no modulation: ${bias.describe()}, shift ${inputs.get('shift')!.describe()}`,
    );
  }
  if (bias && bias.elements !== narrow.rows) {
    throw new ShapeError(
      `layerNorm: the narrow bias has N elements: ${bias.describe()}, weight ${narrow.describe()}`,
    );
  }
}

/** Multiply-accumulates of the narrow product. */
function narrowMacs({ inputs, attrs }: GraphNode<LayerNormAttrs>): number {
  return inputs[0]!.rows * (named(inputs, attrs).get('narrow')?.elements ?? 0);
}

function lower(ctx: LowerContext<LayerNormAttrs>): void {
  const { attrs } = ctx;
  const inputs = named(ctx.inputs, attrs);
  const x = inputs.get('x')!;
  const [y, stats, projected] = ctx.outputs as readonly [Tensor, Tensor, Tensor];
  const parts = ['weight', 'bias', 'shift', 'scale', 'narrow'].filter((name) => inputs.has(name));
  const wide = canVector(ctx, x.width, [x, y, ...parts.map((name) => inputs.get(name))]);
  const vector = wide ? 4 : 1;
  const lanes = rowLanesFor(x.width, ctx.profile.software);
  const { weight, bias, modulated, chosen, narrowBias, softmax } = attrs;
  const variant: LayerNormVariant = {
    ...{ wide, lanes, weight, bias, modulated, chosen, narrowBias, softmax },
    saveY: ctx.isUsed(0),
    saveStats: ctx.isUsed(1),
    narrow: inputs.get('narrow')?.rows ?? 0,
  };
  const operands: Operand[] = [{ name: 'x', tensor: x, access: 'read', vector }];
  for (const name of parts) operands.push({ name, tensor: inputs.get(name)!, access: 'read', vector });
  for (const name of ['rows', 'narrowBias']) {
    const tensor = inputs.get(name);
    if (tensor) operands.push({ name, tensor, access: 'read' });
  }
  if (variant.saveY) operands.push({ name: 'y', tensor: y, access: 'write', vector });
  if (variant.saveStats) operands.push({ name: 'stats', tensor: stats, access: 'write' });
  if (attrs.narrow) operands.push({ name: 'projected', tensor: projected, access: 'write' });
  emit(ctx, {
    shader: 'layerNorm',
    variant: { ...variant },
    text: (header) => layerNormShader(variant, header),
    operands,
    uniforms: { count: x.rows, columns: x.width, tokens: x.rows / sampleCount(inputs), eps: f32(attrs.eps) },
    workgroups: grid(Math.ceil((x.rows * lanes) / rowLaneThreads), ctx.profile),
    macs: narrowMacs(ctx.node),
  });
}

/** Gradients of the narrow product's weight and bias, by name, and of y: what reached it otherwise included. */
function narrowGradients(ctx: VjpContext<LayerNormAttrs>): Map<string, InputGradient> {
  const { graph, attrs, inputs, outputs, grads, needs } = ctx;
  const names = inputNames(attrs);
  const needed = (name: string): boolean => needs[names.indexOf(name)] ?? false;
  const found = new Map<string, InputGradient>([['y', grads[0] ?? null]]);
  if (!grads[2]) return found;
  const dz = attrs.softmax ? softmaxBackward(graph, grads[2], outputs[2]!) : grads[2];
  const weight = named(inputs, attrs).get('narrow')!;
  const residual = grads[0] ? { residual: grads[0] } : {};
  found.set('y', linear(graph, dz, weight, { layout: 'kn', ...residual }));
  if (needed('narrow')) {
    const y = outputs[0]!;
    const sink = ctx.into(names.indexOf('narrow'));
    const product = linear(
      graph,
      reshape(graph, dz, [y.rows, dz.width]),
      reshape(graph, y, [y.rows, y.width]),
      {
        layout: 'kn',
        transA: true,
        ...(sink ? { accumulate: sink } : {}),
      },
    );
    found.set('narrow', sink ? accumulated : product);
  }
  if (needed('narrowBias')) found.set('narrowBias', columnSum(graph, dz, { columns: dz.width }));
  return found;
}

function vjp(ctx: VjpContext<LayerNormAttrs>): InputGradient[] {
  const { graph, attrs, inputs, outputs, grads, needs } = ctx;
  const names = inputNames(attrs);
  if (grads[1]) throw new InternalError('layerNorm: the saved statistics take no gradient');
  if (!grads[0] && !grads[2]) return names.map(() => null);
  const modulation = names.some((name, i) => needs[i] && (name === 'shift' || name === 'scale'));
  if (attrs.chosen && modulation) {
    throw new InternalError('layerNorm: shift and scale chosen by rows have no derivative');
  }
  const narrow = narrowGradients(ctx);
  const normOnly = { ...attrs, narrow: false, narrowBias: false, softmax: false };
  const normInputs = inputs.slice(0, inputNames(normOnly).length);
  const dy = narrow.get('y') as Tensor;
  const found = graph.append(layerNormBackwardOp, [dy, outputs[1]!, ...normInputs], normOnly);
  return names.map((name, index) => {
    if (!needs[index] || name === 'rows') return null;
    return narrow.get(name) ?? found[index]!;
  });
}

export const layerNormOp: OpDef<LayerNormAttrs> = {
  name: 'layerNorm',
  infer(inputs, attrs) {
    check(named(inputs, attrs));
    const x = inputs[0]!;
    const outputs = named(inputs, attrs).get('narrow')?.rows ?? 0;
    return [
      { shape: x.shape, dtype: 'f32' as const },
      { shape: [x.rows, 2], dtype: 'f32' as const },
      ...(attrs.narrow ? [{ shape: [...x.shape.slice(0, -1), outputs], dtype: 'f32' as const }] : []),
    ];
  },
  vjp,
  lower,
  cost: (node: GraphNode<LayerNormAttrs>) => ({
    macs: narrowMacs(node),
    bytes: touchedBytes(node) - node.outputs[1]!.elements * 4,
  }),
};

/** Inputs dy, stats, then those of layerNorm; one output for each input of layerNorm but rows. */
export const layerNormBackwardOp: OpDef<LayerNormAttrs> = {
  name: 'layerNormBackward',
  infer: (inputs, attrs) =>
    inputs
      .slice(2)
      .filter((_, index) => inputNames(attrs)[index] !== 'rows')
      .map(({ shape }) => ({ shape, dtype: 'f32' as const })),
  vjp: null,
  lower(ctx) {
    if (ctx.isUsed(0)) lowerInput(ctx);
    const names = inputNames(ctx.attrs);
    if (names.some((name, index) => index > 0 && name !== 'rows' && ctx.isUsed(index))) lowerParameters(ctx);
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

function lowerInput(ctx: LowerContext<LayerNormAttrs>): void {
  const { weight, modulated, chosen } = ctx.attrs;
  const [dy, stats] = ctx.inputs as readonly [Tensor, Tensor];
  const inputs = named(ctx.inputs, ctx.attrs, 2);
  const x = inputs.get('x')!;
  const dx = ctx.outputs[0]!;
  const wide = canVector(ctx, x.width, [x, dy, dx, inputs.get('weight'), inputs.get('scale')]);
  const vector = wide ? 4 : 1;
  const lanes = rowLanesFor(x.width, ctx.profile.software);
  const variant = { wide, lanes, weight, modulated, chosen };
  const operands: Operand[] = [
    { name: 'x', tensor: x, access: 'read', vector },
    { name: 'dy', tensor: dy, access: 'read', vector },
    { name: 'stats', tensor: stats, access: 'read' },
    { name: 'dx', tensor: dx, access: 'write', vector },
  ];
  if (weight) operands.push({ name: 'weight', tensor: inputs.get('weight')!, access: 'read', vector });
  if (modulated) operands.push({ name: 'scale', tensor: inputs.get('scale')!, access: 'read', vector });
  if (chosen) operands.push({ name: 'rows', tensor: inputs.get('rows')!, access: 'read' });
  emit(ctx, {
    shader: 'layerNormBackward',
    variant,
    text: (header) => layerNormBackwardShader(variant, header),
    operands,
    uniforms: { count: x.rows, columns: x.width, tokens: x.rows / sampleCount(inputs) },
    workgroups: grid(Math.ceil((x.rows * lanes) / rowLaneThreads), ctx.profile),
  });
}

function lowerParameters(ctx: LowerContext<LayerNormAttrs>): void {
  const { attrs } = ctx;
  const names = inputNames(attrs);
  const [dy, stats] = ctx.inputs as readonly [Tensor, Tensor];
  const inputs = named(ctx.inputs, attrs, 2);
  const x = inputs.get('x')!;
  const wanted = (name: string): boolean => inputs.has(name) && ctx.isUsed(names.indexOf(name));
  const results = ['weight', 'bias', 'shift', 'scale'].filter(wanted);
  const samples = sampleCount(inputs);
  const tokens = x.rows / samples;
  const chunks = Math.ceil(tokens / layerNormChunk);
  const products = wanted('weight') || wanted('scale');
  const plain = wanted('bias') || wanted('shift') || (wanted('scale') && attrs.bias);
  const partials = ctx.temp({
    shape: [(products ? 1 : 0) + (plain ? 1 : 0), samples * chunks, x.width],
    dtype: 'f32',
  });
  const outputs = results.map((name) => ctx.outputs[names.indexOf(name)]);
  const wide = canVector(ctx, x.width, [
    x,
    dy,
    inputs.get('weight'),
    inputs.get('bias'),
    inputs.get('scale'),
    ...outputs,
  ]);
  const vector = wide ? 4 : 1;
  const uniforms = { count: x.rows, columns: x.width, tokens, chunks, samples, groups: samples * chunks };
  const sums = { wide, products, plain };
  emit(ctx, {
    shader: 'layerNormSums',
    variant: sums,
    text: (header) => layerNormSumsShader(sums, header),
    operands: [
      { name: 'dy', tensor: dy, access: 'read', vector },
      ...(products
        ? ([
            { name: 'x', tensor: x, access: 'read', vector },
            { name: 'stats', tensor: stats, access: 'read' },
          ] as const)
        : []),
      { name: 'partials', tensor: partials, access: 'write', vector },
    ],
    uniforms,
    workgroups: [Math.ceil(x.width / 64), samples * chunks, 1],
  });
  const variant: LayerNormParametersVariant = {
    ...sums,
    weight: attrs.weight,
    bias: attrs.bias,
    modulated: attrs.modulated,
    chosen: attrs.chosen,
    dweight: wanted('weight'),
    dbias: wanted('bias'),
    dshift: wanted('shift'),
    dscale: wanted('scale'),
  };
  const scaled = variant.modulated && (variant.dweight || variant.dbias);
  const operands: Operand[] = [{ name: 'partials', tensor: partials, access: 'read', vector }];
  const read = (name: string): void => {
    operands.push({ name, tensor: inputs.get(name)!, access: 'read', vector: name === 'rows' ? 1 : vector });
  };
  if (scaled) read('scale');
  if (scaled && attrs.chosen) read('rows');
  if (variant.dscale && attrs.weight) read('weight');
  if (variant.dscale && attrs.bias) read('bias');
  results.forEach((name, index) => {
    operands.push({ name: `d${name}`, tensor: outputs[index]!, access: 'write', vector });
  });
  emit(ctx, {
    shader: 'layerNormParameters',
    variant: { ...variant },
    text: (header) => layerNormParametersShader(variant, header),
    operands,
    uniforms,
    workgroups: [Math.ceil(x.width / 64), 1, 1],
  });
}

function append(
  graph: Graph,
  x: Tensor,
  options: LayerNormOptions,
  product?: NarrowProduct,
): readonly Tensor[] {
  const { eps, weight, bias, shift, scale, rows } = options;
  if ((shift === undefined) !== (scale === undefined)) {
    throw new ShapeError(
      `layerNorm: shift and scale come together: only ${shift ? 'shift' : 'scale'} is given`,
    );
  }
  const attrs: LayerNormAttrs = {
    eps,
    weight: weight !== undefined,
    bias: bias !== undefined,
    modulated: shift !== undefined,
    chosen: rows !== undefined && shift !== undefined,
    narrow: product !== undefined,
    narrowBias: product?.bias !== undefined,
    softmax: product?.softmax ?? false,
  };
  const extras = [
    weight,
    bias,
    shift,
    scale,
    attrs.chosen ? rows : undefined,
    product?.weight,
    product?.bias,
  ];
  return graph.append(layerNormOp, [x, ...extras.filter((tensor) => tensor !== undefined)], attrs);
}

/**
 * (x - mean) / sqrt(variance + eps) over the last axis, times weight, plus bias, then times (1 + scale) plus shift of the
 * row's sample. Shape of x.
 * @throws ShapeError
 */
export function layerNorm(graph: Graph, x: Tensor, options: LayerNormOptions): Tensor {
  return append(graph, x, options)[0]!;
}

/**
 * layerNorm with a narrow product of its result y: `projected` [..., N]. y costs nothing where nothing reads it.
 * @throws ShapeError
 */
export function projectNorm(
  graph: Graph,
  x: Tensor,
  options: LayerNormOptions,
  product: NarrowProduct,
): { y: Tensor; projected: Tensor } {
  const [y, , projected] = append(graph, x, options, product);
  return { y: y!, projected: projected! };
}
