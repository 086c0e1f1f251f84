/** References of groupNorm, its parts for bands, groupNormSums and groupNormBackward. */
import type { GraphNode } from '../graph/op';
import { activate, slope } from './activation';
import type { Reference, Values } from './reference';

interface StatsAttrs {
  readonly groups: number;
  readonly eps: number;
}

interface Attrs extends StatsAttrs {
  readonly silu: boolean;
}

/** [B, 2, C] of a picture whose bands are the first inputs of the node. */
function statistics(node: GraphNode<StatsAttrs>, bands: readonly Values[]): Float64Array<ArrayBuffer> {
  const { groups, eps } = node.attrs;
  const batch = node.inputs[0]!.dim(0);
  const channels = node.inputs[0]!.width;
  const width = channels / groups;
  const stats = new Float64Array(batch * 2 * channels);
  for (let b = 0; b < batch; b++) {
    for (let g = 0; g < groups; g++) {
      let [sum, squares, count] = [0, 0, 0];
      const each = (visit: (value: number) => void): void => {
        for (const x of bands) {
          const pixels = x.length / batch / channels;
          for (let s = 0; s < pixels; s++) {
            for (let c = g * width; c < (g + 1) * width; c++) visit(x[(b * pixels + s) * channels + c]!);
          }
        }
      };
      each((value) => {
        sum += value;
        count++;
      });
      const mean = sum / count;
      each((value) => (squares += (value - mean) ** 2));
      const rstd = 1 / Math.sqrt(squares / count + eps);
      stats.fill(mean, b * 2 * channels + g * width, b * 2 * channels + (g + 1) * width);
      stats.fill(rstd, (b * 2 + 1) * channels + g * width, (b * 2 + 1) * channels + (g + 1) * width);
    }
  }
  return stats;
}

/** act(xhat w + b) */
function apply(
  x: Values,
  stats: Values,
  [weight, bias]: readonly [Values, Values],
  silu: boolean,
  pixels: number,
): Float64Array<ArrayBuffer> {
  const channels = weight.length;
  return Float64Array.from(x, (value, i) => {
    const { mean, rstd, channel } = at(stats, i, pixels, channels);
    const z = (value - mean) * rstd * weight[channel]! + bias[channel]!;
    return silu ? activate('silu', z) : z;
  });
}

export const groupNormReference: Reference<Attrs> = {
  compute(node, [x, weight, bias]) {
    const stats = statistics(node, [x!]);
    const pixels = x!.length / node.inputs[0]!.dim(0) / weight!.length;
    return [apply(x!, stats, [weight!, bias!], node.attrs.silu, pixels), stats];
  },
};

export const groupNormStatsReference: Reference<StatsAttrs> = {
  compute: (node, bands) => [statistics(node, bands)],
};

export const groupNormApplyReference: Reference<{ readonly silu: boolean }> = {
  compute(node, [x, stats, weight, bias]) {
    const pixels = x!.length / node.inputs[0]!.dim(0) / weight!.length;
    return [apply(x!, stats!, [weight!, bias!], node.attrs.silu, pixels)];
  },
};

/** Statistics and channel of element i. */
function at(
  stats: Values,
  i: number,
  pixels: number,
  channels: number,
): { mean: number; rstd: number; channel: number; sample: number } {
  const sample = Math.floor(i / (pixels * channels));
  const channel = i % channels;
  const mean = stats[sample * 2 * channels + channel]!;
  const rstd = stats[(sample * 2 + 1) * channels + channel]!;
  return { mean, rstd, channel, sample };
}

export const groupNormSumsReference: Reference<Attrs> = {
  compute(node, [x, stats, weight, bias, dy]) {
    const batch = node.inputs[0]!.dim(0);
    const channels = node.inputs[0]!.width;
    const pixels = x!.length / batch / channels;
    const sums = new Float64Array(batch * 2 * channels);
    x!.forEach((value, i) => {
      const { mean, rstd, channel, sample } = at(stats!, i, pixels, channels);
      const xhat = (value - mean) * rstd;
      const derivative = node.attrs.silu ? slope('silu', xhat * weight![channel]! + bias![channel]!) : 1;
      const place = sample * 2 * channels + channel;
      sums[place] = sums[place]! + dy![i]! * derivative;
      sums[place + channels] = sums[place + channels]! + dy![i]! * derivative * xhat;
    });
    return [sums];
  },
};

export const groupNormBackwardReference: Reference<Attrs> = {
  compute(node, [x, stats, weight, bias, dy, sums]) {
    const { groups, silu } = node.attrs;
    const batch = node.inputs[0]!.dim(0);
    const channels = node.inputs[0]!.width;
    const pixels = x!.length / batch / channels;
    const width = channels / groups;
    /** Mean of w times a row of sums over the group of `channel`. */
    const groupMean = (row: number, channel: number): number => {
      const start = channel - (channel % width);
      let sum = 0;
      for (let c = start; c < start + width; c++) sum += weight![c]! * sums![row * channels + c]!;
      return sum / (pixels * width);
    };
    return [
      x!.map((value, i) => {
        const { mean, rstd, channel, sample } = at(stats!, i, pixels, channels);
        const xhat = (value - mean) * rstd;
        const w = weight![channel]!;
        const dz = dy![i]! * (silu ? slope('silu', xhat * w + bias![channel]!) : 1);
        return rstd * (w * dz - groupMean(sample * 2, channel) - xhat * groupMean(sample * 2 + 1, channel));
      }),
    ];
  },
};
