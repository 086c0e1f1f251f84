/**
 * conv2d: 3 x 3 convolution of pictures with channels last, stride 1, stride 2 (AutoencoderKL's downsampling is padded at
 * the bottom and right only, TAESD's on both sides) or after nearest-neighbour enlargement, with bias, residual and an
 * activation (forward only). A quantised w brings its scales as a further input (forward only too). 1 x 1 convolutions are
 * linear.
 */
import {
  conv2dBackwardInputShader,
  conv2dBackwardWeightShader,
  conv2dShader,
  directConv2dShader,
  directPixels,
  naiveConv2dShader,
  type ConvolutionForm,
  type ConvolutionTile,
} from '../../shaders/conv2d.wgsl';
import type { Activation } from '../../shaders/lib/activations';
import { InternalError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type InputGradient, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { columnSum } from './columnSum';
import { canVector, emit, grid, type Operand } from './kernel';
import { reshape } from './view';

/** Rows of zeros above and below the picture; negative: so many of its (enlarged) rows are passed over. */
export interface RowPadding {
  readonly top: number;
  readonly bottom: number;
}

export interface Conv2dAttrs extends ConvolutionForm {
  readonly rows: RowPadding;
  /** Which optional inputs follow x and w, in this order. wScale: w is i8. */
  readonly wScale: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  /** Of the sum with bias and residual. */
  readonly act: Activation;
}

interface Sizes {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outputs: number;
}

/** Padding of the rows as `padding` has it, the same as of the columns. */
function evenRows(padding: ConvolutionForm['padding']): RowPadding {
  return { top: padding === 'both' ? 1 : 0, bottom: 1 };
}

/** The inputs by their role. */
function named(inputs: readonly Tensor[], attrs: Conv2dAttrs) {
  let next = 2;
  const take = (present: boolean): Tensor | null => (present ? inputs[next++]! : null);
  const [x, w] = inputs as readonly [Tensor, Tensor];
  return { x, w, wScale: take(attrs.wScale), bias: take(attrs.bias), residual: take(attrs.residual) };
}

/** Rows or columns of the result for `size` of the input. */
function outSize(size: number, { stride, upsample }: ConvolutionForm, { top, bottom }: RowPadding): number {
  return Math.max(0, Math.floor((size * upsample + top + bottom - 3) / stride) + 1);
}

function sizesOf(x: Tensor, w: Tensor, form: ConvolutionForm & { readonly rows: RowPadding }): Sizes {
  if (x.rank !== 4) throw new ShapeError(`conv2d: x is [B, H, W, I]: ${x.describe()}`);
  if (w.rank !== 4 || w.dim(1) !== 3 || w.dim(2) !== 3 || w.dim(3) !== x.dim(3)) {
    throw new ShapeError(`conv2d: w is [O, 3, 3, I] with the I of x: x ${x.describe()}, w ${w.describe()}`);
  }
  if (form.stride === 2 && form.upsample === 2) {
    throw new ShapeError('conv2d: stride 2 goes with no enlargement: stride 2, upsample 2');
  }
  if (form.stride === 1 && form.padding !== 'both') {
    throw new ShapeError(`conv2d: stride 1 is padded on both sides: padding '${form.padding}'`);
  }
  const { rows } = form;
  if (!Number.isInteger(rows.top) || !Number.isInteger(rows.bottom) || rows.top > 1 || rows.bottom > 1) {
    throw new ShapeError(
      `conv2d: at most one row of zeros above and below: ${rows.top} above, ${rows.bottom} below`,
    );
  }
  const [batch, height, width, inputs] = x.shape as readonly [number, number, number, number];
  const [outHeight, outWidth] = [outSize(height, form, rows), outSize(width, form, evenRows(form.padding))];
  if (outHeight === 0 || outWidth === 0) {
    throw new ShapeError(
      `conv2d: the picture with its padding has at least 3 rows and columns: ${x.describe()}, padding '${form.padding}', rows ${rows.top} above, ${rows.bottom} below`,
    );
  }
  return { batch, height, width, inputs, outHeight, outWidth, outputs: w.dim(0) };
}

/** Tile by the size of the product: large tiles only where they fill the device. */
function chooseTile<A>(ctx: LowerContext<A>, m: number, n: number): ConvolutionTile {
  const tiles = Math.ceil(m / 64) * Math.ceil(n / 64);
  const fills = tiles >= (ctx.profile.software ? 1 : 64);
  return ctx.profile.gemmTile === 'large' && m > 32 && n > 32 && fills ? 8 : 4;
}

/** Workgroups for a product in tiles: columns in x, rows in y and, where there are too many, z. */
function tileGrid<A>(
  ctx: LowerContext<A>,
  tile: ConvolutionTile,
  m: number,
  n: number,
): [number, number, number] {
  const [rows, more] = grid(Math.ceil(m / (tile * 8)), ctx.profile);
  return [Math.ceil(n / (tile * 8)), rows, more];
}

/** Whether rows of `width` values can be read four wide: not where y, stored by element, shares memory with them. */
function canRead<A>(
  ctx: LowerContext<A>,
  width: number,
  tensors: readonly Tensor[],
  y: Tensor,
  wideY: boolean,
): boolean {
  const apart = wideY || tensors.every((tensor) => ctx.place(tensor).storage !== ctx.place(y).storage);
  return apart && canVector(ctx, width, tensors);
}

function lower(ctx: LowerContext<Conv2dAttrs>): void {
  const { stride, upsample, padding, act } = ctx.attrs;
  const { x, w, wScale, bias, residual } = named(ctx.inputs, ctx.attrs);
  const y = ctx.outputs[0]!;
  const { batch, height, width, inputs, outHeight, outWidth, outputs } = sizesOf(x, w, ctx.attrs);
  const [m, n, k] = [batch * outHeight * outWidth, outputs, 9 * inputs];
  const naive = ctx.profile.gemmTile === 'naive';
  const wideY = !naive && canVector(ctx, n, [wScale, bias, residual, y]);
  const wideX = !naive && canRead(ctx, inputs, [x, w], y, wideY);
  const tile = chooseTile(ctx, m, n);
  const variant = {
    ...{ stride, upsample, padding, tile, wideX, wideY },
    ...{ wScale: wScale !== null, bias: bias !== null, residual: residual !== null, act },
  };
  const operands: Operand[] = [
    { name: 'x', tensor: x, access: 'read', vector: wideX ? 4 : 1 },
    { name: 'w', tensor: w, access: 'read', vector: wideX ? 4 : 1 },
  ];
  for (const [name, tensor] of Object.entries({ wScale, bias, residual })) {
    if (tensor) operands.push({ name, tensor, access: 'read', vector: wideY ? 4 : 1 });
  }
  operands.push({ name: 'y', tensor: y, access: 'write', vector: wideY ? 4 : 1 });
  const direct = ctx.profile.gemmTile === 'direct' && wideX;
  emit(ctx, {
    shader: naive ? 'conv2dNaive' : direct ? 'conv2dDirect' : 'conv2d',
    variant,
    text: (header) =>
      (naive ? naiveConv2dShader : direct ? directConv2dShader : conv2dShader)(variant, header),
    operands,
    uniforms: {
      m,
      n,
      k,
      height,
      width,
      channels: inputs,
      gridCount: m,
      gridPixels: outHeight * outWidth,
      gridWidth: outWidth,
      top: ctx.attrs.rows.top >>> 0,
    },
    workgroups: naive ? naiveGrid(ctx, m, n) : direct ? directGrid(ctx, m, n) : tileGrid(ctx, tile, m, n),
    macs: m * n * k,
  });
}

/** Workgroups of the naive form: 8 channels in x, 8 pixels in y and z. */
function naiveGrid<A>(ctx: LowerContext<A>, m: number, n: number): [number, number, number] {
  const [rows, more] = grid(Math.ceil(m / 8), ctx.profile);
  return [Math.ceil(n / 8), rows, more];
}

/** Workgroups of the direct form: 32 channels in x, 8 x 8 pixels in y and, where there are too many, z. */
function directGrid<A>(ctx: LowerContext<A>, m: number, n: number): [number, number, number] {
  const [rows, more] = grid(Math.ceil(m / (8 * directPixels)), ctx.profile);
  return [Math.ceil(n / 32), rows, more];
}

export const conv2dOp: OpDef<Conv2dAttrs> = {
  name: 'conv2d',
  infer(inputs, attrs) {
    const { x, w, wScale, bias, residual } = named(inputs, attrs);
    const { batch, outHeight, outWidth, outputs } = sizesOf(x, w, attrs);
    const shape = [batch, outHeight, outWidth, outputs];
    if ((w.dtype === 'i8') !== (wScale !== null) || (wScale && wScale.elements !== outputs)) {
      throw new ShapeError(
        `conv2d: int8 weights have a scale for each of their O outputs, others none: w ${w.describe()}, scales ${wScale?.describe() ?? 'none'}`,
      );
    }
    if (bias && bias.elements !== outputs) {
      throw new ShapeError(`conv2d: bias has O elements: ${bias.describe()} for w ${w.describe()}`);
    }
    if (residual && residual.shape.join() !== shape.join()) {
      throw new ShapeError(
        `conv2d: residual has the shape of y: ${residual.describe()} for y [${shape.join(', ')}]`,
      );
    }
    return [{ shape, dtype: 'f32' }];
  },
  vjp({ graph, inputs, attrs, grads, needs }) {
    const dy = grads[0];
    if (!dy) return inputs.map(() => null);
    const { stride, upsample, padding, rows, act } = attrs;
    if (act !== 'none') {
      throw new InternalError(`conv2d: gradients go through a convolution without activation: '${act}'`);
    }
    const [x, w] = inputs as readonly [Tensor, Tensor];
    if (attrs.wScale) {
      throw new InternalError(`conv2d: a convolution with int8 weights has no derivative: w ${w.describe()}`);
    }
    const result: InputGradient[] = [
      needs[0]
        ? graph.append(conv2dBackwardInputOp, [w, dy], {
            ...{ stride, upsample, padding, rows },
            shape: x.shape,
          })[0]!
        : null,
      needs[1]
        ? graph.append(conv2dBackwardWeightOp, [x, dy], {
            ...{ stride, upsample, padding, rows },
            shape: w.shape,
          })[0]!
        : null,
    ];
    if (attrs.bias) {
      result.push(
        needs[2] ? reshape(graph, columnSum(graph, dy, { columns: dy.width }), inputs[2]!.shape) : null,
      );
    }
    if (attrs.residual) result.push(dy);
    return result;
  },
  lower,
  cost(node) {
    const { inputs, outputs } = sizesOf(node.inputs[0]!, node.inputs[1]!, node.attrs);
    return { macs: (node.outputs[0]!.elements / outputs) * outputs * 9 * inputs, bytes: touchedBytes(node) };
  },
};

export interface Conv2dBackwardAttrs extends ConvolutionForm {
  readonly rows: RowPadding;
  /** Shape of the result: of x or of w. */
  readonly shape: readonly number[];
}

/** Multiply-accumulates of either gradient: those of the convolution. */
function backwardMacs(dy: Tensor, inputs: number): number {
  return dy.elements * 9 * inputs;
}

/** dx from w and dy. */
export const conv2dBackwardInputOp: OpDef<Conv2dBackwardAttrs> = {
  name: 'conv2dBackwardInput',
  infer: (_, { shape }) => [{ shape, dtype: 'f32' }],
  vjp: null,
  lower(ctx) {
    const { stride, upsample, padding } = ctx.attrs;
    const [w, dy] = ctx.inputs as readonly [Tensor, Tensor];
    const dx = ctx.outputs[0]!;
    const [, height, width, inputs] = dx.shape as readonly [number, number, number, number];
    const [m, n, k] = [dx.rows, inputs, 9 * upsample * upsample * dy.width];
    const wideX = canVector(ctx, inputs, [w, dx]);
    const wideY = canRead(ctx, dy.width, [dy], dx, wideX);
    const tile = chooseTile(ctx, m, n);
    const variant = { stride, upsample, padding, tile, wideX, wideY };
    emit(ctx, {
      shader: 'conv2dBackwardInput',
      variant,
      text: (header) => conv2dBackwardInputShader(variant, header),
      operands: [
        { name: 'w', tensor: w, access: 'read', vector: wideX ? 4 : 1 },
        { name: 'dy', tensor: dy, access: 'read', vector: wideY ? 4 : 1 },
        { name: 'dx', tensor: dx, access: 'write', vector: wideX ? 4 : 1 },
      ],
      uniforms: {
        m,
        n,
        k,
        height: dy.dim(1),
        width: dy.dim(2),
        channels: dy.width,
        gridCount: m,
        gridPixels: height * width,
        gridWidth: width,
        top: ctx.attrs.rows.top >>> 0,
      },
      workgroups: tileGrid(ctx, tile, m, n),
      macs: m * n * k,
    });
  },
  cost: (node) => ({
    macs: backwardMacs(node.inputs[1]!, node.outputs[0]!.width),
    bytes: touchedBytes(node),
  }),
};

/** dw [O, 3, 3, I] from x and dy. */
export const conv2dBackwardWeightOp: OpDef<Conv2dBackwardAttrs> = {
  name: 'conv2dBackwardWeight',
  infer: (_, { shape }) => [{ shape, dtype: 'f32' }],
  vjp: null,
  lower(ctx) {
    const { stride, upsample, padding } = ctx.attrs;
    const [x, dy] = ctx.inputs as readonly [Tensor, Tensor];
    const dw = ctx.outputs[0]!;
    const [m, n, k] = [dy.width, 9 * x.width, dy.rows];
    const wideX = canVector(ctx, x.width, [x, dw]);
    const wideY = canRead(ctx, dy.width, [dy], dw, wideX);
    const tile = chooseTile(ctx, m, n);
    const variant = { stride, upsample, padding, tile, wideX, wideY };
    emit(ctx, {
      shader: 'conv2dBackwardWeight',
      variant,
      text: (header) => conv2dBackwardWeightShader(variant, header),
      operands: [
        { name: 'x', tensor: x, access: 'read', vector: wideX ? 4 : 1 },
        { name: 'dy', tensor: dy, access: 'read', vector: wideY ? 4 : 1 },
        { name: 'dw', tensor: dw, access: 'write', vector: wideX ? 4 : 1 },
      ],
      uniforms: {
        m,
        n,
        k,
        height: x.dim(1),
        width: x.dim(2),
        channels: x.width,
        gridCount: k,
        gridPixels: dy.dim(1) * dy.dim(2),
        gridWidth: dy.dim(2),
        top: ctx.attrs.rows.top >>> 0,
      },
      workgroups: tileGrid(ctx, tile, m, n),
      macs: m * n * k,
    });
  },
  cost: (node) => ({
    macs: backwardMacs(node.inputs[1]!, node.inputs[0]!.width),
    bytes: touchedBytes(node),
  }),
};

export interface Conv2dOptions {
  /** 2: half the rows and columns, see padding. Default 1. */
  readonly stride?: 1 | 2;
  /**
   * With stride 2: a row and column of zeros at the bottom and right only (half is rounded down), or on both sides
   * (rounded up). Default 'bottom-right' with stride 2, else 'both'.
   */
  readonly padding?: 'both' | 'bottom-right';
  /** Of the rows in place of padding's, for a part of a picture: its neighbours' rows are in x, not zeros around. */
  readonly rows?: RowPadding;
  /** 2: the input is read as if every pixel stood twice in each direction. Default 1. */
  readonly upsample?: 1 | 2;
  /** [O] */
  readonly bias?: Tensor;
  /** [B, Ho, Wo, O], added to the result. */
  readonly residual?: Tensor;
  /** Of the result with bias and residual; has no gradient. Default 'none'. */
  readonly act?: Activation;
}

/**
 * Convolves x [B, H, W, I] with w [O, 3, 3, I] (it may be quantised), zeros around: [B, Ho, Wo, O].
 * @throws ShapeError
 */
export function conv2d(graph: Graph, x: Tensor, w: Tensor, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, upsample = 1, act = 'none', bias, residual } = options;
  const padding = options.padding ?? (stride === 2 ? 'bottom-right' : 'both');
  const rows = options.rows ?? evenRows(padding);
  const extras = [w.scale ?? undefined, bias, residual].filter((tensor) => tensor !== undefined);
  const attrs = {
    ...{ stride, upsample, padding, rows, act },
    ...{ wScale: w.scale !== null, bias: bias !== undefined, residual: residual !== undefined },
  };
  return graph.append(conv2dOp, [x, w, ...extras], attrs)[0]!;
}
