/**
 * The two graphs of training.
 *
 * accumulate: EDM loss of one shard of the batch and its gradients, added into the group `grads`. Run once per shard with
 * weight shard / batch, so that any sharding gives the batch's mean.
 * update: global norm, clip, AdamW and moving average of every parameter. Run once per step.
 *
 * State groups: dit (weights and buffers), grads, m, v, ema (parameters only), metrics ("loss" [1], summed over shards).
 */
import { Graph } from '../graph/graph';
import type { Tensor } from '../graph/tensor';
import { ditEvaluate } from '../models/dit/forward';
import type { DitLayout } from '../models/dit/config';
import { timeChannels } from '../models/dit/parameters';
import type { ParameterSpec } from '../models/parameters';
import type { Weights } from '../models/weights';
import { accumulate, scale } from '../ops/add';
import { gradients } from '../ops/autodiff';
import { edmInput, edmLoss, edmColumns } from '../ops/edmLoss';
import { mulRows } from '../ops/mulRows';
import { adamW, clipScale, emaUpdate, hyperColumns, squareSum } from '../ops/optimizer';
import { concatRows, reshape } from '../ops/view';

export interface ShardShape {
  /** Samples of this shard. */
  readonly samples: number;
  /** Samples of the whole batch. */
  readonly batch: number;
  readonly captionLength: number;
  /** Tokens kept per sample; null: no masking. */
  readonly keptTokens: number | null;
  /** Also give the gradients of what the transformer was given: outputs grad_x_in and grad_y_in. */
  readonly inputGradients?: boolean;
}

/** The gradient tensor of a parameter. */
const gradientOf = (graph: Graph, spec: ParameterSpec): Tensor =>
  graph.state(`grads:${spec.name}`, spec.shape);

/**
 * Inputs: latents [n, C, h, w], captions [n, L, C], drop [n, 1] (0 drops the caption), noise like latents (unit normal),
 * coefficients [n, 8] (packEdmCoefficients), features [n, 512], and with masking mask [n, T], keep u32 [n K], restore
 * u32 [n T]. Outputs: loss_per_sample [n].
 */
export function traceAccumulate(
  layout: DitLayout,
  trained: readonly ParameterSpec[],
  makeWeights: (graph: Graph) => Weights,
  shape: ShardShape,
): Graph {
  const graph = new Graph();
  const weights = makeWeights(graph);
  const { samples, captionLength, keptTokens: kept } = shape;
  const edge = layout.grid * layout.patch;
  const latentShape = [samples, layout.channels, edge, edge];
  const latents = graph.input('latents', latentShape);
  const noise = graph.input('noise', latentShape);
  const captions = graph.input('captions', [samples, captionLength, layout.captionChannels]);
  const drop = graph.input('drop', [samples, 1]);
  const coefficients = graph.input('coefficients', [samples, edmColumns.count]);
  const features = graph.input('features', [samples, timeChannels]);
  const masked =
    kept === null
      ? null
      : {
          removed: graph.input('mask', [samples, layout.tokens]),
          rows: {
            kept,
            keep: graph.input('keep', [samples * kept], 'u32'),
            restore: graph.input('restore', [samples * layout.tokens], 'u32'),
          },
        };

  const y = mulRows(graph, captions, drop);
  const { noised, xIn } = edmInput(graph, latents, noise, coefficients);
  const F = ditEvaluate(graph, weights, layout, {
    x: xIn,
    y,
    features,
    ...(masked ? { mask: masked.rows } : {}),
  });
  const { loss, perSample } = graph.scope('loss', () =>
    edmLoss(graph, F, noised, latents, coefficients, masked?.removed, { patch: layout.patch }),
  );
  graph.output('loss_per_sample', perSample);
  const share = samples / shape.batch;
  accumulate(graph, graph.state('metrics:loss', [1]), scale(graph, loss, share));

  const parameters = trained.map((spec) => weights(spec.name));
  const accumulators = new Map(trained.map((spec, index) => [parameters[index]!, gradientOf(graph, spec)]));
  const wrt = shape.inputGradients ? [...parameters, xIn, y] : parameters;
  const found = gradients(graph, { loss, wrt, accumulators, scale: share });
  if (shape.inputGradients) {
    const [gradX, gradY] = found.slice(-2);
    if (gradX) graph.output('grad_x_in', gradX);
    if (gradY) graph.output('grad_y_in', gradY);
    graph.output('x_in', xIn);
    graph.output('y_in', y);
  }
  return graph;
}

/**
 * Inputs: hyper [8] (packHyper). Outputs: grad_norm [1], before clipping.
 * `maxNorm` 0: no clipping. `ema`: the moving average is kept too.
 */
export function traceUpdate(
  trained: readonly ParameterSpec[],
  makeWeights: (graph: Graph) => Weights,
  options: { readonly maxNorm: number; readonly ema: boolean },
): Graph {
  const graph = new Graph();
  const weights = makeWeights(graph);
  const hyper = graph.input('hyper', [hyperColumns.count]);
  const grads = trained.map((spec) => gradientOf(graph, spec));
  const { norm, scale: factor } = clipNorm(graph, grads, options.maxNorm);
  graph.output('grad_norm', norm);
  trained.forEach((spec, index) => {
    graph.scope(spec.name, () => {
      const p = weights(spec.name);
      const m = graph.state(`m:${spec.name}`, spec.shape);
      const v = graph.state(`v:${spec.name}`, spec.shape);
      adamW(graph, { p, grad: grads[index]!, m, v, hyper, scale: factor });
      if (options.ema) emaUpdate(graph, graph.state(`ema:${spec.name}`, spec.shape), p, hyper);
    });
  });
  return graph;
}

/** The norm alone, for a loss without an update. Outputs: grad_norm [1]. */
export function traceNorm(trained: readonly ParameterSpec[]): Graph {
  const graph = new Graph();
  const grads = trained.map((spec) => gradientOf(graph, spec));
  graph.output('grad_norm', clipNorm(graph, grads, 0).norm);
  return graph;
}

function clipNorm(graph: Graph, grads: readonly Tensor[], maxNorm: number): { norm: Tensor; scale: Tensor } {
  const squares = grads.map((grad) => graph.scope('norm', () => squareSum(graph, grad)));
  const all = squares.length === 1 ? squares[0]! : concatRows(graph, squares);
  return clipScale(graph, reshape(graph, all, [grads.length]), maxNorm);
}
