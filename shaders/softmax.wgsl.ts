/**
 * softmax: y[r, c] = exp(x[r, c] - max over c) / sum over c of exp(x[r, c] - max). x, y [R, N].
 * Backward, from the result: dx[r, c] = y[r, c] (dy[r, c] - sum over c of dy[r, c] y[r, c]); overwrites dx.
 *
 * Several lanes share a row, each taking every lanes-th strip of it in order; their partial results meet in a fixed
 * tree. Rows too short for a workgroup share one. Exponents below -87 (e^-87 is about the smallest normal number) give
 * 0, on every device alike.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';

export interface SoftmaxVariant {
  /** Rows can be accessed four wide. */
  readonly wide: boolean;
  /** Threads that share a row: a power of two that divides `threads`. */
  readonly lanes: number;
  /** Threads of a workgroup. */
  readonly threads: number;
}

/** `Strip`, one or four elements, and what is done with them. */
function stripText(v: SoftmaxVariant): string {
  return wgsl`
#if ${v.wide}
alias Strip = vec4<f32>;
const strip = 4u;
fn total(v: Strip) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn largest(v: Strip) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
#else
alias Strip = f32;
const strip = 1u;
fn total(v: Strip) -> f32 { return v; }
fn largest(v: Strip) -> f32 { return v; }
#endif
`;
}

/** A function of the workgroup that gives every lane of a row `combined` of the lanes' values a and b. */
function treeText(name: string, v: SoftmaxVariant, combined: string): string {
  return wgsl`
fn ${name}(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  cells[thread] = value;
  for (var half = ${v.lanes / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (thread % ${v.lanes}u < half) {
      let a = cells[thread];
      let b = cells[thread + half];
      cells[thread] = ${combined};
    }
  }
  workgroupBarrier();
  return cells[thread - thread % ${v.lanes}u];
}
`;
}

/** main around `body`, which sees `row` as the range [begin, end) and `step`: lanes go from begin to end by step. */
function rowsText(v: SoftmaxVariant, body: string): string {
  return wgsl`
@compute @workgroup_size(${v.threads})
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${v.threads / v.lanes}u + thread / ${v.lanes}u;
  let begin = row * u.columns + thread % ${v.lanes}u * strip;
  // threads past the last row have nothing to do, but must come to the barriers
  let end = select(begin, (row + 1u) * u.columns, row < u.rows);
  let step = ${v.lanes}u * strip;
${body}
}
`;
}

export function softmaxShader(v: SoftmaxVariant, header: string): string {
  const n = v.wide ? '4' : '';
  return wgsl`${header}
${stripText(v)}
var<workgroup> cells: array<f32, ${v.threads}>;
${treeText('maxOfLanes', v, 'max(a, b)')}
${treeText('sumOfLanes', v, 'a + b')}

fn power(exponent: Strip) -> Strip {
  let lowest = Strip(-87.0);
  return select(Strip(0.0), exp(max(exponent, lowest)), exponent >= lowest);
}
${rowsText(
  v,
  `  var high = -1e30;
  for (var i = begin; i < end; i += step) { high = max(high, largest(loadX${n}(i))); }
  high = maxOfLanes(thread, high);
  var parts = Strip(0.0);
  for (var i = begin; i < end; i += step) { parts += power(loadX${n}(i) - high); }
  let sum = sumOfLanes(thread, total(parts));
  for (var i = begin; i < end; i += step) { storeY${n}(i, power(loadX${n}(i) - high) / sum); }`,
)}
`;
}

export function softmaxBackwardShader(v: SoftmaxVariant, header: string): string {
  const n = v.wide ? '4' : '';
  return wgsl`${header}
${stripText(v)}
var<workgroup> cells: array<f32, ${v.threads}>;
${treeText('sumOfLanes', v, 'a + b')}
${rowsText(
  v,
  `  var parts = Strip(0.0);
  for (var i = begin; i < end; i += step) { parts += loadDy${n}(i) * loadY${n}(i); }
  let sum = sumOfLanes(thread, total(parts));
  for (var i = begin; i < end; i += step) { storeDx${n}(i, loadY${n}(i) * (loadDy${n}(i) - sum)); }`,
)}
`;
}
