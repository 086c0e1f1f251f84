/**
 * layerNorm: y = z (1 + scale[r]) + shift[r], z = (x - mean) rstd weight + bias, per row of x [rows, D]; weight, bias
 * [D]; shift, scale [R, D]. r is the row's sample (row / tokens), or rows[sample]. Every part but the norm is optional
 * and structural. Saved for the backward pass, where used: stats [rows, 2] = mean, rstd.
 *
 * Backward, with xhat = (x - mean) rstd and g = dy (1 + scale) weight:
 *   dx = rstd (g - mean(g) - xhat mean(g xhat))
 *   p[b] = sum_t dy xhat, q[b] = sum_t dy            over the tokens of sample b
 *   dscale[b] = weight p[b] + bias q[b], dshift[b] = q[b]
 *   dweight = sum_b (1 + scale[b]) p[b], dbias = sum_b (1 + scale[b]) q[b]
 * The column sums are taken in two dispatches: p and q of chunks of at most 64 rows, never across samples, then chunks
 * and samples in order. No atomics; nothing is accumulated into its output.
 *
 * Rows are shared by `lanes` threads of a workgroup of 64; the columns of a row are read three times, which caches serve.
 *
 * A narrow product may follow in the same dispatch (a router, a final layer): projected [rows, N] = y narrow^T + bias,
 * narrow [N, D], N <= 64, or the softmax of that over N. Each lane multiplies the columns that it has just made, so y
 * itself is written only where something reads it.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowStatsText, rowSumText, stripText, type RowLanes } from './lib/rowLanes';
import { guardedLoad, guardedStore, unroll } from './lib/text';

/** Largest N of the narrow product: a lane holds N partial sums. */
export const maxNarrow = 64;

export interface LayerNormVariant {
  readonly wide: boolean;
  readonly lanes: RowLanes;
  readonly weight: boolean;
  readonly bias: boolean;
  /** shift and scale. */
  readonly modulated: boolean;
  /** Rows of shift and scale are chosen by `rows`. */
  readonly chosen: boolean;
  readonly saveY: boolean;
  readonly saveStats: boolean;
  /** N of the narrow product; 0: there is none. */
  readonly narrow: number;
  readonly narrowBias: boolean;
  readonly softmax: boolean;
}

/** `modulationRow(row)`: first element of the row's shift and scale. */
function modulationRow(chosen: boolean): string {
  return chosen
    ? 'fn modulationRow(row: u32) -> u32 { return loadRows(row / u.tokens) * u.columns; }'
    : 'fn modulationRow(row: u32) -> u32 { return row / u.tokens * u.columns; }';
}

/** `n` outputs as components of vec4s: `sums0.x`, `sums0.y`, ... */
const component = (n: number): string => `sums${Math.floor(n / 4)}.${'xyzw'.charAt(n % 4)}`;

/** Sums of the lanes' products, softmax, and the store: after the loop that adds to products0, products1, ... */
function finishNarrow(v: LayerNormVariant): string {
  const groups = Math.ceil(v.narrow / 4);
  const outputs = Array.from({ length: v.narrow }, (_, n) => n);
  return wgsl`
${unroll(groups, (g) => `  var sums${g} = narrowSum(products${g}, thread);`)}
  if (lane > 0u || row >= u.count) { return; }
#if ${v.narrowBias}
${unroll(v.narrow, (n) => `  ${component(n)} += loadNarrowBias(${n}u);`)}
#endif
#if ${v.softmax}
  var highest = ${component(0)};
${outputs
  .slice(1)
  .map((n) => `  highest = max(highest, ${component(n)});`)
  .join('\n')}
  // as the op softmax: e^-87 is about the smallest normal number
  let lowest = vec4<f32>(-87.0);
${unroll(groups, (g) => `  sums${g} -= highest;\n  sums${g} = select(vec4<f32>(0.0), exp(max(sums${g}, lowest)), sums${g} >= lowest);`)}
  var total = 0.0;
${unroll(v.narrow, (n) => `  total += ${component(n)};`)}
${unroll(v.narrow, (n) => `  storeProjected(row * ${v.narrow}u + ${n}u, ${component(n)} / total);`)}
#else
${unroll(v.narrow, (n) => `  storeProjected(row * ${v.narrow}u + ${n}u, ${component(n)});`)}
#endif
`;
}

/** Products of four columns with four outputs; the last outputs of a ragged N repeat and are not used. */
function narrowProducts(v: LayerNormVariant, group: number): string {
  const row = (i: number): string =>
    `dot(value, readNarrow(${Math.min(group * 4 + i, v.narrow - 1)}u * u.columns + column, left))`;
  return `    products${group} += vec4<f32>(${[0, 1, 2, 3].map(row).join(', ')});`;
}

