/**
 * Building blocks of an AutoencoderKL, channels last: resnet, attention over all pixels, middle block. Each is a plain
 * function that traces one upstream module.
 */
import { LimitError } from '../../core/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { conv2d, type Conv2dOptions } from '../../ops/conv2d';
import { groupNorm } from '../../ops/groupNorm';
import { linear } from '../../ops/linear';
import { softmax } from '../../ops/softmax';
import { concatRows, reshape, sliceRows } from '../../ops/view';
import type { Tap, Weights } from '../weights';

/** A place in the model: where its parameters are, and who watches. */
export interface Module {
  readonly graph: Graph;
  readonly weights: Weights;
  /** norm_num_groups of the config. */
  readonly groups: number;
  readonly tap: Tap | undefined;
}

/** Of every group norm upstream. */
const eps = 1e-6;

/** Scores of one matrix product of the attention at most: 64 MiB, half of the smallest binding a device may have. */
const maxScores = 2 ** 24;

/** Traces the submodule `name` and shows its result to the tap. */
export function submodule(parent: Module, name: string, trace: (module: Module) => Tensor): Tensor {
  const { graph, weights, tap } = parent;
  const value = graph.scope(name, () =>
    trace({
      ...parent,
      weights: (inner) => weights(`${name}.${inner}`),
      tap: tap && ((inner, inside) => tap(`${name}.${inner}`, inside)),
    }),
  );
  tap?.(name, value);
  return value;
}

/** Group norm, then SiLU if asked for; the tap sees what upstream's norm module gives, without SiLU. */
export function norm(parent: Module, name: string, x: Tensor, silu: boolean): Tensor {
  const { graph, weights, groups, tap } = parent;
  return graph.scope(name, () => {
    const [weight, bias] = [weights(`${name}.weight`), weights(`${name}.bias`)];
    tap?.(name, groupNorm(graph, x, weight, bias, { groups, eps }));
    return groupNorm(graph, x, weight, bias, { groups, eps, silu });
  });
}

/** 3 x 3 convolution with bias. With a residual the value is not the module's own: the tap does not see it. */
export function convolution(
  parent: Module,
  name: string,
  x: Tensor,
  options: Omit<Conv2dOptions, 'bias'> = {},
): Tensor {
  return submodule(options.residual ? { ...parent, tap: undefined } : parent, name, ({ graph, weights }) =>
    conv2d(graph, x, weights('weight'), { ...options, bias: weights('bias') }),
  );
}

/** 1 x 1 convolution with bias. */
export function pointwise(parent: Module, name: string, x: Tensor): Tensor {
  return submodule(parent, name, ({ graph, weights }) => {
    const weight = weights('weight');
    return linear(graph, x, reshape(graph, weight, [weight.dim(0), weight.dim(1)]), {
      bias: weights('bias'),
    });
  });
}

/** x or its projection, plus two rounds of norm, SiLU and convolution. x [B, H, W, I] to [B, H, W, outputs]. */
export function resnet(parent: Module, name: string, x: Tensor, outputs: number): Tensor {
  return submodule(parent, name, (module) => {
    const first = convolution(module, 'conv1', norm(module, 'norm1', x, true));
    const hidden = norm(module, 'norm2', first, true);
    const residual = x.width === outputs ? x : pointwise(module, 'conv_shortcut', x);
    return convolution(module, 'conv2', hidden, { residual });
  });
}

/**
 * One head of full width over the pixels of each picture, added to x [B, H, W, C]. Scores are made for as many rows at a
 * time as `maxScores` allows; each row of the result is the same whatever that number.
 * @throws LimitError
 */
export function attention(parent: Module, name: string, x: Tensor): Tensor {
  return submodule(parent, name, (module) => {
    const { graph, weights } = module;
    const [batch, channels] = [x.dim(0), x.width];
    const pixels = x.rows / batch;
    if (pixels > maxScores) {
      throw new LimitError(`${name}: attention takes at most ${maxScores} pixels: ${x.describe()}`);
    }
    const flat = reshape(graph, norm(module, 'group_norm', x, false), [x.rows, channels]);
    const project = (projection: string): Tensor =>
      graph.scope(projection, () =>
        linear(graph, flat, weights(`${projection}.weight`), { bias: weights(`${projection}.bias`) }),
      );
    const [q, k, v] = [project('to_q'), project('to_k'), project('to_v')];
    const step = Math.min(pixels, Math.floor(maxScores / pixels));
    const parts: Tensor[] = [];
    for (let start = 0; start < x.rows; start += pixels) {
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
        residual: reshape(graph, x, [x.rows, channels]),
      }),
    );
    return reshape(graph, result, x.shape);
  });
}

/** Resnet, attention, resnet at the deepest level. */
export function middleBlock(parent: Module, name: string, x: Tensor, withAttention: boolean): Tensor {
  return submodule(parent, name, (module) => {
    const first = resnet(module, 'resnets.0', x, x.width);
    const attended = withAttention ? attention(module, 'attentions.0', first) : first;
    return resnet(module, 'resnets.1', attended, x.width);
  });
}
