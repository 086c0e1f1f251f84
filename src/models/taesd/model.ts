/**
 * TAESD: pictures to latents and back in a fraction of AutoencoderKL's work, for previews. Channels last inside, first
 * at both ends.
 *
 * Latents are the scaled ones that a sampler makes: they are not divided by a scaling factor, and the encoder's result
 * is a latent, not moments. Pictures are in [-1, 1] as AutoencoderKL's are; the network itself has them in [0, 1].
 */
import { ShapeError } from '../../core/errors';
import type { Graph } from '../../graph/graph';
import type { Tensor } from '../../graph/tensor';
import { activation } from '../../ops/activation';
import { add } from '../../ops/add';
import { conv2d, type Conv2dOptions } from '../../ops/conv2d';
import { nchwToNhwc, nhwcToNchw } from '../../ops/permute';
import { scoped, type Weights } from '../weights';
import { taesdDecoderLayers, taesdEncoderLayers, type TaesdLayer } from './parameters';

/** Picture pixels per latent pixel. */
export const taesdFactor = 8;

/** factor x + offset */
function affine(graph: Graph, x: Tensor, factor: number, offset: number): Tensor {
  const ones = graph.constant(Float32Array.of(1, 1, 1, 1), [4]);
  return add(graph, x, ones, { alpha: factor, beta: offset });
}

/** relu(x + conv(relu(conv(relu(conv(x)))))) */
function block(graph: Graph, weights: Weights, x: Tensor): Tensor {
  const convolution = (input: Tensor, name: string, residual?: Tensor): Tensor =>
    conv2d(graph, input, weights(`${name}.weight`), {
      ...{ act: 'relu', bias: weights(`${name}.bias`) },
      ...(residual && { residual }),
    });
  return convolution(convolution(convolution(x, 'conv.0'), 'conv.2'), 'conv.4', x);
}

const forms: Readonly<Record<TaesdLayer['size'], Conv2dOptions>> = {
  same: {},
  half: { stride: 2, padding: 'both' },
  double: { upsample: 2 },
};

/** The layers one after another. */
function sequence(graph: Graph, weights: Weights, layers: readonly TaesdLayer[], input: Tensor): Tensor {
  return layers.reduce(
    (x, { name, kind, size, relu }) =>
      scoped(graph, weights, name, (inner) => {
        if (kind === 'block') return block(graph, inner, x);
        return conv2d(graph, x, inner('weight'), {
          ...forms[size],
          ...(size === 'same' && { bias: inner('bias') }),
          ...(relu && { act: 'relu' }),
        });
      }),
    input,
  );
}

/**
 * Image [B, 3, 8h, 8w], about -1 to 1 and not clamped, of latent [B, z, h, w] as a sampler gives it. Values of the latent
 * are clamped softly, to 3 tanh(v / 3).
 * @throws ShapeError
 */
export function taesdDecode(graph: Graph, weights: Weights, latent: Tensor): Tensor {
  const channels = weights('decoder.layers.0.weight').dim(3);
  if (latent.rank !== 4 || latent.dim(1) !== channels) {
    throw new ShapeError(`taesdDecode: latent is [B, ${channels}, h, w]: ${latent.describe()}`);
  }
  const start = activation(graph, nchwToNhwc(graph, latent), 'tanh3');
  const image = sequence(graph, weights, taesdDecoderLayers(channels), start);
  return affine(graph, nhwcToNchw(graph, image), 2, -1);
}

/**
 * Latent [B, z, H/8, W/8], scaled as a sampler's, of image [B, 3, H, W] in [-1, 1].
 * @throws ShapeError
 */
export function taesdEncode(graph: Graph, weights: Weights, image: Tensor): Tensor {
  const fits = image.rank === 4 && image.dim(1) === 3;
  if (!fits || image.dim(2) % taesdFactor !== 0 || image.dim(3) % taesdFactor !== 0) {
    throw new ShapeError(
      `taesdEncode: image is [B, 3, H, W] with sides that are multiples of ${taesdFactor}: ${image.describe()}`,
    );
  }
  const channels = weights('encoder.layers.14.weight').dim(0);
  const start = nchwToNhwc(graph, affine(graph, image, 0.5, 0.5));
  return nhwcToNchw(graph, sequence(graph, weights, taesdEncoderLayers(channels), start));
}

/** Latent values as TAESD stores them in 8 bits, before rounding: v / 6 + 1/2 within [0, 1]. */
export function latentsToUnit(latents: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(latents, (value) => Math.min(Math.max(value / 6 + 0.5, 0), 1));
}

/** The latents of such values. */
export function unitToLatents(units: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(units, (value) => (value - 0.5) * 6);
}