export function layerNormShader(v: LayerNormVariant, header: string): string {
  const groups = Math.ceil(v.narrow / 4);
  return wgsl`${header}
${guardedLoad('x', v.wide)}
#if ${v.saveY}
${guardedStore('y', v.wide)}
#endif
#if ${v.narrow > 0}
${guardedLoad('narrow', v.wide)}
${rowSumText(v.lanes, 'vec4<f32>', 'narrowSum')}
#endif
#if ${v.weight}
${guardedLoad('weight', v.wide)}
#endif
#if ${v.bias}
${guardedLoad('bias', v.wide)}
#endif
#if ${v.modulated}
${guardedLoad('shift', v.wide)}
${guardedLoad('scale', v.wide)}
${modulationRow(v.chosen)}
#endif
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}
${rowStatsText(v.lanes)}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  // threads without a row follow the last one to the barriers
  let inside = min(row, u.count - 1u);
  let base = inside * u.columns;
  let stats = rowStats(base, u.columns, lane, thread);
#if ${v.saveStats}
  if (lane == 0u && row < u.count) {
    storeStats(row * 2u, stats.x);
    storeStats(row * 2u + 1u, stats.y);
  }
#endif
#if ${v.modulated}
  let modulation = modulationRow(inside);
#endif
${unroll(groups, (g) => `  var products${g} = vec4<f32>(0.0);`)}
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    var value = (readX(base + column, left) - stats.x) * stats.y;
#if ${v.weight}
    value *= readWeight(column, left);
#endif
#if ${v.bias}
    value += readBias(column, left);
#endif
#if ${v.modulated}
    value = value * (1.0 + readScale(modulation + column, left)) + readShift(modulation + column, left);
#endif
#if ${v.saveY}
    if (row < u.count) { writeY(base + column, left, value); }
#endif
${unroll(groups, (g) => narrowProducts(v, g))}
  }
#if ${v.narrow > 0}
${finishNarrow(v)}
#endif
}
`;
}

export type LayerNormBackwardVariant = Pick<
  LayerNormVariant,
  'wide' | 'lanes' | 'weight' | 'modulated' | 'chosen'
>;

/** dx */
export function layerNormBackwardShader(v: LayerNormBackwardVariant, header: string): string {
  return wgsl`${header}
${guardedLoad('dy', v.wide)}
${guardedLoad('x', v.wide)}
${guardedStore('dx', v.wide)}
#if ${v.weight}
${guardedLoad('weight', v.wide)}
#endif
#if ${v.modulated}
${guardedLoad('scale', v.wide)}
${modulationRow(v.chosen)}
#endif
${stripText(v.wide)}
${rowSumText(v.lanes, 'vec2<f32>')}

// gradient of xhat
fn readGradient(base: u32, modulation: u32, column: u32, left: u32) -> vec4<f32> {
  var g = readDy(base + column, left);
#if ${v.weight}
  g *= readWeight(column, left);
#endif
#if ${v.modulated}
  g *= 1.0 + readScale(modulation + column, left);
#endif
  return g;
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = (wid.x + wid.y * groups.x) * ${64 / v.lanes}u + thread / ${v.lanes}u;
  let lane = thread % ${v.lanes}u;
  let inside = min(row, u.count - 1u);
  let base = inside * u.columns;
#if ${v.modulated}
  let modulation = modulationRow(inside);
#else
  const modulation = 0u;
#endif
  let mean = loadStats(inside * 2u);
  let rstd = loadStats(inside * 2u + 1u);
  var plain = vec4<f32>(0.0);
  var times = vec4<f32>(0.0);
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    let g = readGradient(base, modulation, column, left);
    plain += g;
    times += g * (readX(base + column, left) - mean);
  }
  let sums = rowSum(vec2<f32>(across(plain), across(times)), thread) / f32(u.columns);
  if (row >= u.count) { return; }
  // mean(g) and rstd mean(g xhat)
  let slope = sums.y * rstd * rstd;
  for (var column = lane * 4u; column < u.columns; column += ${v.lanes * 4}u) {
    let left = u.columns - column;
    let g = readGradient(base, modulation, column, left);
    let d = readX(base + column, left) - mean;
    writeDx(base + column, left, rstd * (g - sums.x - d * slope));
  }
}
`;
}

/** Rows whose products one workgroup sums; partial sums take 2 / 64 of x. */
export const layerNormChunk = 64;

export interface LayerNormSumsVariant {
  readonly wide: boolean;
  /** Sums of dy xhat are wanted. */
  readonly products: boolean;
  /** Sums of dy are wanted. */
  readonly plain: boolean;
}

