/** References of splitColumns and splitColumnsBackward. */
import { rowStats, type Reference } from './reference';

interface SplitColumnsAttrs {
  readonly normalize: readonly boolean[];
  readonly eps: number;
}

export const splitColumnsReference: Reference<SplitColumnsAttrs> = {
  compute(node, [x]) {
    const { normalize, eps } = node.attrs;
    const stride = node.inputs[0]!.width;
    const width = stride / normalize.length;
    const rows = x!.length / stride;
    return normalize.map((normal, part) => {
      const out = new Float64Array(rows * width);
      for (let row = 0; row < rows; row++) {
        const start = row * stride + part * width;
        const [mean, rstd] = normal ? rowStats(x!, start, width, eps) : [0, 1];
        for (let c = 0; c < width; c++) out[row * width + c] = (x![start + c]! - mean) * rstd;
      }
      return out;
    });
  },
};

export const splitColumnsBackwardReference: Reference<
  SplitColumnsAttrs & { readonly present: readonly boolean[] }
> = {
  compute(node, [x, ...gradients]) {
    const { normalize, present, eps } = node.attrs;
    const stride = node.inputs[0]!.width;
    const width = stride / normalize.length;
    const rows = x!.length / stride;
    const dx = new Float64Array(x!.length);
    let next = 0;
    normalize.forEach((normal, part) => {
      if (!present[part]) return;
      const g = gradients[next++]!;
      for (let row = 0; row < rows; row++) {
        const start = row * stride + part * width;
        const [mean, rstd] = normal ? rowStats(x!, start, width, eps) : [0, 1];
        let meanG = 0;
        let meanGx = 0;
        for (let c = 0; c < width; c++) {
          meanG += g[row * width + c]! / width;
          meanGx += (g[row * width + c]! * (x![start + c]! - mean) * rstd) / width;
        }
        for (let c = 0; c < width; c++) {
          const value = g[row * width + c]!;
          const xhat = (x![start + c]! - mean) * rstd;
          dx[start + c] = normal ? rstd * (value - meanG - xhat * meanGx) : value;
        }
      }
    });
    return [dx];
  },
};
