/**
 * The whole transformer in one graph, for single evaluations and for training: text, modulation and body composed.
 * Inputs it declares: `x` [N, C, h, w], `y` [N, L, caption width], `features` [N, 512] (timestep embedding), and with
 * masking `keep` u32 [N K], `restore` u32 [N T].
 */
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { add } from '../../ops/add';
import { concatRows, sliceRows } from '../../ops/view';
import type { Tap, Weights } from '../weights';
import { ditBody, type PatchMask } from './body';
import type { DitLayout } from './config';
import { ditCondition, ditModulation, ditTimestep } from './modulation';
import { timeChannels } from './parameters';
import { ditText } from './text';

export interface ForwardShape {
  readonly samples: number;
  readonly captionLength: number;
  /** Above 1: the batch is doubled with zero captions and combined. */
  readonly guidance: number;
  /** Tokens kept per sample; null: no masking. */
  readonly keptTokens: number | null;
}

/** Values of one evaluation with rows one to one: what training and the plain forward share. */
export interface EvaluationInputs {
  readonly x: Tensor;
  readonly y: Tensor;
  /** [N, 512] */
  readonly features: Tensor;
  readonly mask?: PatchMask;
}

/** F of one batch, every sample with its own caption and time. */
export function ditEvaluate(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  inputs: EvaluationInputs,
  tap?: Tap,
): Tensor {
  const caption = ditText(graph, weights, layout, inputs.y, tap);
  const c = ditCondition(graph, ditTimestep(graph, weights, inputs.features), caption.pooled, tap);
  const modulation = ditModulation(graph, weights, layout, c, tap);
  const body = {
    x: inputs.x,
    modulation,
    captions: caption.keys,
    ...(inputs.mask ? { mask: inputs.mask } : {}),
  };
  return ditBody(graph, weights, layout, body, tap);
}

/** Traces an evaluation from named inputs; see the head of this file. */
export function ditForward(
  graph: Graph,
  weights: Weights,
  layout: DitLayout,
  shape: ForwardShape,
  tap?: Tap,
): Tensor {
  const { samples, captionLength, guidance, keptTokens } = shape;
  const edge = layout.grid * layout.patch;
  const x = graph.input('x', [samples, layout.channels, edge, edge]);
  const y = graph.input('y', [samples, captionLength, layout.captionChannels]);
  const features = graph.input('features', [samples, timeChannels]);
  const mask =
    keptTokens === null
      ? {}
      : {
          mask: {
            kept: keptTokens,
            keep: graph.input('keep', [samples * keptTokens], 'u32'),
            restore: graph.input('restore', [samples * layout.tokens], 'u32'),
          },
        };
  if (guidance <= 1) return ditEvaluate(graph, weights, layout, { x, y, features, ...mask }, tap);
  // upstream's literal form: [conditional; unconditional], zeros for the latter's caption
  const zeros = graph.constant(new Float32Array(y.elements), y.shape);
  const twice = {
    x: concatRows(graph, [x, x]),
    y: concatRows(graph, [y, zeros]),
    features: concatRows(graph, [features, features]),
  };
  const f = ditEvaluate(graph, weights, layout, twice, tap);
  const conditional = sliceRows(graph, f, 0, samples);
  const unconditional = sliceRows(graph, f, samples, 2 * samples);
  return add(graph, conditional, unconditional, { alpha: guidance, beta: 1 - guidance });
}
