/**
 * gatedSilu: y = silu(a) b, elementwise. Backward: da = dy b silu'(a), db = dy silu(a).
 * The forward normally runs as linear's epilogue; this form serves the benchmark and the backward pass.
 */
import { activationSlopeText } from './lib/activations';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export function gatedSiluShader(v: { readonly wide: boolean }, header: string): string {
  return elementwise(
    header,
    `${activationSlopeText('silu')}
${guardedLoad('a', v.wide)}
${guardedLoad('b', v.wide)}
${guardedStore('y', v.wide)}`,
    `  let a = readA(i, left);
  writeY(i, left, a * sigmoid4(a) * readB(i, left));`,
  );
}

export function gatedSiluBackwardShader(v: { readonly wide: boolean }, header: string): string {
  return elementwise(
    header,
    `${activationSlopeText('silu')}
${guardedLoad('a', v.wide)}
${guardedLoad('b', v.wide)}
${guardedLoad('dy', v.wide)}
${guardedStore('da', v.wide)}
${guardedStore('db', v.wide)}`,
    `  let a = readA(i, left);
  let g = readDy(i, left);
  writeDa(i, left, g * readB(i, left) * slope4(a));
  writeDb(i, left, g * a * sigmoid4(a));`,
  );
}
