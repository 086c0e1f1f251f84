/** References of layerNorm and layerNormBackward. */
import type { GraphNode } from '../graph/op';
import { rowStats, type Reference, type Values } from './reference';
import { softmaxRows } from './softmax';

interface LayerNormAttrs {
  readonly eps: number;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly modulated: boolean;
  readonly chosen: boolean;
  readonly narrow: boolean;
  readonly narrowBias: boolean;
  readonly softmax: boolean;
}

interface Parts {
  readonly x: Values;
  readonly weight: Values | null;
  readonly bias: Values | null;
  readonly shift: Values | null;
  readonly scale: Values | null;
  /** Weight and bias of the narrow product. */
  readonly narrow: Values | null;
  readonly narrowBias: Values | null;
  /** First element of a row's shift and scale. */
  modulation(row: number): number;
}

function parts(node: GraphNode<LayerNormAttrs>, inputs: readonly Values[], skip: number): Parts {
  const a = node.attrs;
  let next = skip;
  const take = (present: boolean): Values | null => (present ? inputs[next++]! : null);
  const x = take(true)!;
  const width = node.inputs[skip]!.width;
  const weight = take(a.weight);
  const bias = take(a.bias);
  const shift = take(a.modulated);
  const scale = take(a.modulated);
  const rows = take(a.chosen);
  const narrow = take(a.narrow);
  const narrowBias = take(a.narrowBias);
  const samples = rows ? rows.length : shift ? shift.length / width : 1;
  const tokens = x.length / width / samples;
  return {
    x,
    weight,
    bias,
    shift,
    scale,
    narrow,
    narrowBias,
    modulation(row) {
      const sample = Math.floor(row / tokens);
      return (rows ? rows[sample]! : sample) * width;
    },
  };
}

export const layerNormReference: Reference<LayerNormAttrs> = {
  compute(node, inputs) {
    const width = node.inputs[0]!.width;
    const p = parts(node, inputs, 0);
    const y = new Float64Array(p.x.length);
    const stats = new Float64Array((p.x.length / width) * 2);
    for (let row = 0; row < p.x.length / width; row++) {
      const [mean, rstd] = rowStats(p.x, row * width, width, node.attrs.eps);
      stats.set([mean, rstd], row * 2);
      const m = p.modulation(row);
      for (let c = 0; c < width; c++) {
        let value = (p.x[row * width + c]! - mean) * rstd * (p.weight?.[c] ?? 1) + (p.bias?.[c] ?? 0);
        if (p.scale && p.shift) value = value * (1 + p.scale[m + c]!) + p.shift[m + c]!;
        y[row * width + c] = value;
      }
    }
    return p.narrow ? [y, stats, project(y, width, p, node.attrs.softmax)] : [y, stats];
  },
};

/** y narrow^T + bias, or the softmax of that. */
function project(y: Values, width: number, { narrow, narrowBias }: Parts, softmax: boolean): Values {
  const outputs = narrow!.length / width;
  const z = Float64Array.from({ length: (y.length / width) * outputs }, (_, at) => {
    const [row, n] = [Math.floor(at / outputs), at % outputs];
    let sum = narrowBias?.[n] ?? 0;
    for (let c = 0; c < width; c++) sum += y[row * width + c]! * narrow![n * width + c]!;
    return sum;
  });
  return softmax ? softmaxRows(z, outputs) : z;
}

export const layerNormBackwardReference: Reference<LayerNormAttrs> = {
  compute(node, inputs) {
    const width = node.inputs[2]!.width;
    const p = parts(node, inputs, 2);
    const dy = inputs[0]!;
    const dx = new Float64Array(p.x.length);
    const zeros = (like: Values | null): Values => new Float64Array(like?.length ?? 0);
    const [dweight, dbias, dshift, dscale] = [zeros(p.weight), zeros(p.bias), zeros(p.shift), zeros(p.scale)];
    for (let row = 0; row < p.x.length / width; row++) {
      const start = row * width;
      const [mean, rstd] = rowStats(p.x, start, width, node.attrs.eps);
      const m = p.modulation(row);
      const g = new Float64Array(width);
      const xhat = new Float64Array(width);
      let meanG = 0;
      let meanGx = 0;
      for (let c = 0; c < width; c++) {
        xhat[c] = (p.x[start + c]! - mean) * rstd;
        const w = p.weight?.[c] ?? 1;
        const dz = dy[start + c]! * (1 + (p.scale?.[m + c] ?? 0));
        if (p.shift) dshift[m + c]! += dy[start + c]!;
        if (p.scale) dscale[m + c]! += dy[start + c]! * (w * xhat[c]! + (p.bias?.[c] ?? 0));
        if (p.weight) dweight[c]! += dz * xhat[c]!;
        if (p.bias) dbias[c]! += dz;
        g[c] = dz * w;
        meanG += g[c]! / width;
        meanGx += (g[c]! * xhat[c]!) / width;
      }
      for (let c = 0; c < width; c++) dx[start + c] = rstd * (g[c]! - meanG - xhat[c]! * meanGx);
    }
    return [dx, p.weight && dweight, p.bias && dbias, p.shift && dshift, p.scale && dscale].filter(
      (values) => values !== null,
    );
  },
};
