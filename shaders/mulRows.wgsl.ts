/**
 * mulRows: y[b, t, c] = x[b, t, c] g[b, c], or g[b] when g has one column. x, y [B, T, D]; g [B, D] or [B, 1].
 * Gates in the backward pass, caption drop.
 */
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export function mulRowsShader(v: { readonly wide: boolean }, header: string): string {
  const element = (offset: number): string =>
    `loadG((i + ${offset}u) / u.sample * u.columns + (i + ${offset}u) % u.width % u.columns)`;
  return elementwise(
    header,
    `${guardedLoad('x', v.wide)}
${guardedStore('y', v.wide)}`,
    v.wide
      ? '  writeY(i, left, readX(i, left) * loadG4(i / u.sample * u.columns + i % u.width));'
      : `  var g = vec4<f32>(${element(0)});
  if (left > 1u) { g.y = ${element(1)}; }
  if (left > 2u) { g.z = ${element(2)}; }
  if (left > 3u) { g.w = ${element(3)}; }
  writeY(i, left, readX(i, left) * g);`,
  );
}
