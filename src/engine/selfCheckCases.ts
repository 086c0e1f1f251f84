/**
 * What the self-check runs: for every op a few small cases, as data. Sizes are small enough for a software adapter and
 * ragged enough to reach both the four-wide and the plain form of a kernel. A test asserts that every op has a case.
 */
import type { DType } from '../core/dtype';
import type { Shape } from '../core/shape';
import { heunTable, packHeunTable } from '../diffusion/edm';
import type { Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import { activation } from '../ops/activation';
import { accumulate, add } from '../ops/add';
import { attention } from '../ops/attention';
import { columnSum, repeatRows } from '../ops/columnSum';
import { combineExperts } from '../ops/combineExperts';
import { conv2d } from '../ops/conv2d';
import { edmInput, edmLoss } from '../ops/edmLoss';
import { expertRoute } from '../ops/expertRoute';
import { gatedSilu } from '../ops/gatedSilu';
import { gatherRows, noRow } from '../ops/gatherRows';
import { groupNorm, groupNormApply, groupNormStats } from '../ops/groupNorm';
import { heunStep, sampleInput } from '../ops/heunStep';
import { layerNorm, projectNorm } from '../ops/layerNorm';
import { linear } from '../ops/linear';
import { mulRows } from '../ops/mulRows';
import { normFirst } from '../ops/normFirst';
import { adamW, clipScale, emaUpdate, packHyper, squareSum, zero } from '../ops/optimizer';
import { patchify, unpatchify } from '../ops/patches';
import { nchwToNhwc, nhwcToNchw } from '../ops/permute';
import { softmax } from '../ops/softmax';
import { splitColumns } from '../ops/splitColumns';
import { assign, concatRows, reshape, sliceRows } from '../ops/view';

/** A value given to a case. */
export interface CaseTensor {
  readonly shape: Shape;
  /** Default f32. */
  readonly dtype?: DType;
  /** Default: standard normals. */
  readonly data?: ArrayLike<number>;
  /** Output channels of an i8 tensor, which is state: as many rows of equal length, each with its scale. */
  readonly channels?: number;
}

type Tensors = Readonly<Record<string, Tensor>>;

export interface SelfCheckCase {
  /** The four files of the op share this name. */
  readonly stem: string;
  /** Shapes and form, for people. */
  readonly what: string;
  readonly inputs: Readonly<Record<string, CaseTensor>>;
  /** Tensors that the case changes in place; they are compared too. */
  readonly state?: Readonly<Record<string, CaseTensor>>;
  /** Appends the op; gives what is compared. `t` holds inputs and state by name. */
  readonly build: (graph: Graph, t: Tensors) => Readonly<Record<string, Tensor>>;
  /** Inputs whose gradient (of the first output) is compared too: the backward kernels. */
  readonly wrt?: readonly string[];
  /** Largest error over largest value; 0: equal. */
  readonly tolerance: number;
}

const f = (...shape: number[]): CaseTensor => ({ shape });
const half = (...shape: number[]): CaseTensor => ({ shape, dtype: 'f16' });
const int8 = (channels: number, ...rest: number[]): CaseTensor => ({
  ...{ shape: [channels, ...rest], dtype: 'i8', channels },
});
const u32 = (shape: Shape, data: readonly number[]): CaseTensor => ({ shape, dtype: 'u32', data });
const eps = 1e-6;

// a routing by hand: 1 sample of 4 tokens, 2 experts that take 2 each; token 1 goes to both, token 2 to none
const picks = u32([2, 2], [1, 0, 3, 1]);
const slots = u32([4, 2], [1, noRow, 0, 3, noRow, noRow, noRow, 2]);
const hyper = packHyper({
  lr: 1e-2,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.1,
  step: 3,
  emaRate: 0.2,
});
const edmCoefficients = numbers(
  [2, 8],
  [0.7, 0.6, 0.5, 0.9, 1.4, 0.4, 0, 0, 1.9, 0.2, 0.8, 0.5, 1.1, 0.8, 0, 0],
);

function numbers(shape: Shape, data: readonly number[]): CaseTensor {
  return { shape, data: Float32Array.from(data) };
}

export const selfCheckCases: readonly SelfCheckCase[] = [
  ...(['gelu_tanh', 'gelu_erf', 'silu', 'quick_gelu'] as const).map((act): SelfCheckCase => ({
    stem: 'activation',
    what: `[3, 20], ${act}`,
    inputs: { x: f(3, 20) },
    build: (g, t) => ({ y: activation(g, t['x']!, act) }),
    wrt: ['x'],
    tolerance: 1e-5,
  })),
  {
    stem: 'add',
    what: '[6, 7] + [7] repeated, scaled; accumulate',
    inputs: { a: f(6, 7), b: f(7) },
    state: { sum: f(6, 7) },
    build: (g, t) => {
      const y = add(g, t['a']!, t['b']!, { alpha: 0.5, beta: 2 });
      accumulate(g, t['sum']!, y);
      return { y };
    },
    wrt: ['a', 'b'],
    tolerance: 1e-5,
  },
  {
    stem: 'attention',
    what: '[2, 9] over 7 keys, 2 heads of 16',
    inputs: { q: f(2, 9, 32), k: f(2, 7, 32), v: f(2, 7, 32) },
    build: (g, t) => ({ y: attention(g, t['q']!, t['k']!, t['v']!, { heads: 2 }) }),
    wrt: ['q', 'k', 'v'],
    tolerance: 1e-5,
  },
  {
    stem: 'attention',
    what: '[1, 9] over 7 keys, q normalised',
    inputs: { q: f(1, 9, 48), k: f(1, 7, 48), v: f(1, 7, 48) },
    build: (g, t) => ({ y: attention(g, t['q']!, t['k']!, t['v']!, { heads: 3, normalizeQ: eps }) }),
    wrt: ['q', 'k', 'v'],
    tolerance: 1e-5,
  },
  {
    stem: 'attention',
    what: '[1, 10] over 10 keys, causal',
    inputs: { q: f(1, 10, 16), k: f(1, 10, 16), v: f(1, 10, 16) },
    build: (g, t) => ({ y: attention(g, t['q']!, t['k']!, t['v']!, { heads: 1, causal: true }) }),
    tolerance: 1e-5,
  },
  {
    stem: 'columnSum',
    what: '2 groups of [9, 12]; rows repeated',
    inputs: { x: f(2, 9, 12) },
    build: (g, t) => {
      const y = columnSum(g, t['x']!, { groups: 2, columns: 12, scale: 0.5 });
      return { y, repeated: repeatRows(g, y, 3) };
    },
    wrt: ['x'],
    tolerance: 1e-5,
  },
  {
    stem: 'combineExperts',
    what: '[1, 4, 12], 2 experts of 2 tokens',
    inputs: { h: f(2, 2, 12), probs: f(1, 4, 2), slots, picks },
    build: (g, t) => ({ y: combineExperts(g, t['h']!, t['probs']!, t['slots']!, t['picks']!) }),
    wrt: ['h', 'probs'],
    tolerance: 1e-5,
  },
  {
    stem: 'conv2d',
    what: '[1, 6, 5, 8] to 12, bias',
    inputs: { x: f(1, 6, 5, 8), w: f(12, 3, 3, 8), bias: f(12) },
    build: (g, t) => ({ y: conv2d(g, t['x']!, t['w']!, { bias: t['bias']! }) }),
    wrt: ['x', 'w', 'bias'],
    tolerance: 1e-5,
  },
  {
    stem: 'conv2d',
    what: '[1, 3, 4, 8] enlarged twice, f16 weights',
    inputs: { x: f(1, 3, 4, 8), w: half(6, 3, 3, 8) },
    build: (g, t) => ({ y: conv2d(g, t['x']!, t['w']!, { upsample: 2 }) }),
    tolerance: 1e-5,
  },
  {
    stem: 'conv2d',
    what: '[1, 5, 4, 8] to 12, int8 weights',
    inputs: { x: f(1, 5, 4, 8), bias: f(12) },
    state: { w: int8(12, 3, 3, 8) },
    build: (g, t) => ({ y: conv2d(g, t['x']!, t['w']!, { bias: t['bias']! }) }),
    tolerance: 1e-5,
  },
  {
    stem: 'conv2d',
    what: '[1, 5, 6, 4] in steps of 2',
    inputs: { x: f(1, 5, 6, 4), w: f(4, 3, 3, 4) },
    build: (g, t) => ({ y: conv2d(g, t['x']!, t['w']!, { stride: 2 }) }),
    tolerance: 1e-5,
  },
  {
    stem: 'edmLoss',
    what: '[2, 3, 4, 4], mask of 2 x 2 patches',
    inputs: {
      F: f(2, 3, 4, 4),
      latents: f(2, 3, 4, 4),
      noise: f(2, 3, 4, 4),
      coefficients: edmCoefficients,
      mask: { shape: [2, 4], data: [0, 1, 0, 0, 1, 1, 0, 1] },
    },
    build: (g, t) => {
      const coefficients = t['coefficients']!;
      const { noised, xIn } = edmInput(g, t['latents']!, t['noise']!, coefficients);
      const { loss } = edmLoss(g, t['F']!, noised, t['latents']!, coefficients, t['mask'], { patch: 2 });
      return { loss, xIn };
    },
    wrt: ['F'],
    tolerance: 1e-5,
  },
  {
    stem: 'expertRoute',
    what: '[2, 11, 3], 4 tokens each, exact',
    // every value several times: ties go to the lower token
    inputs: {
      probs: { shape: [2, 11, 3], data: Float32Array.from({ length: 66 }, (_, i) => ((i * 37) % 19) / 20) },
      x: f(2, 11, 8),
    },
    build: (g, t) => ({ ...expertRoute(g, t['probs']!, t['x']!, 4) }),
    tolerance: 0,
  },
  {
    stem: 'gatedSilu',
    what: '[5, 12]',
    inputs: { a: f(5, 12), b: f(5, 12) },
    build: (g, t) => ({ y: gatedSilu(g, t['a']!, t['b']!) }),
    wrt: ['a', 'b'],
    tolerance: 1e-5,
  },
  {
    stem: 'gatherRows',
    what: '3 of [5, 8], exact',
    inputs: { x: f(5, 8), keep: u32([3], [4, 0, 2]), restore: u32([5, 1], [1, noRow, 2, noRow, 0]) },
    build: (g, t) => ({ y: gatherRows(g, t['x']!, t['keep']!, t['restore']) }),
    wrt: ['x'],
    tolerance: 0,
  },
  {
    stem: 'groupNorm',
    what: '[1, 5, 4, 24] in 8 groups, silu',
    inputs: { x: f(1, 5, 4, 24), weight: f(24), bias: f(24) },
    build: (g, t) => ({ y: groupNorm(g, t['x']!, t['weight']!, t['bias']!, { groups: 8, eps, silu: true }) }),
    wrt: ['x', 'weight', 'bias'],
    tolerance: 1e-5,
  },
  {
    stem: 'groupNorm',
    what: '[1, 7, 4, 24] in 8 groups, as bands of 4 and 3 rows',
    inputs: { above: f(1, 4, 4, 24), below: f(1, 3, 4, 24), weight: f(24), bias: f(24) },
    build: (g, t) => {
      const stats = groupNormStats(g, [t['above']!, t['below']!], { groups: 8, eps });
      return { y: groupNormApply(g, t['below']!, stats, t['weight']!, t['bias']!) };
    },
    tolerance: 1e-5,
  },
  {
    stem: 'heunStep',
    what: '[1, 4, 4, 4], one guided step',
    inputs: { F: f(2, 4, 16), step: u32([1], [0]) },
    state: { x: f(1, 4, 4, 4), xEval: f(1, 4, 4, 4), slope: f(1, 4, 4, 4), denoised: f(1, 4, 4, 4) },
    build: (g, t) => {
      const table = g.constant(packHeunTable(heunTable(4)), [7, 8]);
      const schedule = { table, step: t['step']!, guided: true, patch: 2 };
      const xIn = sampleInput(g, { xEval: t['xEval']!, ...schedule });
      const { x, xEval, slope, denoised } = t;
      heunStep(g, {
        F: t['F']!,
        x: x!,
        xEval: xEval!,
        slope: slope!,
        denoised: denoised!,
        ...schedule,
        guidance: 3,
      });
      return { xIn };
    },
    tolerance: 1e-5,
  },
  {
    stem: 'layerNorm',
    what: '[7, 30], weight and bias',
    inputs: { x: f(7, 30), w: f(30), b: f(30) },
    build: (g, t) => ({ y: layerNorm(g, t['x']!, { eps, weight: t['w']!, bias: t['b']! }) }),
    wrt: ['x', 'w', 'b'],
    tolerance: 1e-5,
  },
  {
    stem: 'layerNorm',
    what: '[2, 9, 48], modulated',
    inputs: { x: f(2, 9, 48), w: f(48), shift: f(2, 48), scale: f(2, 48) },
    build: (g, t) => ({
      y: layerNorm(g, t['x']!, { eps, weight: t['w']!, shift: t['shift']!, scale: t['scale']! }),
    }),
    wrt: ['x', 'w', 'shift', 'scale'],
    tolerance: 1e-5,
  },
  {
    stem: 'layerNorm',
    what: '[7, 40] and softmax of 6 products',
    inputs: { x: f(7, 40), w: f(40), narrow: f(6, 40) },
    build: (g, t) => {
      const product = { weight: t['narrow']!, softmax: true };
      const { y, projected } = projectNorm(g, t['x']!, { eps, weight: t['w']! }, product);
      return { projected, y };
    },
    wrt: ['x', 'w', 'narrow'],
    tolerance: 1e-5,
  },
  {
    stem: 'linear',
    what: '[9, 64] x [48, 64], bias',
    inputs: { x: f(9, 64), w: f(48, 64), bias: f(48) },
    build: (g, t) => ({ y: linear(g, t['x']!, t['w']!, { bias: t['bias']! }) }),
    wrt: ['x', 'w', 'bias'],
    tolerance: 1e-5,
  },
  {
    stem: 'linear',
    what: '[9, 32] x [24, 32], f16 weights, gate and residual',
    inputs: { x: f(1, 9, 32), w: half(24, 32), gate: f(1, 24), residual: f(1, 9, 24) },
    build: (g, t) => ({
      y: linear(g, t['x']!, t['w']!, { gate: t['gate']!, residual: t['residual']! }),
    }),
    tolerance: 1e-5,
  },
  ...([32, 15] as const).map((k): SelfCheckCase => ({
    stem: 'linear',
    what: `[9, ${k}] x [24, ${k}], int8 weights`,
    inputs: { x: f(9, k) },
    state: { w: int8(24, k) },
    build: (g, t) => ({ y: linear(g, t['x']!, t['w']!) }),
    tolerance: 1e-5,
  })),
  {
    stem: 'linear',
    what: '[9, 16] x [20, 16] twice, silu of one times the other',
    inputs: { x: f(9, 16), w: f(20, 16), v: f(20, 16) },
    build: (g, t) => ({ y: linear(g, t['x']!, t['w']!, { siluGate: t['v']! }) }),
    wrt: ['x', 'w', 'v'],
    tolerance: 1e-5,
  },
  {
    stem: 'linear',
    what: '3 experts, [10, 8] x [8, 12], exact gelu',
    inputs: { x: f(3, 10, 8), w: f(3, 8, 12) },
    build: (g, t) => ({ y: linear(g, t['x']!, t['w']!, { layout: 'kn', batched: true, act: 'gelu_erf' }) }),
    wrt: ['x', 'w'],
    tolerance: 1e-5,
  },
  {
    stem: 'linear',
    what: '[7, 15] x [5, 15], ragged',
    inputs: { x: f(7, 15), w: f(5, 15) },
    build: (g, t) => ({ y: linear(g, t['x']!, t['w']!) }),
    tolerance: 1e-5,
  },
  {
    stem: 'mulRows',
    what: '[2, 5, 12] by [2, 12]',
    inputs: { x: f(2, 5, 12), v: f(2, 12) },
    build: (g, t) => ({ y: mulRows(g, t['x']!, t['v']!) }),
    wrt: ['x', 'v'],
    tolerance: 1e-5,
  },
  {
    stem: 'normFirst',
    what: '1 of [2, 5, 36] normalised',
    inputs: { x: f(2, 5, 36), w: f(36), vector: f(36) },
    build: (g, t) => {
      const options = { count: 1, weight: t['w']!, vector: t['vector']!, eps };
      const { normed, shifted } = normFirst(g, t['x']!, options);
      return { both: concatRows(g, [normed, shifted]) };
    },
    wrt: ['x', 'w', 'vector'],
    tolerance: 1e-5,
  },
  {
    stem: 'optimizer',
    what: 'AdamW, norm clip, moving average of [5, 8]',
    inputs: { grad: f(5, 8), hyper: { shape: [8], data: hyper } },
    state: {
      p: f(5, 8),
      m: f(5, 8),
      v: { shape: [5, 8], data: Float32Array.from({ length: 40 }, (_, i) => 0.1 + 0.02 * i) },
      ema: f(5, 8),
      cleared: f(5, 8),
    },
    build: (g, t) => {
      const { norm, scale } = clipScale(g, squareSum(g, t['grad']!), 0.25);
      adamW(g, { p: t['p']!, grad: t['grad']!, m: t['m']!, v: t['v']!, hyper: t['hyper']!, scale });
      emaUpdate(g, t['ema']!, t['p']!, t['hyper']!);
      zero(g, t['cleared']!);
      return { norm };
    },
    tolerance: 1e-5,
  },
  {
    stem: 'patches',
    what: '[1, 3, 4, 6] by 2 and back, exact',
    inputs: { x: f(1, 3, 4, 6) },
    build: (g, t) => {
      const tokens = patchify(g, t['x']!, { patch: 2, order: 'channelSlow' });
      const form = { patch: 2, channels: 3, height: 4, width: 6 };
      return { tokens, back: unpatchify(g, tokens, { ...form, order: 'channelFast' }) };
    },
    tolerance: 0,
  },
  {
    stem: 'permute',
    what: '[2, 5, 3, 7], channels last and back, exact',
    inputs: { x: f(2, 5, 3, 7) },
    build: (g, t) => {
      const last = nchwToNhwc(g, t['x']!);
      return { last, first: nhwcToNchw(g, last) };
    },
    tolerance: 0,
  },
  {
    stem: 'softmax',
    what: '[6, 37]',
    inputs: { x: f(6, 37) },
    build: (g, t) => ({ y: softmax(g, t['x']!) }),
    wrt: ['x'],
    tolerance: 1e-5,
  },
  {
    stem: 'splitColumns',
    what: '[5, 72] in 3, two normalized',
    inputs: { x: f(5, 72) },
    build: (g, t) => {
      const part = (normalize: boolean): { width: number; normalize: boolean } => ({ width: 24, normalize });
      const [q, k, v] = splitColumns(g, t['x']!, [part(true), part(true), part(false)], eps);
      return { all: add(g, add(g, q!, k!, { beta: 2 }), v!, { beta: -0.5 }), q: q!, k: k!, v: v! };
    },
    wrt: ['x'],
    tolerance: 1e-5,
  },
  {
    stem: 'view',
    what: 'rows of [6, 5] cut, joined and stored, exact',
    inputs: { x: f(6, 5) },
    state: { kept: f(5, 5) },
    build: (g, t) => {
      const x = t['x']!;
      const joined = concatRows(g, [sliceRows(g, x, 4, 6), sliceRows(g, x, 0, 3)]);
      assign(g, t['kept']!, joined);
      return { y: reshape(g, joined, [25]) };
    },
    tolerance: 0,
  },
];
