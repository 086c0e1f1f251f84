/**
 * conv2d: 3 x 3 convolution of pictures with channels last, as a matrix product whose left operand is read in place of
 * being made (implicit GEMM):
 *
 *   y[b, oy, ox, o] = act(bias[o] + residual[b, oy, ox, o] + sum_{kh, kw, i} x[b, iy, ix, i] w[o, kh, kw, i])
 *
 *   x [B, H, W, I], w [O, 3, 3, I] (f32, f16, or i8: then the sum of its integers is multiplied by wScale[o]),
 *   y [B, Ho, Wo, O]
 *   stride 1: iy = oy + kh - 1, zero outside; upsample 2: x is read as if every pixel stood twice in each direction
 *   stride 2: the same with 2 oy; or, with one row and column of padding at the bottom and right only, iy = 2 oy + kh
 *   rows: iy = oy + kh - top in general, top = 1 or 0 as above; a part of a picture has rows of its neighbours in x, and
 *   top may then be negative
 *
 *   conv2d                M = output pixels, N = O, K = (kh, kw, i)
 *   conv2dBackwardInput   M = input pixels, N = I, K = (tap, o): dx from dy; with upsample 2 each of the four copies of
 *                         a pixel has its own nine taps
 *   conv2dBackwardWeight  M = O, N = (kh, kw, i), K = output pixels: dw from dy and x
 *
 * Tiles as in linear: 8 x 8 threads, 8 rm x 8 rn outputs, operands staged in workgroup memory with K outermost. Each
 * thread stages one 4 x 4 block of either operand per step of K, so the places of its pixels are computed once.
 * Places are u32: a coordinate below zero wraps around and is outside like any other. Sums run over K in order.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { activationText, type Activation } from './lib/activations';
import { guardedLoad, guardedStore, unroll } from './lib/text';

/** How outputs see the input. */
export interface ConvolutionForm {
  readonly stride: 1 | 2;
  /** Nearest-neighbour enlargement before the convolution. */
  readonly upsample: 1 | 2;
  /** Where the row and column of zeros are. With stride 1 always on both sides. */
  readonly padding: 'both' | 'bottom-right';
}

/** Outputs per thread, square; tk follows: one 4 x 4 block of an operand for each of the 64 threads. */
export type ConvolutionTile = 4 | 8;

interface TiledProduct {
  readonly tile: ConvolutionTile;
  readonly declarations: string;
  /** Once per thread; sees row0, col0 and the thread's blocks: rows am.., k ak.. of A; columns wm.., k wk.. of W. */
  readonly setup: string;
  /** Four values of A in row `rows[r]`, in setup's terms: along K ('k') or along M ('m'). `k` is k0 + ak. */
  readonly a: { readonly along: 'k' | 'm'; readonly read: (r: number) => string };
  readonly w: { readonly along: 'k' | 'n'; readonly read: (r: number) => string };
  /** At each step of K, before staging. */
  readonly step?: string;
  /** Body of finish(row, column, sum): four neighbouring values of a row of the product. */
  readonly finish: string;
}

const lane = (i: number): string => 'xyzw'.charAt(i % 4);

/** Stages one block: as it is when its rows run along M or N, transposed when they run along K. */
function stage(
  tile: string,
  width: number,
  at: string,
  transposed: boolean,
  read: (r: number) => string,
): string {
  const rows = unroll(4, (r) => `      let r${r} = ${read(r)};`);
  const stores = unroll(4, (k) => {
    const column = [0, 1, 2, 3].map((r) => `r${r}.${lane(k)}`).join(', ');
    const value = transposed ? `vec4<f32>(${column})` : `r${k}`;
    return `      ${tile}[(${at}k + ${k}u) * ${width}u + ${at}m / 4u] = ${value};`;
  });
  return `${rows}\n${stores}`;
}

