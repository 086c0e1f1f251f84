/**
 * gatherSum: y[m] = sum over f < F of x[index[m, f]], rows of D elements. x [R, D] f32 or f16, index u32 [M, F],
 * y [M, D] f32. An index outside x (0xffffffff by convention) adds nothing.
 *
 * F = 1 is the plain gather. With F > 1 it is a gather's derivative: the entries of a row say which results were made
 * from it, and are added in their order, so no atomics are needed.
 */
import { guardedLoad, guardedStore } from './lib/text';
import { rowStrips } from './lib/rowStrips';

export function gatherSumShader(v: { readonly wide: boolean }, header: string): string {
  return rowStrips(
    header,
    `${guardedLoad('x', v.wide)}
${guardedStore('y', v.wide)}`,
    `  var sum = vec4<f32>(0.0);
  for (var entry = row * u.entries; entry < (row + 1u) * u.entries; entry++) {
    let source = loadIndex(entry);
    if (source < u.rows) { sum += readX(source * u.columns + column, left); }
  }
  writeY(row * u.columns + column, left, sum);`,
  );
}
