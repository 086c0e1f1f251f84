/** References of edmInput, edmLoss and edmLossBackward. */
import type { GraphNode } from '../graph/op';
import type { Reference, Values } from './reference';

interface LossAttrs {
  readonly patch: number;
}

export const edmInputReference: Reference = {
  compute(node, [latents, noise, coefficients]) {
    const sample = latents!.length / node.inputs[0]!.dim(0);
    const at = (i: number, column: number): number => coefficients![Math.floor(i / sample) * 8 + column]!;
    const noised = latents!.map((x, i) => x + at(i, 0) * noise![i]!);
    return [noised, noised.map((value, i) => at(i, 3) * value)];
  },
};

/** Whether each element of the batch counts: 1 minus its patch's mask. */
function keepOf(node: GraphNode<LossAttrs>, mask: Values | undefined, latentsAt: number): Values {
  const latents = node.inputs[latentsAt]!;
  const [channels, height, width] = [latents.dim(1), latents.dim(2), latents.dim(3)];
  const { patch } = node.attrs;
  const keep = new Float64Array(latents.elements).fill(1);
  if (!mask) return keep;
  const across = width / patch;
  const tokens = across * (height / patch);
  return keep.map((_, i) => {
    const b = Math.floor(i / (channels * height * width));
    const row = Math.floor(i / width) % height;
    return 1 - mask[b * tokens + Math.floor(row / patch) * across + Math.floor((i % width) / patch)]!;
  });
}

/** D - x with D = cSkip noised + cOut F; the coefficient `rest` stands for 1 - cSkip. */
function errorOf(F: Values, noised: Values, latents: Values, coefficients: Values): Values {
  const sample = latents.length / (coefficients.length / 8);
  return latents.map((x, i) => {
    const row = Math.floor(i / sample) * 8;
    return (
      coefficients[row + 1]! * (noised[i]! - x) - coefficients[row + 5]! * x + coefficients[row + 2]! * F[i]!
    );
  });
}

export const edmLossReference: Reference<LossAttrs> = {
  compute(node, [F, noised, latents, coefficients, mask]) {
    const keep = keepOf(node, mask, 2);
    const error = errorOf(F!, noised!, latents!, coefficients!);
    const samples = coefficients!.length / 8;
    const size = error.length / samples;
    const sums = new Float64Array(samples);
    const counts = new Float64Array(samples);
    error.forEach((e, i) => {
      const b = Math.floor(i / size);
      sums[b] = sums[b]! + keep[i]! * e * e;
      counts[b] = counts[b]! + keep[i]!;
    });
    const factor = counts.map((count, b) => (count > 0 ? coefficients![b * 8 + 4]! / count : 0));
    const perSample = sums.map((sum, b) => factor[b]! * sum);
    return [Float64Array.of(perSample.reduce((a, b) => a + b, 0) / samples), perSample, factor];
  },
};

export const edmLossBackwardReference: Reference<LossAttrs & { readonly scale: number }> = {
  compute(node, [dLoss, factor, F, noised, latents, coefficients, mask]) {
    const keep = keepOf(node, mask, 4);
    const error = errorOf(F!, noised!, latents!, coefficients!);
    const size = error.length / factor!.length;
    return [
      error.map((e, i) => {
        const b = Math.floor(i / size);
        const upstream = node.attrs.scale * dLoss![dLoss!.length > 1 ? b : 0]!;
        return upstream * 2 * coefficients![b * 8 + 2]! * keep[i]! * e * factor![b]!;
      }),
    ];
  },
};