function tiledProduct(header: string, p: TiledProduct): string {
  const size = p.tile * 8;
  const width = size / 4;
  const kBlocks = 64 / width;
  const tk = kBlocks * 4;
  const columns = p.tile / 4;
  const block = (name: string, transposed: boolean): string =>
    transposed
      ? `  let ${name}m = (thread / ${kBlocks}u) * 4u;\n  let ${name}k = (thread % ${kBlocks}u) * 4u;`
      : `  let ${name}m = (thread % ${width}u) * 4u;\n  let ${name}k = (thread / ${width}u) * 4u;`;
  const reads = unroll(
    columns,
    (i) => `      let a${i} = aTile[kk * ${width}u + lid.y * ${columns}u + ${i}u];
      let w${i} = wTile[kk * ${width}u + lid.x * ${columns}u + ${i}u];`,
  );
  const outputs = p.tile * columns;
  const products = unroll(outputs, (i) => {
    const row = Math.floor(i / columns);
    return `      sum${i} += a${Math.floor(row / 4)}.${lane(row)} * w${i % columns};`;
  });
  const finish = unroll(outputs, (i) => {
    const row = Math.floor(i / columns);
    return `  finish(row0 + lid.y * ${p.tile}u + ${row}u, col0 + lid.x * ${p.tile}u + ${(i % columns) * 4}u, sum${i});`;
  });
  return wgsl`${header}
${p.declarations}
var<workgroup> aTile: array<vec4<f32>, ${tk * width}>;
var<workgroup> wTile: array<vec4<f32>, ${tk * width}>;

fn finish(row: u32, column: u32, sum: vec4<f32>) {
  if (row >= u.m || column >= u.n) { return; }
  let left = u.n - column;
  let at = row * u.n + column;
${p.finish}
}

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row0 = (wid.y + wid.z * groups.y) * ${size}u;
  let col0 = wid.x * ${size}u;
${block('a', p.a.along === 'k')}
${block('w', p.w.along === 'k')}
${p.setup}
${unroll(outputs, (i) => `  var sum${i} = vec4<f32>(0.0);`)}
  for (var k0 = 0u; k0 < u.k; k0 += ${tk}u) {
${p.step ?? ''}
    {
${stage('aTile', width, 'a', p.a.along === 'k', p.a.read)}
    }
    {
${stage('wTile', width, 'w', p.w.along === 'k', p.w.read)}
    }
    workgroupBarrier();
    for (var kk = 0u; kk < ${tk}u; kk++) {
${reads}
${products}
    }
    workgroupBarrier();
  }
${finish}
}
`;
}

/**
 * Reading patches of the tensor `source` [B, height, width, channels]: `pixelOf(p)` is the place of pixel p of a grid
 * [B, gridPixels], `seen(pixel, tap, channel)` the four values from `channel` on that the pixel sees through a tap.
 */
function patches(source: string, form: ConvolutionForm, backward: boolean, wide: boolean): string {
  const { stride, upsample, padding } = form;
  const title = source.charAt(0).toUpperCase() + source.slice(1);
  const pad = padding === 'both' ? 1 : 0;
  return wgsl`
const outside = 0xffffffffu;

// first index of the sample in the source, then the pixel's row and column in terms of the taps
fn pixelOf(p: u32) -> vec3<u32> {
  if (p >= u.gridCount) { return vec3<u32>(0u, 0x80000000u, 0u); }
  let rest = p % u.gridPixels;
  let place = vec2<u32>(rest / u.gridWidth, rest % u.gridWidth);
#if ${backward}
  return vec3<u32>(p / u.gridPixels * u.height * u.width, place * ${upsample}u + vec2<u32>(u.top, ${pad}u));
#else
  return vec3<u32>(p / u.gridPixels * u.height * u.width, place * ${stride}u - vec2<u32>(u.top, ${pad}u));
#endif
}

fn sourceAt(pixel: vec3<u32>, tap: u32) -> u32 {
#if ${backward}
  let cell = tap / 9u;
  let y = pixel.y + cell / ${upsample}u - tap % 9u / 3u;
  let x = pixel.z + cell % ${upsample}u - tap % 3u;
  if (y % ${stride}u + x % ${stride}u != 0u) { return outside; }
  let row = y / ${stride}u;
  let column = x / ${stride}u;
#else
  let row = (pixel.y + tap / 3u) / ${upsample}u;
  let column = (pixel.z + tap % 3u) / ${upsample}u;
#endif
  if (tap >= ${backward ? 9 * upsample * upsample : 9}u || row >= u.height || column >= u.width) { return outside; }
  return pixel.x + row * u.width + column;
}

fn seen(pixel: vec3<u32>, tap: u32, channel: u32) -> vec4<f32> {
  var values = vec4<f32>(0.0);
#if ${wide}
  let at = sourceAt(pixel, tap);
  if (at != outside) { values = load${title}4(at * u.channels + channel); }
#else
  var t = tap;
  var c = channel;
  for (var lane = 0u; lane < 4u; lane++) {
    let at = sourceAt(pixel, t);
    if (at != outside) { values[lane] = load${title}(at * u.channels + c); }
    c++;
    if (c == u.channels) {
      c = 0u;
      t++;
    }
  }
#endif
  return values;
}
`;
}

