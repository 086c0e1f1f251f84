/** References of conv2d, conv2dBackwardInput and conv2dBackwardWeight: one loop over all terms of the convolution. */
import type { Shape } from '../core/shape';
import { activate, type Activation } from './activation';
import type { Reference, Values } from './reference';

interface Form {
  readonly stride: 1 | 2;
  readonly upsample: 1 | 2;
  readonly padding: 'both' | 'bottom-right';
  readonly rows: { readonly top: number; readonly bottom: number };
}

/** Calls `visit` with the element numbers of x, w and y for every product x w that belongs to a y. */
function eachTerm(
  form: Form,
  [batch, height, width, inputs]: readonly [number, number, number, number],
  outputs: number,
  visit: (x: number, w: number, y: number) => void,
): void {
  const { stride, upsample, padding, rows } = form;
  const left = padding === 'both' ? 1 : 0;
  const size = (extent: number, zeros: number): number =>
    Math.floor((extent * upsample + zeros - 3) / stride) + 1;
  const [outHeight, outWidth] = [size(height, rows.top + rows.bottom), size(width, left + 1)];
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        for (let tap = 0; tap < 9; tap++) {
          const iy = Math.floor((oy * stride + Math.floor(tap / 3) - rows.top) / upsample);
          const ix = Math.floor((ox * stride + (tap % 3) - left) / upsample);
          if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
          const pixel = ((b * height + iy) * width + ix) * inputs;
          const place = ((b * outHeight + oy) * outWidth + ox) * outputs;
          for (let o = 0; o < outputs; o++) {
            for (let i = 0; i < inputs; i++) visit(pixel + i, (o * 9 + tap) * inputs + i, place + o);
          }
        }
      }
    }
  }
}

const four = (shape: Shape): readonly [number, number, number, number] =>
  shape as readonly [number, number, number, number];

interface ForwardAttrs extends Form {
  readonly wScale: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly act: Activation;
}

export const conv2dReference: Reference<ForwardAttrs> = {
  compute(node, inputs) {
    const [x, w] = [inputs[0]!, inputs[1]!];
    const outputs = node.outputs[0]!.width;
    let next = 2;
    const take = (present: boolean): Values | null => (present ? inputs[next++]! : null);
    const wScale = take(node.attrs.wScale);
    const bias = take(node.attrs.bias);
    const residual = take(node.attrs.residual);
    const y = Float64Array.from(
      { length: node.outputs[0]!.elements },
      (_, at) => (bias ? bias[at % outputs]! : 0) + (residual ? residual[at]! : 0),
    );
    eachTerm(
      node.attrs,
      four(node.inputs[0]!.shape),
      outputs,
      (i, j, at) => (y[at] = y[at]! + x[i]! * w[j]! * (wScale ? wScale[at % outputs]! : 1)),
    );
    return [y.map((value) => activate(node.attrs.act, value))];
  },
};

export const conv2dBackwardInputReference: Reference<Form & { readonly shape: Shape }> = {
  compute(node, [w, dy]) {
    const dx = new Float64Array(node.outputs[0]!.elements);
    const outputs = node.inputs[1]!.width;
    eachTerm(
      node.attrs,
      four(node.attrs.shape),
      outputs,
      (at, j, k) => (dx[at] = dx[at]! + w![j]! * dy![k]!),
    );
    return [dx];
  },
};

export const conv2dBackwardWeightReference: Reference<Form & { readonly shape: Shape }> = {
  compute(node, [x, dy]) {
    const dw = new Float64Array(node.outputs[0]!.elements);
    const outputs = node.inputs[1]!.width;
    eachTerm(
      node.attrs,
      four(node.inputs[0]!.shape),
      outputs,
      (i, at, k) => (dw[at] = dw[at]! + x![i]! * dy![k]!),
    );
    return [dw];
  },
};
