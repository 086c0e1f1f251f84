/**
 * Building blocks of an AutoencoderKL, channels last: resnet, attention over all pixels, middle block. Each is a plain
 * function that traces one upstream module, of a picture that may be in bands of rows.
 */
import { LimitError } from '../../core/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { groupNorm, groupNormApply, groupNormStats } from '../../ops/groupNorm';
import { linear } from '../../ops/linear';
import { softmax } from '../../ops/softmax';
import { concatRows, reshape, sliceRows } from '../../ops/view';
import type { Tap, Weights } from '../weights';
import {
  convolutionRows,
  mapRows,
  RowBands,
  store,
  storeTogether,
  type ConvolutionOptions,
  type RowSource,
} from './rowBands';

/** How a model is traced, besides its weights. */
export interface TraceOptions {
  /** Sees values with channels last. */
  readonly tap?: Tap | undefined;
  /**
   * Pictures of more rows, at any level, are made in bands of at most so many, which takes one picture at a time.
   * Default: whole pictures.
   */
  readonly bandRows?: number | undefined;
}

/** A place in the model: where its parameters are, and who watches. */
export interface Module {
  readonly graph: Graph;
  readonly weights: Weights;
  /** norm_num_groups of the config. */
  readonly groups: number;
  readonly bandRows: number;
  readonly tap: Tap | undefined;
}

/** Of every group norm upstream. */
const eps = 1e-6;

/** Scores of one matrix product of the attention at most: 64 MiB, half of the smallest binding a device may have. */
const maxScores = 2 ** 24;

/** Makes the picture, band after band. */
export function stored(module: Module, source: RowSource): RowBands {
  return store(module.graph, source, module.bandRows);
}

/** Traces the submodule `name` and shows its result to the tap. */
export function submodule(parent: Module, name: string, trace: (module: Module) => RowBands): RowBands {
  const { graph, weights, tap } = parent;
  const value = graph.scope(name, () =>
    trace({
      ...parent,
      weights: (inner) => weights(`${name}.${inner}`),
      tap: tap && ((inner, inside) => tap(`${name}.${inner}`, inside)),
    }),
  );
  tap?.(name, value.whole());
  return value;
}

/** Group norm, then SiLU if asked for; the tap sees what upstream's norm module gives, without SiLU. */
export function norm(parent: Module, name: string, x: RowBands, silu: boolean): RowSource {
  const { graph, weights, groups, tap } = parent;
  const [weight, bias] = [weights(`${name}.weight`), weights(`${name}.bias`)];
  const [only, ...others] = x.bands;
  if (only && others.length === 0) {
    return graph.scope(name, () => {
      tap?.(name, groupNorm(graph, only, weight, bias, { groups, eps }));
      return new RowBands(graph, [groupNorm(graph, only, weight, bias, { groups, eps, silu })]);
    });
  }
  const stats = graph.scope(name, () => groupNormStats(graph, x.bands, { groups, eps }));
  const applied = (act: boolean): RowSource =>
    mapRows(graph, name, x, (rows) => groupNormApply(graph, rows, stats, weight, bias, { silu: act }));
  tap?.(name, applied(false).rows(0, x.height));
  return applied(silu);
}

/** 3 x 3 convolution with bias. With a residual the value is not the module's own: the tap does not see it. */
export function convolution(
  { graph, weights, tap }: Module,
  name: string,
  x: RowSource,
  options: Omit<ConvolutionOptions, 'bias'> = {},
): RowSource {
  const [weight, bias] = [weights(`${name}.weight`), weights(`${name}.bias`)];
  const result = convolutionRows(graph, name, x, weight, { ...options, bias });
  if (!options.residual) tap?.(name, result.rows(0, result.height));
  return result;
}

/** 1 x 1 convolution with bias. */
export function pointwise({ graph, weights, tap }: Module, name: string, x: RowSource): RowSource {
  const [weight, bias] = [weights(`${name}.weight`), weights(`${name}.bias`)];
  const result = mapRows(graph, name, x, (rows) =>
    linear(graph, rows, reshape(graph, weight, [weight.dim(0), weight.dim(1)]), { bias }),
  );
  tap?.(name, result.rows(0, result.height));
  return result;
}

/** x or its projection, plus two rounds of norm, SiLU and convolution. x [B, H, W, I] to [B, H, W, outputs]. */
export function resnet(parent: Module, name: string, x: RowBands, outputs: number): RowBands {
  return submodule(parent, name, (module) => {
    const { graph, bandRows } = module;
    const conv1 = convolution(module, 'conv1', norm(module, 'norm1', x, true));
    const shortcut = x.channels === outputs ? x : pointwise(module, 'conv_shortcut', x);
    // whichever takes less memory is what waits for the second norm: x, or what it is projected to
    const sources = x.channels > outputs ? [conv1, shortcut] : [conv1];
    const [first, residual = shortcut] = storeTogether(graph, sources, bandRows) as [RowBands, RowBands?];
    const hidden = norm(module, 'norm2', first, true);
    return stored(module, convolution(module, 'conv2', hidden, { residual }));
  });
}

/**
 * One head of full width over the pixels of each picture, added to x [B, H, W, C]. Scores are made for as many rows at a
 * time as `maxScores` allows; each row of the result is the same whatever that number.
 * @throws LimitError
 */
export function attention(parent: Module, name: string, x: RowBands): RowBands {
  return submodule(parent, name, (module) => {
    const { graph, weights } = module;
    const whole = x.whole();
    const [batch, channels] = [whole.dim(0), whole.width];
    const pixels = whole.rows / batch;
    if (pixels > maxScores) {
      throw new LimitError(`${name}: attention takes at most ${maxScores} pixels: ${whole.describe()}`);
    }
    const normed = norm(module, 'group_norm', new RowBands(graph, [whole]), false).rows(0, x.height);
    const flat = reshape(graph, normed, [whole.rows, channels]);
    const project = (projection: string): Tensor =>
      graph.scope(projection, () =>
        linear(graph, flat, weights(`${projection}.weight`), { bias: weights(`${projection}.bias`) }),
      );
    const [q, k, v] = [project('to_q'), project('to_k'), project('to_v')];
    const step = Math.min(pixels, Math.floor(maxScores / pixels));
    const parts: Tensor[] = [];
    for (let start = 0; start < whole.rows; start += pixels) {
      const keys = sliceRows(graph, k, start, start + pixels);
      const values = sliceRows(graph, v, start, start + pixels);
      for (let row = 0; row < pixels; row += step) {
        const queries = sliceRows(graph, q, start + row, start + Math.min(row + step, pixels));
        const scores = linear(graph, queries, keys, { scale: 1 / Math.sqrt(channels) });
        parts.push(linear(graph, softmax(graph, scores), values, { layout: 'kn' }));
      }
    }
    const gathered = concatRows(graph, parts);
    const result = graph.scope('to_out.0', () =>
      linear(graph, gathered, weights('to_out.0.weight'), {
        bias: weights('to_out.0.bias'),
        residual: reshape(graph, whole, [whole.rows, channels]),
      }),
    );
    return new RowBands(graph, [reshape(graph, result, whole.shape)]);
  });
}

/** Resnet, attention, resnet at the deepest level. */
export function middleBlock(parent: Module, name: string, x: RowBands, withAttention: boolean): RowBands {
  return submodule(parent, name, (module) => {
    const first = resnet(module, 'resnets.0', x, x.channels);
    const attended = withAttention ? attention(module, 'attentions.0', first) : first;
    return resnet(module, 'resnets.1', attended, x.channels);
  });
}
