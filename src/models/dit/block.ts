/**
 * One block of the transformer (upstream's DiTBlock, mixer and backbone alike):
 *
 *   x += gateMsa * selfAttention(modulate(norm1(x)))
 *   x += crossAttention(norm2(x), caption)                    neither modulated nor gated
 *   x += gateMlp * mlp(modulate(norm3(x)))                    gated SiLU, or experts
 *
 * Sampling with guidance puts the unconditional half of the batch last. Its caption is all zero, so its caption tokens
 * are equal, attention over them is a plain average, and cross-attention adds one constant vector per block.
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { attention } from '../../ops/attention';
import { layerNorm, projectNorm } from '../../ops/layerNorm';
import { linear } from '../../ops/linear';
import { normFirst } from '../../ops/normFirst';
import { splitColumns } from '../../ops/splitColumns';
import { concatRows, reshape, sliceRows } from '../../ops/view';
import { beforeEpilogue, type Tap, type Weights } from '../weights';
import type { BlockLayout } from './config';
import { moe } from './moe';

/** Six rows of [R, d]: what adaLN makes of the condition. */
export interface BlockModulation {
  readonly shiftMsa: Tensor;
  readonly scaleMsa: Tensor;
  readonly gateMsa: Tensor;
  readonly shiftMlp: Tensor;
  readonly scaleMlp: Tensor;
  readonly gateMlp: Tensor;
}

/** What a block knows of the captions. */
export interface BlockCaption {
  /** [B, L, d], normalised. */
  readonly k: Tensor;
  /** [B, L, d] */
  readonly v: Tensor;
  /** [1, d]: what cross-attention adds to every token of the unconditional half; absent without guidance. */
  readonly unconditional?: Tensor;
}

export interface BlockInputs {
  /** [B, T, d] */
  readonly x: Tensor;
  readonly modulation: BlockModulation;
  /** u32 [B]: row of the modulation for each sample; absent: the sample's own number. */
  readonly rows?: Tensor;
  readonly caption: BlockCaption;
}

export interface BlockSettings {
  readonly layout: BlockLayout;
  readonly headDim: number;
  readonly eps: number;
  readonly capacity: number;
}

const optionalRows = (rows: Tensor | undefined): { rows?: Tensor } => (rows ? { rows } : {});
const optionalGateRows = (rows: Tensor | undefined): { gateRows?: Tensor } =>
  rows ? { gateRows: rows } : {};

/** Self-attention of [B, T, d]: q and k are normalised over all heads together. */
function selfAttention(graph: Graph, w: Weights, h: Tensor, settings: BlockSettings): Tensor {
  const { layout, headDim, eps } = settings;
  const width = layout.qkv;
  const qkv = linear(graph, h, w('attn.qkv.weight'));
  const [q, k, v] = splitColumns(
    graph,
    qkv,
    [
      { width, normalize: true },
      { width, normalize: true },
      { width, normalize: false },
    ],
    eps,
  );
  return attention(graph, q!, k!, v!, { heads: width / headDim });
}

/** Cross-attention's K and V of caption tokens [B, L, d]. */
export function captionKeys(
  graph: Graph,
  w: Weights,
  caption: Tensor,
  settings: Pick<BlockSettings, 'layout' | 'eps'>,
): { k: Tensor; v: Tensor } {
  const { width } = settings.layout;
  const kv = linear(graph, caption, w('cross_attn.kv_linear.weight'));
  const [k, v] = splitColumns(
    graph,
    kv,
    [
      { width, normalize: true },
      { width, normalize: false },
    ],
    settings.eps,
  );
  return { k: k!, v: v! };
}

/** x + cross-attention of the first caption.k.dim(0) samples; the others get the unconditional vector. */
function addCrossAttention(
  graph: Graph,
  w: Weights,
  x: Tensor,
  caption: BlockCaption,
  s: BlockSettings,
  tap?: Tap,
): Tensor {
  const { width } = s.layout;
  const { k, v, unconditional } = caption;
  const norm = { weight: w('norm2.weight'), eps: s.eps };
  const attend = (h: Tensor, residual: Tensor): Tensor => {
    const q = linear(graph, h, w('cross_attn.q_linear.weight'));
    const o = attention(graph, q, k, v, { heads: width / s.headDim, normalizeQ: s.eps });
    return linear(graph, o, w('cross_attn.proj.weight'), { residual });
  };
  if (unconditional) {
    const count = k.dim(0);
    const { normed, shifted } = normFirst(graph, x, { count, vector: unconditional, ...norm });
    return concatRows(graph, [attend(normed, sliceRows(graph, x, 0, count)), shifted]);
  }
  const h = layerNorm(graph, x, norm);
  const y = attend(h, x);
  tap?.('norm2', h);
  tap?.('cross_attn', beforeEpilogue(y));
  return y;
}

/** Applies block `w` to x; taps its modules' outputs. */
export function ditBlock(
  graph: Graph,
  w: Weights,
  inputs: BlockInputs,
  settings: BlockSettings,
  tap?: Tap,
): Tensor {
  const { modulation: m, rows, caption } = inputs;
  const { layout, eps } = settings;
  let x = inputs.x;

  const h1 = graph.scope('attn', () => {
    if (tap) tap('norm1', layerNorm(graph, x, { weight: w('norm1.weight'), eps }));
    const h = layerNorm(graph, x, {
      weight: w('norm1.weight'),
      shift: m.shiftMsa,
      scale: m.scaleMsa,
      ...optionalRows(rows),
      eps,
    });
    return linear(graph, selfAttention(graph, w, h, settings), w('attn.proj.weight'), {
      residual: x,
      gate: m.gateMsa,
      ...optionalGateRows(rows),
    });
  });
  tap?.('attn', beforeEpilogue(h1));

  x = graph.scope('cross_attn', () => addCrossAttention(graph, w, h1, caption, settings, tap));

  return graph.scope('mlp', () => {
    if (tap) tap('norm3', layerNorm(graph, x, { weight: w('norm3.weight'), eps }));
    const norm = {
      weight: w('norm3.weight'),
      shift: m.shiftMlp,
      scale: m.scaleMlp,
      ...optionalRows(rows),
      eps,
    };
    const out = { residual: x, gate: m.gateMlp, ...optionalGateRows(rows) };
    if (layout.kind === 'moe') {
      const router = { weight: w('mlp.gate.weight'), softmax: true };
      const { y: h, projected: probs } = projectNorm(graph, x, norm, router);
      const weights = { w1: w('mlp.w1'), w2: w('mlp.w2') };
      const y = moe(graph, h, probs, weights, { capacity: settings.capacity, ...out });
      tap?.('mlp', beforeEpilogue(y));
      return y;
    }
    const h = layerNorm(graph, x, norm);
    const y = linear(graph, gatedHidden(graph, w, h), w('mlp.w3.weight'), out);
    tap?.('mlp', beforeEpilogue(y));
    return y;
  });
}

/** silu(w1 h) * (w2 h) */
export function gatedHidden(graph: Graph, w: Weights, h: Tensor): Tensor {
  return linear(graph, h, w('mlp.w2.weight'), { siluGate: w('mlp.w1.weight') });
}

/** The constant that cross-attention adds to tokens whose caption is a single token: proj(v). v [1, 1, d] to [1, d]. */
export function unconditionalVector(graph: Graph, w: Weights, v: Tensor): Tensor {
  return reshape(graph, linear(graph, v, w('cross_attn.proj.weight')), [1, v.width]);
}
