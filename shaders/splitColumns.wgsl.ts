/**
 * splitColumns: x [rows, P W] cut into P parts, part i dense [rows, W]. A part is copied ('p'), or normalised over its
 * whole width ('n'): y = (x - mean) rstd, biased variance, no weight. A part that is not wanted ('-') is not written.
 *
 * Backward: dx [rows, P W] from the parts' gradients: g for a copied part, for a normalised one
 * rstd (g - mean(g) - xhat mean(g xhat)) with mean and rstd taken from x again, and 0 for a part without gradient.
 *
 * One dispatch each way: workgroup_id.y is the part, x the rows, shared by `lanes` threads of a workgroup of 64.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowStatsText, rowSumText, stripText, type RowLanes } from './lib/rowLanes';
import { guardedLoad, guardedStore } from './lib/text';

export interface SplitColumnsVariant {
  readonly wide: boolean;
  readonly lanes: RowLanes;
  /** One letter for each part: 'n' normalised, 'p' plain, '-' absent. */
  readonly parts: string;
}

/** Numbers of the parts that are there. */
const presentParts = (parts: string): number[] =>
  [...parts].flatMap((letter, index) => (letter === '-' ? [] : [index]));

/** Statistics of rows of x, and `isNormalized(part)`; nothing where no part is normalised. */
function statsText(v: SplitColumnsVariant): string {
  const cases = [...v.parts].flatMap((letter, index) => (letter === 'n' ? [`${index}u`] : []));
  return wgsl`
#if ${cases.length > 0}
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}
${rowStatsText(v.lanes)}
fn isNormalized(part: u32) -> bool {
  switch part {
    case ${cases.join(', ')}: { return true; }
    default: { return false; }
  }
}
#endif
`;
}

export function splitColumnsShader(v: SplitColumnsVariant, header: string): string {
  const present = presentParts(v.parts);
  return wgsl`${header}
${guardedLoad('x', v.wide)}
${present.map((i) => guardedStore(`part${i}`, v.wide)).join('\n')}
${statsText(v)}
fn writePart(part: u32, i: u32, left: u32, value: vec4<f32>) {
  switch part {
${present.map((i) => `    case ${i}u: { writePart${i}(i, left, value); }`).join('\n')}
    default: {}
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  let part = wid.y;
  // threads without a row follow the last one to the barriers
  let base = min(row, u.count - 1u) * u.stride + part * u.columns;
  // a copied part is (x - 0) 1, which is exact
  var stats = vec2<f32>(0.0, 1.0);
#if ${v.parts.includes('n')}
  if (isNormalized(part)) { stats = rowStats(base, u.columns, lane, thread); }
#endif
  if (row >= u.count) { return; }
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    writePart(part, row * u.columns + column, left, (readX(base + column, left) - stats.x) * stats.y);
  }
}
`;
}

export function splitColumnsBackwardShader(v: SplitColumnsVariant, header: string): string {
  const present = presentParts(v.parts);
  const some = v.parts.includes('n');
  return wgsl`${header}
${present.map((i) => guardedLoad(`part${i}`, v.wide)).join('\n')}
${guardedStore('dx', v.wide)}
#if ${some}
${guardedLoad('x', v.wide)}
#endif
${statsText(v)}
fn readGradient(part: u32, i: u32, left: u32) -> vec4<f32> {
  switch part {
${present.map((i) => `    case ${i}u: { return readPart${i}(i, left); }`).join('\n')}
    default: { return vec4<f32>(0.0); }
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  let part = wid.y;
  let inside = min(row, u.count - 1u);
  let base = inside * u.stride + part * u.columns;
  let own = inside * u.columns;
#if ${some}
  if (isNormalized(part)) {
    let stats = rowStats(base, u.columns, lane, thread);
    var plain = vec4<f32>(0.0);
    var times = vec4<f32>(0.0);
    for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
      let left = u.columns - column;
      let g = readGradient(part, own + column, left);
      plain += g;
      times += g * (readX(base + column, left) - stats.x);
    }
    let sums = rowSum(vec2<f32>(across(plain), across(times)), thread) / f32(u.columns);
    // mean(g xhat) per unit of x - mean
    let slope = sums.y * stats.y * stats.y;
    if (row >= u.count) { return; }
    for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
      let left = u.columns - column;
      let g = readGradient(part, own + column, left);
      let d = readX(base + column, left) - stats.x;
      writeDx(base + column, left, stats.y * (g - sums.x - d * slope));
    }
    return;
  }
#endif
  if (row >= u.count) { return; }
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    writeDx(base + column, left, readGradient(part, own + column, left));
  }
}
`;
}
