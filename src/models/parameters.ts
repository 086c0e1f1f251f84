/**
 * Parameter tables: what a model reads from a weight file, one row per tensor, in upstream's names and shapes, and how
 * each tensor lies on the device. Every model writes its table once; loaders, savers and memory plans read it.
 *
 * 3x3 convolution weights are stored as [o, kh, kw, i] ("ohwi"), so that the products' inner axis is contiguous; in files
 * they are torch's [o, i, kh, kw].
 */
import { InternalError, ShapeError } from '../core/errors';
import { elementCount, shapeText, type Shape } from '../core/shape';

/** How a tensor lies on the device: as in the file, or a convolution weight with its axes reordered. */
export type ParameterLayout = 'plain' | 'ohwi';

/**
 * What reads a matrix, which decides how it may be stored:
 *
 * - `product`: a matrix product or convolution; the first axis is its output channels
 * - `experts`: a product of each expert's own, [E, K, N]; output channels are the last axis of each expert
 * - `rows`: picked by number (token embeddings)
 * - `router`: a product whose result decides which experts take a token
 * - `positions`: added to every picture or text alike
 */
export type ParameterUse = 'product' | 'experts' | 'rows' | 'router' | 'positions';

/** One tensor of a model. */
export interface ParameterSpec {
  /** Upstream's name. */
  readonly name: string;
  /** As in the file. */
  readonly shape: Shape;
  readonly layout: ParameterLayout;
  /** Of a matrix; absent: 'product'. */
  readonly use?: ParameterUse;
  /** Names of the same tensor in older or foreign files, whose shape may have further axes of extent 1. */
  readonly aliases?: readonly string[];
  /** Other files hold the tensor in pieces: these names, stacked along the first axis in this order. */
  readonly stacked?: readonly string[];
}

/** [o, i, kh, kw] of an 'ohwi' tensor. */
function convolutionAxes(what: string, shape: Shape): readonly [number, number, number, number] {
  const [o, i, kh, kw] = shape;
  if (shape.length !== 4 || o === undefined || i === undefined || kh === undefined || kw === undefined) {
    throw new ShapeError(`${what}: a convolution weight has four axes [o, i, kh, kw]: ${shapeText(shape)}`);
  }
  return [o, i, kh, kw];
}

/** Shape on the device. @throws ShapeError when an 'ohwi' tensor has not four axes. */
export function storedShape(spec: Pick<ParameterSpec, 'name' | 'shape' | 'layout'>): Shape {
  if (spec.layout === 'plain') return spec.shape;
  const [o, i, kh, kw] = convolutionAxes(spec.name, spec.shape);
  return [o, kh, kw, i];
}

/** Values of [o, i, kh, kw] in the order of [o, kh, kw, i]. @throws ShapeError */
export function repackOhwi(data: Float32Array, shape: Shape): Float32Array<ArrayBuffer> {
  const [o, i, kh, kw] = convolutionAxes('repackOhwi', shape);
  if (data.length !== elementCount(shape)) {
    throw new ShapeError(
      `repackOhwi: ${shapeText(shape)} has ${elementCount(shape)} values: ${data.length} given`,
    );
  }
  const taps = kh * kw;
  const out = new Float32Array(data.length);
  for (let row = 0; row < o; row++) {
    const base = row * i * taps;
    for (let channel = 0; channel < i; channel++) {
      for (let tap = 0; tap < taps; tap++) {
        out[base + tap * i + channel] = data[base + channel * taps + tap]!;
      }
    }
  }
  return out;
}

/** Output channels of a matrix: one for each scale when it is quantised. */
export function outputChannels(spec: Pick<ParameterSpec, 'shape' | 'use'>): number {
  const [first = 1] = spec.shape;
  return spec.use === 'experts' ? first * spec.shape.at(-1)! : first;
}

/** Number of values in all tensors of a table. */
export function parameterCount(specs: readonly ParameterSpec[]): number {
  return specs.reduce((sum, spec) => sum + elementCount(spec.shape), 0);
}

/** A table by name. @throws InternalError when a name stands twice. */
export function parametersByName(specs: readonly ParameterSpec[]): ReadonlyMap<string, ParameterSpec> {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  if (byName.size !== specs.length) {
    const twice = specs.find((spec, index) => specs.findIndex((other) => other.name === spec.name) !== index);
    throw new InternalError(`parameters: every name stands once: ${twice?.name ?? ''} stands twice`);
  }
  return byName;
}
