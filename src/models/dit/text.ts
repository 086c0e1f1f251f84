/**
 * The caption branch: everything of the transformer that depends on neither the picture nor the noise level. Run once
 * per prompt when sampling.
 *
 *   y = fc2(norm(gelu(fc1(y))))                      y_embedder
 *   y += attention(norm1(y)); y += mlp(norm2(y))     y_emb_preprocess
 *   pooled = fc2(norm(gelu(fc1(mean y))))            pooled_y_emb_process; the mean includes padding tokens
 *   k, v of every block's cross-attention
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { attention } from '../../ops/attention';
import { meanTokens } from '../../ops/columnSum';
import { layerNorm } from '../../ops/layerNorm';
import { linear } from '../../ops/linear';
import { splitColumns } from '../../ops/splitColumns';
import { scoped, type Tap, type Weights } from '../weights';
import { captionKeys, gatedHidden, unconditionalVector } from './block';
import type { DitLayout } from './config';

export interface CaptionFeatures {
  /** [B, D] */
  readonly pooled: Tensor;
  /** k and v [B, L, d] of each block, by block name ("patch_mixer.0", "blocks.3"). */
  readonly keys: ReadonlyMap<string, { readonly k: Tensor; readonly v: Tensor }>;
}

/** fc2(norm(gelu_tanh(fc1(x)))): upstream's CaptionProjection, used twice. */
function projection(graph: Graph, w: Weights, x: Tensor, eps: number): Tensor {
  const h = linear(graph, x, w('fc1.weight'), { bias: w('fc1.bias'), act: 'gelu_tanh' });
  const n = layerNorm(graph, h, { weight: w('norm.weight'), eps });
  return linear(graph, n, w('fc2.weight'), { bias: w('fc2.bias') });
}

/** The plain transformer block on caption tokens [B, L, D]. */
function preprocess(graph: Graph, w: Weights, y: Tensor, layout: DitLayout): Tensor {
  const { dim: width, eps, headDim } = layout;
  const h1 = layerNorm(graph, y, { weight: w('norm1.weight'), eps });
  const [q, k, v] = splitColumns(
    graph,
    linear(graph, h1, w('attn.qkv.weight')),
    [
      { width, normalize: true },
      { width, normalize: true },
      { width, normalize: false },
    ],
    eps,
  );
  const o = attention(graph, q!, k!, v!, { heads: width / headDim });
  const x = linear(graph, o, w('attn.proj.weight'), { residual: y });
  const h2 = layerNorm(graph, x, { weight: w('norm2.weight'), eps });
  return linear(graph, gatedHidden(graph, w, h2), w('mlp.w3.weight'), { residual: x });
}

/** Caption latents y [B, L, caption width] to what the body and the modulation need of them. */
export function ditText(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  y: Tensor,
  tap?: Tap,
): CaptionFeatures {
  const { eps } = layout;
  const embedded = scoped(graph, weights, 'y_embedder', (w) =>
    projection(graph, (name) => w(`y_proj.${name}`), y, eps),
  );
  tap?.('y_embedder', embedded);
  const caption = scoped(graph, weights, 'y_emb_preprocess', (w) => preprocess(graph, w, embedded, layout));
  tap?.('y_emb_preprocess', caption);
  const pooled = scoped(graph, weights, 'pooled_y_emb_process', (w) =>
    projection(graph, w, meanTokens(graph, caption), eps),
  );
  tap?.('pooled', pooled);

  let mixerCaption = caption;
  if (layout.mixerMaps) {
    mixerCaption = scoped(graph, weights, 'patch_mixer_map_y', (w) =>
      linear(graph, layerNorm(graph, caption, { weight: w('0.weight'), eps }), w('1.weight')),
    );
  }
  tap?.('patch_mixer_map_y', mixerCaption);

  const keys = new Map<string, { k: Tensor; v: Tensor }>();
  for (const [blocks, source] of [
    [layout.mixer, mixerCaption],
    [layout.blocks, caption],
  ] as const) {
    for (const block of blocks) {
      keys.set(
        block.name,
        scoped(graph, weights, block.name, (w) => captionKeys(graph, w, source, { layout: block, eps })),
      );
    }
  }
  return { pooled, keys };
}

/** The unconditional vectors [1, d] of every block, from the features of a one-token zero caption. */
export function ditUnconditional(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  features: CaptionFeatures,
): Map<string, Tensor> {
  const vectors = new Map<string, Tensor>();
  for (const block of [...layout.mixer, ...layout.blocks]) {
    const { v } = features.keys.get(block.name)!;
    vectors.set(
      block.name,
      scoped(graph, weights, block.name, (w) => unconditionalVector(graph, w, v)),
    );
  }
  return vectors;
}
