/**
 * How each operation of the golden file ops.json is built from this project's ops: a table from the file's op name to a
 * function that appends it. Pictures there are channels first, ours channels last; its convolution weights are
 * [O, I, kh, kw], ours [O, kh, kw, I], which is the same permutation.
 */
import type { Graph } from '../../src/graph/graph';
import type { Tensor } from '../../src/graph/tensor';
import { activation } from '../../src/ops/activation';
import { add } from '../../src/ops/add';
import { attention } from '../../src/ops/attention';
import { repeatRows } from '../../src/ops/columnSum';
import { conv2d } from '../../src/ops/conv2d';
import { gatherRows, noRow } from '../../src/ops/gatherRows';
import { groupNorm } from '../../src/ops/groupNorm';
import { layerNorm } from '../../src/ops/layerNorm';
import { linear } from '../../src/ops/linear';
import { mulRows } from '../../src/ops/mulRows';
import { patchify, unpatchify } from '../../src/ops/patches';
import { nchwToNhwc, nhwcToNchw } from '../../src/ops/permute';
import { softmax } from '../../src/ops/softmax';
import { concatRows, reshape } from '../../src/ops/view';
import { moeFromGate } from '../helpers/moe';

/** A case of ops.json; attributes depend on the op. */
export interface GoldenCase {
  readonly case: string;
  readonly op: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly output: readonly number[];
  readonly gradient: 'whole' | 'compact';
  readonly eps?: number;
  readonly groups?: number;
  readonly causal?: boolean;
  readonly stride?: 1 | 2;
  readonly patch?: number;
  readonly channels?: number;
  readonly expert_capacity?: number;
}

export interface GoldenBuilder {
  /** Largest errors allowed: the file's README. */
  readonly tolerance: number;
  readonly gradientTolerance?: number;
  /** Tensors are [B, H, T, d] in the file and [B, T, H, d] here. */
  readonly headsFirst?: boolean;
  /** Inputs that are indices: no gradient, whole numbers, handed to `build` as data. */
  readonly indices?: readonly string[];
  /** Appends the op to inputs by name; the result has the elements of the file's output in its order. */
  readonly build: (
    graph: Graph,
    inputs: Readonly<Record<string, Tensor>>,
    golden: GoldenCase,
    indices: Readonly<Record<string, Int32Array>>,
  ) => Tensor;
}

type Activated = 'gelu_tanh' | 'gelu_erf' | 'silu' | 'quick_gelu';

const activated = (act: Activated): GoldenBuilder => ({
  tolerance: 1e-5,
  build: (g, t) => activation(g, t['x']!, act),
});

const convolved: GoldenBuilder = {
  tolerance: 1e-5,
  build: (g, t, { stride }) =>
    nhwcToNchw(
      g,
      conv2d(g, nchwToNhwc(g, t['x']!), nchwToNhwc(g, t['weight']!), { stride: stride!, bias: t['bias']! }),
    ),
};

/** Index of rows in a table of samples one after another, and its inverse with `width` entries a row. */
function rowIndex(
  g: Graph,
  entries: readonly number[],
  rows: number,
  width: number,
): { index: Tensor; inverse: Tensor } {
  const inverse = new Uint32Array(rows * width).fill(noRow);
  const filled = new Array<number>(rows).fill(0);
  entries.forEach((row, at) => {
    inverse[row * width + filled[row]!] = at;
    filled[row] = filled[row]! + 1;
  });
  return {
    index: g.constant(Uint32Array.from(entries), [entries.length]),
    inverse: g.constant(inverse, [rows, width]),
  };
}

