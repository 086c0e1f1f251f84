/**
 * rowSum(value, thread): sums over rows that share a workgroup of 64 threads, `lanes` threads to a row. Every thread of a
 * row gets its row's sum. The order is fixed, so the bytes are the same on every run; must be called in uniform control
 * flow, and may be called repeatedly.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** Threads of a workgroup that uses rowSum. */
export const rowLaneThreads = 64;

/** Threads that share a row: all of a workgroup, or a part of it where rows are short. */
export type RowLanes = 1 | 4 | 8 | 16 | 64;

/**
 * Threads to a row of `columns`: short rows share a workgroup. On an adapter that runs on the CPU (`software`) a row is one
 * thread's, because barriers cost more there than anything else.
 */
export function rowLanesFor(columns: number, software: boolean): RowLanes {
  if (columns <= 8 || software) return 1;
  if (columns <= 32) return 4;
  return columns <= 256 ? 16 : 64;
}

/** `name`: of the function, where a kernel sums several types. */
export function rowSumText(
  lanes: RowLanes,
  type: 'f32' | 'u32' | 'vec2<f32>' | 'vec4<f32>',
  name = 'rowSum',
): string {
  const cells = `${name}Cells`;
  return wgsl`
#if ${lanes === 1}
fn ${name}(value: ${type}, thread: u32) -> ${type} { return value; }
#else
var<workgroup> ${cells}: array<${type}, 64>;
fn ${name}(value: ${type}, thread: u32) -> ${type} {
  workgroupBarrier();
  ${cells}[thread] = value;
  workgroupBarrier();
#if ${lanes === 64}
  // eight sums of eight, each made by every eighth thread, then their sum
  var part = ${type}();
  for (var i = 0u; i < 8u; i++) { part += ${cells}[(thread & 7u) * 8u + i]; }
  workgroupBarrier();
  if (thread < 8u) { ${cells}[thread] = part; }
  workgroupBarrier();
  let first = 0u;
  const count = 8u;
#else
  let first = thread & ${64 - lanes}u;
  const count = ${lanes}u;
#endif
  var sum = ${type}();
  for (var i = 0u; i < count; i++) { sum += ${cells}[first + i]; }
  return sum;
}
#endif
`;
}

/** `across(v)`: the sum of the four components; `present(v, left)`: v with 0 where fewer than four columns are left. */
export function stripText(wide: boolean): string {
  return wgsl`
fn across(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }
#if ${wide}
fn present(v: vec4<f32>, left: u32) -> vec4<f32> { return v; }
#else
fn present(v: vec4<f32>, left: u32) -> vec4<f32> {
  return select(vec4<f32>(0.0), v, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(left));
}
#endif
`;
}

/**
 * `rowStats(base, columns, lane, thread)`: mean and 1 / sqrt(variance + eps) of `columns` elements of x from `base`. Needs
 * rowSum of vec2, stripText, readX and u.eps.
 *
 * Two passes, the second one corrected: it sums the deviations from the first mean as well as their squares, so that a
 * row of equal values gives exactly itself as mean and a mean far above the deviation costs no accuracy.
 */
export function rowStatsText(lanes: RowLanes): string {
  return wgsl`
fn rowStats(base: u32, columns: u32, lane: u32, thread: u32) -> vec2<f32> {
  var total = vec4<f32>(0.0);
  for (var column = lane * 4u; column < columns; column += ${lanes * 4}u) {
    total += readX(base + column, columns - column);
  }
  let size = f32(columns);
  let near = rowSum(vec2<f32>(across(total), 0.0), thread).x / size;
  var first = vec4<f32>(0.0);
  var second = vec4<f32>(0.0);
  for (var column = lane * 4u; column < columns; column += ${lanes * 4}u) {
    let left = columns - column;
    let d = present(readX(base + column, left) - near, left);
    first += d;
    second += d * d;
  }
  let moments = rowSum(vec2<f32>(across(first), across(second)), thread) / size;
  let variance = max(moments.y - moments.x * moments.x, 0.0);
  return vec2<f32>(near + moments.x, 1.0 / sqrt(variance + u.eps));
}
`;
}
