/** References of activation and activationBackward. */
import { erf, type Reference } from './reference';

export type Activation = 'none' | 'gelu_tanh' | 'gelu_erf' | 'silu' | 'quick_gelu' | 'relu' | 'tanh3';

interface ActivationAttrs {
  readonly act: Activation;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const tanhScale = Math.sqrt(2 / Math.PI);

/** act(x) */
export function activate(act: Activation, x: number): number {
  switch (act) {
    case 'gelu_tanh':
      return 0.5 * x * (1 + Math.tanh(tanhScale * (x + 0.044715 * x ** 3)));
    case 'gelu_erf':
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    case 'silu':
      return x * sigmoid(x);
    case 'quick_gelu':
      return x * sigmoid(1.702 * x);
    case 'relu':
      return Math.max(x, 0);
    case 'tanh3':
      return 3 * Math.tanh(x / 3);
    case 'none':
      return x;
  }
}

/** d act(x) / d x */
export function slope(act: Activation, x: number): number {
  switch (act) {
    case 'gelu_tanh': {
      const t = Math.tanh(tanhScale * (x + 0.044715 * x ** 3));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * tanhScale * (1 + 3 * 0.044715 * x * x);
    }
    case 'gelu_erf':
      return 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
    case 'silu': {
      const s = sigmoid(x);
      return s + x * s * (1 - s);
    }
    case 'quick_gelu': {
      const s = sigmoid(1.702 * x);
      return s + 1.702 * x * s * (1 - s);
    }
    case 'relu':
      return x > 0 ? 1 : 0;
    case 'tanh3':
      return 1 - Math.tanh(x / 3) ** 2;
    case 'none':
      return 1;
  }
}

export const activationReference: Reference<ActivationAttrs> = {
  compute: (node, [x]) => [x!.map((value) => activate(node.attrs.act, value))],
};

export const activationBackwardReference: Reference<ActivationAttrs> = {
  compute: (node, [dy, x]) => [x!.map((value, i) => dy![i]! * slope(node.attrs.act, value))],
};