const pixelRows = unroll(4, (r) => `  let pixel${r} = pixelOf(row0 + am + ${r}u);`);
const tapStep = `    let tap = (k0 + ak) / u.channels;
    let channel = (k0 + ak) % u.channels;`;

export interface Conv2dVariant extends ConvolutionForm {
  readonly tile: ConvolutionTile;
  /** I is a multiple of 4: x and w are read four wide. */
  readonly wideX: boolean;
  readonly wideY: boolean;
  /** w is i8. */
  readonly wScale: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly act: Activation;
}

/** Epilogue: scale of the weights, bias, residual, activation. */
function epilogue(v: Conv2dVariant): string {
  return wgsl`  var value = sum;
#if ${v.wScale}
  value *= readWScale(column, left);
#endif
#if ${v.bias}
  value += readBias(column, left);
#endif
#if ${v.residual}
  value += readResidual(at, left);
#endif
#if ${v.act !== 'none'}
  value = activate4(value);
#endif
  writeY(at, left, value);`;
}

function declarations(v: Conv2dVariant): string {
  return wgsl`${patches('x', v, false, v.wideX)}
${guardedLoad('w', v.wideX)}
${guardedStore('y', v.wideY)}
#if ${v.wScale}
${guardedLoad('wScale', v.wideY)}
#endif
#if ${v.bias}
${guardedLoad('bias', v.wideY)}
#endif
#if ${v.residual}
${guardedLoad('residual', v.wideY)}
#endif
#if ${v.act !== 'none'}
${activationText(v.act)}
#endif
`;
}

export function conv2dShader(v: Conv2dVariant, header: string): string {
  return tiledProduct(header, {
    tile: v.tile,
    declarations: wgsl`${declarations(v)}
fn weights(row: u32, k: u32) -> vec4<f32> {
  if (row >= u.n || k >= u.k) { return vec4<f32>(0.0); }
  return readW(row * u.k + k, u.k - k);
}`,
    setup: pixelRows,
    step: tapStep,
    a: { along: 'k', read: (r) => `seen(pixel${r}, tap, channel)` },
    w: { along: 'k', read: (r) => `weights(col0 + wm + ${r}u, k0 + wk)` },
    finish: epilogue(v),
  });
}

/** Pixels of one thread of the direct form; it makes four channels of each. */
export const directPixels = 8;

/**
 * The same convolution without workgroup memory, for adapters that run on the CPU, where barriers are dear: each thread
 * reads the picture and the weights itself. Needs I to be a multiple of 4.
 */