export const goldenBuilders: Readonly<Record<string, GoldenBuilder>> = {
  layernorm: {
    tolerance: 1e-5,
    build: (g, t, { eps }) =>
      layerNorm(g, t['x']!, { eps: eps!, ...(t['weight'] && { weight: t['weight'] }) }),
  },
  group_norm: {
    tolerance: 1e-5,
    build: (g, t, { groups, eps }) =>
      nhwcToNchw(
        g,
        groupNorm(g, nchwToNhwc(g, t['x']!), t['weight']!, t['bias']!, { groups: groups!, eps: eps! }),
      ),
  },
  gelu_tanh: activated('gelu_tanh'),
  gelu_erf: activated('gelu_erf'),
  silu: activated('silu'),
  quick_gelu: activated('quick_gelu'),
  softmax: { tolerance: 1e-6, build: (g, t) => softmax(g, t['x']!) },
  linear: {
    tolerance: 1e-5,
    build: (g, t) => linear(g, t['x']!, t['weight']!, { ...(t['bias'] && { bias: t['bias'] }) }),
  },
  attention: {
    tolerance: 1e-5,
    headsFirst: true,
    build(g, t, { inputs, causal }) {
      const [, heads] = inputs['q']!;
      const merged = (name: string): Tensor => {
        const [batch, , tokens, headDim] = inputs[name]!;
        return reshape(g, t[name]!, [batch!, tokens!, heads! * headDim!]);
      };
      return attention(g, merged('q'), merged('k'), merged('v'), { heads: heads!, causal: causal! });
    },
  },
  conv2d_3x3: convolved,
  conv2d_3x3_down: convolved,
  conv2d_1x1: {
    tolerance: 1e-5,
    build(g, t) {
      const weight = t['weight']!;
      const pixels = linear(g, nchwToNhwc(g, t['x']!), reshape(g, weight, [weight.dim(0), weight.dim(1)]), {
        bias: t['bias']!,
      });
      return nhwcToNchw(g, pixels);
    },
  },
  // the decoder never makes the enlarged picture; a convolution that changes nothing shows it
  upsample_nearest2: {
    tolerance: 1e-5,
    build(g, t) {
      const channels = t['x']!.dim(1);
      const identity = new Float32Array(channels * 9 * channels);
      for (let c = 0; c < channels; c++) identity[(c * 9 + 4) * channels + c] = 1;
      const weight = g.constant(identity, [channels, 3, 3, channels]);
      return nhwcToNchw(g, conv2d(g, nchwToNhwc(g, t['x']!), weight, { upsample: 2 }));
    },
  },
  patch_embed: {
    tolerance: 1e-5,
    build(g, t, { patch }) {
      const weight = t['weight']!;
      const tokens = patchify(g, t['x']!, { patch: patch!, order: 'channelSlow' });
      return linear(g, tokens, reshape(g, weight, [weight.dim(0), tokens.width]), { bias: t['bias']! });
    },
  },
  unpatchify: {
    tolerance: 0,
    build: (g, t, { patch, channels, output }) =>
      unpatchify(g, t['x']!, {
        patch: patch!,
        order: 'channelFast',
        channels: channels!,
        height: output[2]!,
        width: output[3]!,
      }),
  },
  // fused into layerNorm in the model; here from its parts
  modulate: {
    tolerance: 1e-5,
    build(g, t) {
      const x = t['x']!;
      const scaled = add(g, x, mulRows(g, x, t['scale']!));
      return add(g, scaled, repeatRows(g, t['shift']!, x.dim(1)));
    },
  },
  gather_tokens: {
    tolerance: 0,
    indices: ['ids'],
    build(g, t, { inputs }, { ids }) {
      const [samples, tokens, width] = inputs['x']!;
      const kept = inputs['ids']![1]!;
      const entries = Array.from(ids!, (id, i) => Math.floor(i / kept) * tokens! + id);
      const { index, inverse } = rowIndex(g, entries, samples! * tokens!, 1);
      return gatherRows(g, reshape(g, t['x']!, [samples! * tokens!, width!]), index, inverse);
    },
  },
  scatter_tokens: {
    tolerance: 0,
    // the mask token's gradient is a sum
    gradientTolerance: 1e-6,
    indices: ['restore'],
    build(g, t, { inputs }, { restore }) {
      const [samples, kept, width] = inputs['x']!;
      const tokens = inputs['restore']![1]!;
      const rows = samples! * kept!;
      const entries = Array.from(restore!, (place, i) =>
        place < kept! ? Math.floor(i / tokens) * kept! + place : rows,
      );
      const { index, inverse } = rowIndex(g, entries, rows + 1, entries.length);
      const table = concatRows(g, [
        reshape(g, t['x']!, [rows, width!]),
        reshape(g, t['mask_token']!, [1, width!]),
      ]);
      return gatherRows(g, table, index, inverse);
    },
  },
  moe: {
    tolerance: 1e-5,
    build: (g, t, golden) =>
      moeFromGate(
        g,
        t['x']!,
        { gate: t['gate']!, w1: t['w1']!, w2: t['w2']! },
        { capacity: golden.expert_capacity! },
      ),
  },
};

/** Cases for which the README asks for less than for their op. */
export function tolerancesOf(golden: GoldenCase): { forward: number; gradient: number } {
  const builder = goldenBuilders[golden.op]!;
  if (golden.case.endsWith('_mean1000')) return { forward: 1e-3, gradient: 1e-3 };
  if (golden.case.endsWith('_peaked')) return { forward: builder.tolerance, gradient: 1e-3 };
  return { forward: builder.tolerance, gradient: builder.gradientTolerance ?? builder.tolerance };
}
