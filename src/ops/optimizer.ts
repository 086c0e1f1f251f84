/**
 * The optimizer on the GPU: global gradient norm and clipping, AdamW, the moving average of the weights, and clearing
 * gradients. All in place, f32; numbers that change from step to step come in one small input, `hyper`.
 */
import { elementsPerWorkgroup } from '../../shaders/lib/elementwise';
import {
  adamWShader,
  clipScaleShader,
  emaUpdateShader,
  squareSumChunk,
  squareSumShader,
  zeroShader,
} from '../../shaders/optimizer.wgsl';
import { InputError, ShapeError } from '../core/errors';
import type { Graph } from '../graph/graph';
import { touchedBytes, type LowerContext, type OpDef } from '../graph/op';
import type { Tensor } from '../graph/tensor';
import { canVector, emit, f32, grid } from './kernel';

/** Columns of `hyper`, f32 [8]; the shader has them as numbers. */
export const hyperColumns = {
  count: 8,
  /** 1 - lr weightDecay */
  decay: 0,
  /** 1 - beta1 */
  mRate: 1,
  /** beta2 */
  vKeep: 2,
  /** 1 - beta2 */
  vRate: 3,
  eps: 4,
  /** lr / (1 - beta1^t) */
  stepSize: 5,
  /** sqrt(1 - beta2^t) */
  rootBias2: 6,
  /** 1 - smoothing of the moving average: 0 leaves it alone, 1 copies the weights. */
  emaRate: 7,
} as const;

export interface OptimizerSettings {
  /** Learning rate of this step. */
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  /** Number of this optimizer step, from 1. */
  readonly step: number;
  /** 1 - smoothing for this step's emaUpdate; default 0: no update. */
  readonly emaRate?: number;
}

/**
 * The input `hyper` of one step. Everything that depends on settings alone is computed in float64 here, as torch does:
 * 1 - beta2 taken from an f32 beta2 would be off by 1e-5.
 * @throws InputError when the step is not a positive whole number
 */
export function packHyper(settings: OptimizerSettings): Float32Array<ArrayBuffer> {
  const { lr, beta1, beta2, eps, weightDecay, step, emaRate = 0 } = settings;
  if (!Number.isInteger(step) || step < 1) {
    throw new InputError(`optimizer: steps are numbered from 1: ${step}`);
  }
  const hyper = new Float32Array(hyperColumns.count);
  hyper[hyperColumns.decay] = 1 - lr * weightDecay;
  hyper[hyperColumns.mRate] = 1 - beta1;
  hyper[hyperColumns.vKeep] = beta2;
  hyper[hyperColumns.vRate] = 1 - beta2;
  hyper[hyperColumns.eps] = eps;
  hyper[hyperColumns.stepSize] = lr / (1 - beta1 ** step);
  hyper[hyperColumns.rootBias2] = Math.sqrt(1 - beta2 ** step);
  hyper[hyperColumns.emaRate] = emaRate;
  return hyper;
}

/** Shape rule of the ops that change state: all tensors as large as the first, those of `states` being f32 state. */
function checkState(op: string, tensors: Readonly<Record<string, Tensor>>, states: readonly string[]): void {
  const first = Object.values(tensors)[0]!;
  for (const [name, tensor] of Object.entries(tensors)) {
    if (states.includes(name) && tensor.node.kind !== 'state') {
      throw new ShapeError(`${op}: ${name} is a state tensor: ${tensor.node.kind} ${tensor.describe()}`);
    }
    if (tensor.elements !== first.elements || tensor.dtype !== 'f32') {
      throw new ShapeError(
        `${op}: ${Object.keys(tensors).join(', ')} are f32 of one size: ${name} is ${tensor.describe()}, ${Object.keys(tensors)[0]!} ${first.describe()}`,
      );
    }
  }
}

function checkHyper(op: string, hyper: Tensor): void {
  if (hyper.elements !== hyperColumns.count || hyper.dtype !== 'f32') {
    throw new ShapeError(`${op}: hyper is f32 [${hyperColumns.count}]: ${hyper.describe()}`);
  }
}

const elementGrid = (ctx: LowerContext, count: number): [number, number, number] =>
  grid(Math.ceil(count / elementsPerWorkgroup), ctx.profile);

