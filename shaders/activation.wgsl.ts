/**
 * activation: y = act(x). Backward: dx = dy act'(x).
 * x, y, dx, dy: any shape, elementwise. gelu_erf is used in experts only, gelu_tanh elsewhere (see lib/activations).
 */
import { activationSlopeText, activationText, type Activation } from './lib/activations';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export interface ActivationVariant {
  readonly act: Activation;
  readonly wide: boolean;
}

export function activationShader(v: ActivationVariant, header: string): string {
  return elementwise(
    header,
    `${activationText(v.act)}
${guardedLoad('x', v.wide)}
${guardedStore('y', v.wide)}`,
    '  writeY(i, left, activate4(readX(i, left)));',
  );
}

export function activationBackwardShader(v: ActivationVariant, header: string): string {
  return elementwise(
    header,
    `${activationSlopeText(v.act)}
${guardedLoad('x', v.wide)}
${guardedLoad('dy', v.wide)}
${guardedStore('dx', v.wide)}`,
    '  writeDx(i, left, readDy(i, left) * slope4(readX(i, left)));',
  );
}
