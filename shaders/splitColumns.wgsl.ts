/**
 * splitColumns: the columns of x [rows, S] cut into consecutive parts, part i dense [rows, width i]. A part is copied, or
 * normalised over its whole width: y = (x - mean) rstd, biased variance, no weight.
 *
 * Backward: dx [rows, S] from the parts' gradients, each columns' own: g for a copied part, for a normalised one
 * rstd (g - mean(g) - xhat mean(g xhat)) with mean and rstd taken from x again, and 0 for a part without gradient.
 *
 * One dispatch each way: workgroup_id.z is the part (its start and width are uniforms), x and y the rows, which are
 * shared by `lanes` threads of a workgroup of 64. Forward only handles parts that are used.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowStatsText, rowSumText, stripText, type RowLanes } from './lib/rowLanes';
import { guardedLoad, guardedStore, unroll } from './lib/text';

export interface SplitColumnsVariant {
  readonly wide: boolean;
  readonly lanes: RowLanes;
  /** For each part handled, in the order of workgroup_id.z: whether it is normalised. */
  readonly normalize: readonly boolean[];
}

/** `partStart(z)`, `partWidth(z)`, `isNormalized(z)`: the parts as functions of their number. */
function partText(normalize: readonly boolean[]): string {
  const choose = (name: string, type: string, value: (index: number) => string): string => `
fn ${name}(part: u32) -> ${type} {
  switch part {
${unroll(normalize.length, (i) => `    case ${i}u: { return ${value(i)}; }`)}
    default: { return ${type}(); }
  }
}`;
  return `${choose('partStart', 'u32', (i) => `u.start${i}`)}
${choose('partWidth', 'u32', (i) => `u.width${i}`)}
${choose('isNormalized', 'bool', (i) => String(normalize[i]))}`;
}

export function splitColumnsShader(v: SplitColumnsVariant, header: string): string {
  const some = v.normalize.some(Boolean);
  const count = v.normalize.length;
  return wgsl`${header}
${guardedLoad('x', v.wide)}
${unroll(count, (i) => guardedStore(`y${i}`, v.wide))}
${partText(v.normalize)}
fn writePart(part: u32, i: u32, left: u32, value: vec4<f32>) {
  switch part {
${unroll(count, (i) => `    case ${i}u: { writeY${i}(i, left, value); }`)}
    default: {}
  }
}
#if ${some}
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}
${rowStatsText(v.lanes)}
#endif

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  let part = wid.z;
  let width = partWidth(part);
  // threads without a row follow the last one to the barriers
  let base = min(row, u.count - 1u) * u.columns + partStart(part);
  // a copied part is (x - 0) 1, which is exact
  var stats = vec2<f32>(0.0, 1.0);
#if ${some}
  if (isNormalized(part)) { stats = rowStats(base, width, lane, thread); }
#endif
  if (row >= u.count) { return; }
  for (var column = lane * 4u; column < width; column += ${v.lanes * 4}u) {
    let left = width - column;
    writePart(part, row * width + column, left, (readX(base + column, left) - stats.x) * stats.y);
  }
}
`;
}

export interface SplitColumnsBackwardVariant extends SplitColumnsVariant {
  /** For each part: whether it has a gradient. Those without are not normalised here. */
  readonly present: readonly boolean[];
}

export function splitColumnsBackwardShader(v: SplitColumnsBackwardVariant, header: string): string {
  const some = v.normalize.some(Boolean);
  const present = v.present.flatMap((given, index) => (given ? [index] : []));
  return wgsl`${header}
${present.map((i) => guardedLoad(`dy${i}`, v.wide)).join('\n')}
${guardedStore('dx', v.wide)}
${partText(v.normalize)}
fn readGradient(part: u32, i: u32, left: u32) -> vec4<f32> {
  switch part {
${present.map((i) => `    case ${i}u: { return readDy${i}(i, left); }`).join('\n')}
    default: { return vec4<f32>(0.0); }
  }
}
#if ${some}
${guardedLoad('x', v.wide)}
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}
${rowStatsText(v.lanes)}

// what is taken off a gradient: its mean, and per unit of x - mean
fn means(base: u32, own: u32, part: u32, stats: vec2<f32>, lane: u32, thread: u32) -> vec2<f32> {
  let width = partWidth(part);
  var plain = vec4<f32>(0.0);
  var times = vec4<f32>(0.0);
  for (var column = lane * 4u; column < width; column += ${v.lanes * 4}u) {
    let left = width - column;
    let g = readGradient(part, own + column, left);
    plain += g;
    times += g * (readX(base + column, left) - stats.x);
  }
  let sums = rowSum(vec2<f32>(across(plain), across(times)), thread) / f32(width);
  return vec2<f32>(sums.x, sums.y * stats.y * stats.y);
}
#endif

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  let part = wid.z;
  let width = partWidth(part);
  let inside = min(row, u.count - 1u);
  let base = inside * u.columns + partStart(part);
  let own = inside * width;
#if ${some}
  if (isNormalized(part)) {
    let stats = rowStats(base, width, lane, thread);
    let taken = means(base, own, part, stats, lane, thread);
    if (row < u.count) {
      for (var column = lane * 4u; column < width; column += ${v.lanes * 4}u) {
        let left = width - column;
        let d = readX(base + column, left) - stats.x;
        let g = readGradient(part, own + column, left);
        writeDx(base + column, left, stats.y * (g - taken.x - d * taken.y));
      }
    }
    return;
  }
#endif
  if (row >= u.count) { return; }
  for (var column = lane * 4u; column < width; column += ${v.lanes * 4}u) {
    let left = width - column;
    writeDx(base + column, left, readGradient(part, own + column, left));
  }
}
`;
}