export const squareSumOp: OpDef<null> = {
  name: 'squareSum',
  infer([x]) {
    if (x!.dtype !== 'f32' || x!.elements === 0) {
      throw new ShapeError(`squareSum: x is f32 and not empty: ${x!.describe()}`);
    }
    return [{ shape: [1], dtype: 'f32' }];
  },
  vjp: null,
  lower(ctx) {
    let x = ctx.inputs[0]!;
    for (let squares = true; ; squares = false) {
      const chunks = Math.ceil(x.elements / squareSumChunk);
      const y = chunks === 1 ? ctx.outputs[0]! : ctx.temp({ shape: [chunks], dtype: 'f32' });
      // y is stored by element, so it may not lie in a buffer that is read four wide
      const wide = canVector(ctx, x.elements, [x]) && ctx.place(x).storage !== ctx.place(y).storage;
      const variant = { wide, squares };
      emit(ctx, {
        shader: 'squareSum',
        variant,
        text: (header) => squareSumShader(variant, header),
        operands: [
          { name: 'x', tensor: x, access: 'read', vector: wide ? 4 : 1 },
          { name: 'y', tensor: y, access: 'write' },
        ],
        uniforms: { count: x.elements },
        workgroups: grid(chunks, ctx.profile),
      });
      if (chunks === 1) return;
      x = y;
    }
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** Sum of x's squares, [1]; concatRows of many of them is what clipScale takes. */
export function squareSum(graph: Graph, x: Tensor): Tensor {
  return graph.append(squareSumOp, [x], null)[0]!;
}

export interface ClipScaleAttrs {
  readonly maxNorm: number;
}

export const clipScaleOp: OpDef<ClipScaleAttrs> = {
  name: 'clipScale',
  infer([squares], { maxNorm }) {
    if (squares!.rank !== 1 || squares!.elements === 0 || squares!.dtype !== 'f32') {
      throw new ShapeError(`clipScale: squares are f32 [P], P at least 1: ${squares!.describe()}`);
    }
    if (!(maxNorm >= 0)) throw new InputError(`clipScale: the largest norm is not negative: ${maxNorm}`);
    return [
      { shape: [1], dtype: 'f32' },
      { shape: [1], dtype: 'f32' },
    ];
  },
  vjp: null,
  lower(ctx) {
    const squares = ctx.inputs[0]!;
    const [norm, scale] = ctx.outputs as readonly [Tensor, Tensor];
    const { maxNorm } = ctx.attrs;
    const variant = {
      clip: maxNorm > 0 && Number.isFinite(maxNorm),
      norm: ctx.isUsed(0),
      scale: ctx.isUsed(1),
    };
    emit(ctx, {
      shader: 'clipScale',
      variant,
      text: (header) => clipScaleShader(variant, header),
      operands: [
        { name: 'squares', tensor: squares, access: 'read' },
        ...(variant.norm ? [{ name: 'norm', tensor: norm, access: 'write' as const }] : []),
        ...(variant.scale ? [{ name: 'scale', tensor: scale, access: 'write' as const }] : []),
      ],
      uniforms: { count: squares.elements, ...(variant.clip ? { maxNorm: f32(maxNorm) } : {}) },
      workgroups: [1, 1, 1],
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/**
 * From sums of squares, [P], the global norm before clipping, [1], and what gradients are to be multiplied with, [1]:
 * min(1, maxNorm / (norm + 1e-6)). maxNorm 0 or Infinity: no clipping.
 */
export function clipScale(graph: Graph, squares: Tensor, maxNorm: number): { norm: Tensor; scale: Tensor } {
  const [norm, scale] = graph.append(clipScaleOp, [squares], { maxNorm });
  return { norm: norm!, scale: scale! };
}

export const adamWOp: OpDef<null> = {
  name: 'adamW',
  effect: true,
  infer([p, grad, m, v, hyper, scale]) {
    checkState('adamW', { p: p!, grad: grad!, m: m!, v: v! }, ['p', 'm', 'v']);
    checkHyper('adamW', hyper!);
    if (scale && (scale.elements !== 1 || scale.dtype !== 'f32')) {
      throw new ShapeError(`adamW: scale is f32 [1]: ${scale.describe()}`);
    }
    return [p!, m!, v!].map((state) => ({ shape: state.shape, dtype: 'f32' as const }));
  },
  vjp: null,
  alias: () => [
    { output: 0, input: 0, offset: 0 },
    { output: 1, input: 2, offset: 0 },
    { output: 2, input: 3, offset: 0 },
  ],
  lower(ctx) {
    const [p, grad, m, v, hyper, scale] = ctx.inputs;
    const wide = canVector(ctx, p!.elements, [p, grad, m, v]);
    const vector = wide ? 4 : 1;
    const variant = { wide, scaled: scale !== undefined };
    emit(ctx, {
      shader: 'adamW',
      variant,
      text: (header) => adamWShader(variant, header),
      operands: [
        { name: 'p', tensor: p!, access: 'write', vector },
        { name: 'grad', tensor: grad!, access: 'read', vector },
        { name: 'm', tensor: m!, access: 'write', vector },
        { name: 'v', tensor: v!, access: 'write', vector },
        { name: 'hyper', tensor: hyper!, access: 'read' },
        ...(scale ? [{ name: 'scale', tensor: scale, access: 'read' as const }] : []),
      ],
      uniforms: { count: p!.elements },
      workgroups: elementGrid(ctx as LowerContext, p!.elements),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

export interface AdamWOptions {
  /** State: the weight. */
  readonly p: Tensor;
  readonly grad: Tensor;
  /** State: moving averages of the gradient and of its square; zeros before the first step. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** f32 [8], from packHyper. */
  readonly hyper: Tensor;
  /** f32 [1], from clipScale: factor of the gradient. */
  readonly scale?: Tensor;
}

/** One AdamW step of one tensor with decoupled weight decay, an effect on p, m and v. @throws ShapeError */
export function adamW(graph: Graph, options: AdamWOptions): void {
  const { p, grad, m, v, hyper, scale } = options;
  graph.append(adamWOp, scale ? [p, grad, m, v, hyper, scale] : [p, grad, m, v, hyper], null);
}

export const emaUpdateOp: OpDef<null> = {
  name: 'emaUpdate',
  effect: true,
  infer([ema, w, hyper]) {
    checkState('emaUpdate', { ema: ema!, w: w! }, ['ema']);
    checkHyper('emaUpdate', hyper!);
    return [{ shape: ema!.shape, dtype: 'f32' }];
  },
  vjp: null,
  alias: () => [{ output: 0, input: 0, offset: 0 }],
  lower(ctx) {
    const [ema, w, hyper] = ctx.inputs as readonly [Tensor, Tensor, Tensor];
    const wide = canVector(ctx, ema.elements, [ema, w]);
    const vector = wide ? 4 : 1;
    emit(ctx, {
      shader: 'emaUpdate',
      variant: { wide },
      text: (header) => emaUpdateShader({ wide }, header),
      operands: [
        { name: 'ema', tensor: ema, access: 'write', vector },
        { name: 'w', tensor: w, access: 'read', vector },
        { name: 'hyper', tensor: hyper, access: 'read' },
      ],
      uniforms: { count: ema.elements },
      workgroups: elementGrid(ctx as LowerContext, ema.elements),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** ema = ema + emaRate (w - ema) with the rate of `hyper`, an effect on `ema`. @throws ShapeError */
export function emaUpdate(graph: Graph, ema: Tensor, w: Tensor, hyper: Tensor): void {
  graph.append(emaUpdateOp, [ema, w, hyper], null);
}

export const zeroOp: OpDef<null> = {
  name: 'zero',
  effect: true,
  infer([state]) {
    checkState('zero', { state: state! }, ['state']);
    return [{ shape: state!.shape, dtype: 'f32' }];
  },
  vjp: null,
  alias: () => [{ output: 0, input: 0, offset: 0 }],
  lower(ctx) {
    const y = ctx.outputs[0]!;
    const wide = canVector(ctx, y.elements, [y]);
    emit(ctx, {
      shader: 'zero',
      variant: { wide },
      text: (header) => zeroShader({ wide }, header),
      operands: [{ name: 'y', tensor: y, access: 'write', vector: wide ? 4 : 1 }],
      uniforms: { count: y.elements },
      workgroups: elementGrid(ctx as LowerContext, y.elements),
    });
  },
  cost: (node) => ({ macs: 0, bytes: touchedBytes(node) }),
};

/** state = 0, an effect. @throws ShapeError */
export function zero(graph: Graph, state: Tensor): void {
  graph.append(zeroOp, [state], null);
}
