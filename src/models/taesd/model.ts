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
import { nchwToNhwc, nhwcToNchw } from '../../ops/permute';
import { convolutionRows, RowBands, store, type ConvolutionOptions, type RowSource } from '../vae/rowBands';
import type { Weights } from '../weights';
import { taesdDecoderLayers, taesdEncoderLayers, type TaesdLayer } from './parameters';

/** Picture pixels per latent pixel. */
export const taesdFactor = 8;

/** factor x + offset */
function affine(graph: Graph, x: Tensor, factor: number, offset: number): Tensor {
  const ones = graph.constant(Float32Array.of(1, 1, 1, 1), [4]);
  return add(graph, x, ones, { alpha: factor, beta: offset });
}

const forms: Readonly<Record<TaesdLayer['size'], ConvolutionOptions>> = {
  same: {},
  half: { stride: 2, padding: 'both' },
  double: { upsample: 2 },
};

/**
 * One layer's result. A block is relu(x + conv(relu(conv(relu(conv(x)))))); in bands, its inner rows near an edge are
 * computed for the bands on both sides of it.
 */
function layerRows(graph: Graph, weights: Weights, layer: TaesdLayer, x: RowSource): RowSource {
  const { name, kind, size, relu } = layer;
  const convolution = (inner: string, input: RowSource, options: ConvolutionOptions): RowSource =>
    convolutionRows(graph, inner, input, weights(`${inner}.weight`), {
      ...options,
      ...(size === 'same' && { bias: weights(`${inner}.bias`) }),
    });
  if (kind === 'convolution') return convolution(name, x, { ...forms[size], ...(relu && { act: 'relu' }) });
  const first = convolution(`${name}.conv.0`, x, { act: 'relu' });
  const second = convolution(`${name}.conv.2`, first, { act: 'relu' });
  return convolution(`${name}.conv.4`, second, { act: 'relu', residual: x });
}

/** The layers one after another, the result of each in bands of at most `bandRows` rows. */
function sequence(
  graph: Graph,
  weights: Weights,
  layers: readonly TaesdLayer[],
  input: Tensor,
  bandRows: number,
): Tensor {
  let x = new RowBands(graph, [input]);
  for (const layer of layers) x = store(graph, layerRows(graph, weights, layer, x), bandRows);
  return x.whole();
}

/** How TAESD is traced. */
export interface TaesdOptions {
  /** Pictures of more rows are made in bands of at most so many, which takes one at a time. Default: whole pictures. */
  readonly bandRows?: number | undefined;
}

/**
 * Image [B, 3, 8h, 8w], about -1 to 1 and not clamped, of latent [B, z, h, w] as a sampler gives it. Values of the latent
 * are clamped softly, to 3 tanh(v / 3).
 * @throws ShapeError
 */
export function taesdDecode(
  graph: Graph,
  weights: Weights,
  latent: Tensor,
  { bandRows = Infinity }: TaesdOptions = {},
): Tensor {
  const channels = weights('decoder.layers.0.weight').dim(3);
  if (latent.rank !== 4 || latent.dim(1) !== channels) {
    throw new ShapeError(`taesdDecode: latent is [B, ${channels}, h, w]: ${latent.describe()}`);
  }
  const start = activation(graph, nchwToNhwc(graph, latent), 'tanh3');
  const image = sequence(graph, weights, taesdDecoderLayers(channels), start, bandRows);
  return affine(graph, nhwcToNchw(graph, image), 2, -1);
}

/**
 * Latent [B, z, H/8, W/8], scaled as a sampler's, of image [B, 3, H, W] in [-1, 1].
 * @throws ShapeError
 */
export function taesdEncode(
  graph: Graph,
  weights: Weights,
  image: Tensor,
  { bandRows = Infinity }: TaesdOptions = {},
): Tensor {
  const fits = image.rank === 4 && image.dim(1) === 3;
  if (!fits || image.dim(2) % taesdFactor !== 0 || image.dim(3) % taesdFactor !== 0) {
    throw new ShapeError(
      `taesdEncode: image is [B, 3, H, W] with sides that are multiples of ${taesdFactor}: ${image.describe()}`,
    );
  }
  const channels = weights('encoder.layers.14.weight').dim(0);
  const start = nchwToNhwc(graph, affine(graph, image, 0.5, 0.5));
  return nhwcToNchw(graph, sequence(graph, weights, taesdEncoderLayers(channels), start, bandRows));
}

/** Latent values as TAESD stores them in 8 bits, before rounding: v / 6 + 1/2 within [0, 1]. */
export function latentsToUnit(latents: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(latents, (value) => Math.min(Math.max(value / 6 + 0.5, 0), 1));
}

/** The latents of such values. */
export function unitToLatents(units: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(units, (value) => (value - 0.5) * 6);
}
