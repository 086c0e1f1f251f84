/**
 * add: y[i] = alpha a[i] + beta b[i mod period]. `b` repeats (positions, bias-like vectors); accumulate is the same with
 * y = a in place and period = count. `wide` needs count and period to be multiples of 4.
 */
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export function addShader(v: { readonly wide: boolean; readonly inPlace: boolean }, header: string): string {
  const a = v.inPlace ? 'y' : 'a';
  const repeating = v.wide
    ? 'let b = loadB4(i % u.period);'
    : `var b = vec4<f32>(loadB(i % u.period));
  if (left > 1u) { b.y = loadB((i + 1u) % u.period); }
  if (left > 2u) { b.z = loadB((i + 2u) % u.period); }
  if (left > 3u) { b.w = loadB((i + 3u) % u.period); }`;
  return elementwise(
    header,
    `${guardedLoad(a, v.wide)}
${guardedStore('y', v.wide)}`,
    `  ${repeating}
  writeY(i, left, u.alpha * read${a.toUpperCase()}(i, left) + u.beta * b);`,
  );
}