export function directConv2dShader(v: Conv2dVariant, header: string): string {
  const places = unroll(
    directPixels,
    (r) => `    let at${r} = sourceAt(pixel${r}, tap);
    let base${r} = select(at${r}, 0u, at${r} == outside) * u.channels;
    let keep${r} = select(1.0, 0.0, at${r} == outside);`,
  );
  return wgsl`${header}
${declarations(v)}
fn finish(row: u32, column: u32, sum: vec4<f32>) {
  if (row >= u.m) { return; }
  let left = u.n - column;
  let at = row * u.n + column;
${epilogue(v)}
}

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
) {
  let row0 = ((wid.y + wid.z * groups.y) * 8u + lid.y) * ${directPixels}u;
  let column = (wid.x * 8u + lid.x) * 4u;
  if (row0 >= u.m || column >= u.n) { return; }
${unroll(directPixels, (r) => `  let pixel${r} = pixelOf(row0 + ${r}u);`)}
  var sums = array<vec4<f32>, ${directPixels}>();
  for (var tap = 0u; tap < 9u; tap++) {
${places}
    for (var channel = 0u; channel < u.channels; channel += 4u) {
${unroll(4, (c) => `      let w${c} = loadW4((min(column + ${c}u, u.n - 1u) * 9u + tap) * u.channels + channel);`)}
${unroll(
  directPixels,
  (r) => `      let a${r} = keep${r} * loadX4(base${r} + channel);
      sums[${r}] += vec4<f32>(dot(a${r}, w0), dot(a${r}, w1), dot(a${r}, w2), dot(a${r}, w3));`,
)}
    }
  }
  for (var r = 0u; r < ${directPixels}u; r++) { finish(row0 + r, column, sums[r]); }
}
`;
}

/** The yardstick of the benchmark: one thread per output value, one value of either operand at a time. */
export function naiveConv2dShader(v: Conv2dVariant, header: string): string {
  return wgsl`${header}
${declarations(v)}
fn finish(row: u32, column: u32, sum: vec4<f32>) {
  let left = 1u;
  let at = row * u.n + column;
${epilogue(v)}
}

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
) {
  let row = (wid.y + wid.z * groups.y) * 8u + lid.y;
  let column = wid.x * 8u + lid.x;
  if (row >= u.m || column >= u.n) { return; }
  let pixel = pixelOf(row);
  var sum = 0.0;
  for (var tap = 0u; tap < 9u; tap++) {
    let at = sourceAt(pixel, tap);
    if (at == outside) { continue; }
    for (var channel = 0u; channel < u.channels; channel++) {
      sum += loadX(at * u.channels + channel) * loadW((column * 9u + tap) * u.channels + channel);
    }
  }
  finish(row, column, vec4<f32>(sum, 0.0, 0.0, 0.0));
}
`;
}

export interface Conv2dBackwardVariant extends ConvolutionForm {
  readonly tile: ConvolutionTile;
  /** I is a multiple of 4. */
  readonly wideX: boolean;
  /** O is a multiple of 4. */
  readonly wideY: boolean;
}

export function conv2dBackwardInputShader(v: Conv2dBackwardVariant, header: string): string {
  return tiledProduct(header, {
    tile: v.tile,
    declarations: wgsl`${patches('dy', v, true, v.wideY)}
${guardedLoad('w', v.wideX)}
${guardedStore('dx', v.wideX)}
fn weights(k: u32, column: u32) -> vec4<f32> {
  if (k >= u.k || column >= u.n) { return vec4<f32>(0.0); }
  return readW((k % u.channels * 9u + k / u.channels % 9u) * u.n + column, u.n - column);
}`,
    setup: pixelRows,
    step: tapStep,
    a: { along: 'k', read: (r) => `seen(pixel${r}, tap, channel)` },
    w: { along: 'n', read: (r) => `weights(k0 + wk + ${r}u, col0 + wm)` },
    finish: '  writeDx(at, left, sum);',
  });
}

export function conv2dBackwardWeightShader(v: Conv2dBackwardVariant, header: string): string {
  return tiledProduct(header, {
    tile: v.tile,
    declarations: wgsl`${patches('x', v, false, v.wideX)}
${guardedLoad('dy', v.wideY)}
${guardedStore('dw', v.wideX)}
fn outputs(k: u32, row: u32) -> vec4<f32> {
  if (k >= u.k || row >= u.m) { return vec4<f32>(0.0); }
  return readDy(k * u.m + row, u.m - row);
}`,
    setup: `  let tap = (col0 + wm) / u.channels;
  let channel = (col0 + wm) % u.channels;`,
    a: { along: 'm', read: (r) => `outputs(k0 + ak + ${r}u, row0 + am)` },
    w: { along: 'n', read: (r) => `seen(pixelOf(k0 + wk + ${r}u), tap, channel)` },
    finish: '  writeDw(at, left, sum);',
  });
}