/** partials [products, plain][group][D]; group = sample * chunks + chunk. */
export function layerNormSumsShader(v: LayerNormSumsVariant, header: string): string {
  return wgsl`${header}
${guardedLoad('dy', v.wide)}
#if ${v.products}
${guardedLoad('x', v.wide)}
#endif
${guardedStore('partials', v.wide)}
var<workgroup> productCells: array<vec4<f32>, 64>;
var<workgroup> plainCells: array<vec4<f32>, 64>;

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wid.x * 64u + lid.x * 4u;
  let left = u.columns - min(column, u.columns);
  let sample = wid.y / u.chunks;
  let first = sample * u.tokens + wid.y % u.chunks * ${layerNormChunk}u;
  let end = min(min(first + ${layerNormChunk}u, (sample + 1u) * u.tokens), u.count);
  var products = vec4<f32>(0.0);
  var plain = vec4<f32>(0.0);
  if (column < u.columns) {
    for (var row = first + lid.y; row < end; row += 4u) {
      let at = row * u.columns + column;
      let g = readDy(at, left);
      plain += g;
#if ${v.products}
      products += g * ((readX(at, left) - loadStats(row * 2u)) * loadStats(row * 2u + 1u));
#endif
    }
  }
  let cell = lid.y * 16u + lid.x;
  productCells[cell] = products;
  plainCells[cell] = plain;
  workgroupBarrier();
  if (lid.y > 0u || column >= u.columns) { return; }
  let at = wid.y * u.columns + column;
#if ${v.products}
  writePartials(at, left, (productCells[cell] + productCells[cell + 16u]) + (productCells[cell + 32u] + productCells[cell + 48u]));
#endif
#if ${v.plain}
  let total = (plainCells[cell] + plainCells[cell + 16u]) + (plainCells[cell + 32u] + plainCells[cell + 48u]);
  writePartials(at + ${v.products ? 'u.groups * u.columns' : '0u'}, left, total);
#endif
}
`;
}

export interface LayerNormParametersVariant extends LayerNormSumsVariant {
  readonly weight: boolean;
  readonly bias: boolean;
  readonly modulated: boolean;
  readonly chosen: boolean;
  /** Which gradients are wanted. */
  readonly dweight: boolean;
  readonly dbias: boolean;
  readonly dshift: boolean;
  readonly dscale: boolean;
}

/** The gradients of weight, bias, shift and scale from the partial sums. */
export function layerNormParametersShader(v: LayerNormParametersVariant, header: string): string {
  const scaled = v.modulated && (v.dweight || v.dbias);
  return wgsl`${header}
${guardedLoad('partials', v.wide)}
#if ${scaled}
${guardedLoad('scale', v.wide)}
#endif
#if ${v.dscale && v.weight}
${guardedLoad('weight', v.wide)}
#endif
#if ${v.dscale && v.bias}
${guardedLoad('bias', v.wide)}
#endif
#if ${v.dweight}
${guardedStore('dweight', v.wide)}
#endif
#if ${v.dbias}
${guardedStore('dbias', v.wide)}
#endif
#if ${v.dshift}
${guardedStore('dshift', v.wide)}
#endif
#if ${v.dscale}
${guardedStore('dscale', v.wide)}
#endif
var<workgroup> productCells: array<vec4<f32>, 64>;
var<workgroup> plainCells: array<vec4<f32>, 64>;

@compute @workgroup_size(16, 4)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wid.x * 64u + lid.x * 4u;
  let left = u.columns - min(column, u.columns);
  var allProducts = vec4<f32>(0.0);
  var allPlain = vec4<f32>(0.0);
  if (column < u.columns) {
#if ${v.dscale && v.weight}
    let weight = readWeight(column, left);
#else
    const weight = 1.0;
#endif
    for (var sample = lid.y; sample < u.samples; sample += 4u) {
      var products = vec4<f32>(0.0);
      var plain = vec4<f32>(0.0);
      for (var chunk = 0u; chunk < u.chunks; chunk++) {
        let at = (sample * u.chunks + chunk) * u.columns + column;
#if ${v.products}
        products += readPartials(at, left);
#endif
#if ${v.plain}
        plain += readPartials(at + ${v.products ? 'u.groups * u.columns' : '0u'}, left);
#endif
      }
#if ${v.dshift}
      writeDshift(sample * u.columns + column, left, plain);
#endif
#if ${v.dscale && v.bias}
      writeDscale(sample * u.columns + column, left, weight * products + readBias(column, left) * plain);
#elif ${v.dscale}
      writeDscale(sample * u.columns + column, left, weight * products);
#endif
#if ${scaled && v.chosen}
      let factor = 1.0 + readScale(loadRows(sample) * u.columns + column, left);
#elif ${scaled}
      let factor = 1.0 + readScale(sample * u.columns + column, left);
#else
      const factor = 1.0;
#endif
      allProducts += factor * products;
      allPlain += factor * plain;
    }
  }
  let cell = lid.y * 16u + lid.x;
  productCells[cell] = allProducts;
  plainCells[cell] = allPlain;
  workgroupBarrier();
  if (lid.y > 0u || column >= u.columns) { return; }
#if ${v.dweight}
  writeDweight(column, left, (productCells[cell] + productCells[cell + 16u]) + (productCells[cell + 32u] + productCells[cell + 48u]));
#endif
#if ${v.dbias}
  writeDbias(column, left, (plainCells[cell] + plainCells[cell + 16u]) + (plainCells[cell + 32u] + plainCells[cell + 48u]));
#endif
}
`;
}
