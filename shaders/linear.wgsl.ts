/**
 * linear: y[b] = epilogue(scale * A[b] W[b]), the matrix product behind every projection and its gradients.
 *
 *   A  [b, M, K] row-major, or [b, K, M] when `transA` (weight gradients)
 *   W  'nk': [b, N, K] as torch stores Linear weights; 'kn': [b, K, N] (experts, and input gradients); f32, f16 or i8,
 *      whose integers are multiplied as they are: the scale of a column of y stands before the sum
 *   y  [b, M, N]
 *
 * Epilogue, in this order; every part is optional and structural:
 *   v = acc * scale * wScale[b, n] + bias[n];  pre = v;  v = act(v);  v = silu(s) * v, s = scale * A V vScale;
 *   v = residual[m mod residualRows, n] + gate[rows[m / tokens], n] * v;  y = v, or y += v when `accumulate`
 *
 * Workgroups of 8 x 8 threads make tiles of 8 rm x 8 rn outputs; each thread rm x rn of them in registers. Both
 * operands are staged in workgroup memory with K outermost, four M (or N) values to a vec4, so the inner loop reads
 * vec4s and the ragged edges are zero. Sums run over K in order: results do not depend on the tile's neighbours.
 *
 * With a silu gate a second matrix V of W's shape is multiplied in the same pass over A: of a tile's columns four are W's,
 * the next four V's for the same outputs, and so on, so that a thread has both when it comes to the epilogue.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { activationText, type Activation } from './lib/activations';
import { guardedLoad, guardedStore, unroll } from './lib/text';

export interface LinearVariant {
  readonly transA: boolean;
  readonly layout: 'nk' | 'kn';
  /** Rows of A (its contiguous axis) can be read four wide. */
  readonly wideA: boolean;
  readonly wideW: boolean;
  /** Rows of y, and of everything the epilogue reads, can be accessed four wide. */
  readonly wideY: boolean;
  /** Outputs per thread: 1, 4 or 8 rows; 4 or 8 columns; one column: the naive form. */
  readonly rm: 1 | 4 | 8;
  readonly rn: 1 | 4 | 8;
  /** K values staged at a time, a multiple of 4; 0: the direct form. */
  readonly tk: number;
  /** W is i8. */
  readonly wScale: boolean;
  readonly act: Activation;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly gate: boolean;
  readonly gateRows: boolean;
  /** There is a V, stored as W is; tiles then have 8 columns a thread, 4 of each matrix. */
  readonly siluGate: boolean;
  readonly savePre: boolean;
  /** The product with V is wanted too. */
  readonly saveGate: boolean;
  readonly accumulate: boolean;
}

/** Stages a 4 x 4 block whose rows are contiguous along K: transposed on the way. `slot` is its vec4 in the tile's rows. */
function stageTransposed(tile: string, width: number, read: string): string {
  return `
      let r0 = ${read.replaceAll('ROW', '0u')};
      let r1 = ${read.replaceAll('ROW', '1u')};
      let r2 = ${read.replaceAll('ROW', '2u')};
      let r3 = ${read.replaceAll('ROW', '3u')};
      ${tile}[bk * ${width}u + slot] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
      ${tile}[(bk + 1u) * ${width}u + slot] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
      ${tile}[(bk + 2u) * ${width}u + slot] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
      ${tile}[(bk + 3u) * ${width}u + slot] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);`;
}

/** Stages a 4 x 4 block whose rows are contiguous along M or N: as it is. */
function stageDirect(tile: string, width: number, read: string): string {
  return unroll(
    4,
    (row) => `      ${tile}[(bk + ${row}u) * ${width}u + slot] = ${read.replaceAll('ROW', `${row}u`)};`,
  );
}

/** Operand loads, epilogue and store: what every form of the product shares. */
function commonText(v: LinearVariant): string {
  return wgsl`${activationText(v.act)}
${guardedLoad('x', v.wideA)}
${guardedLoad('w', v.wideW)}
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
#if ${v.gate}
${guardedLoad('gate', v.wideY)}
#endif
#if ${v.siluGate}
${guardedLoad('v', v.wideW)}
#endif
#if ${v.siluGate && v.wScale}
${guardedLoad('vScale', v.wideY)}
#endif
#if ${v.savePre}
${guardedStore('pre', v.wideY)}
#endif
#if ${v.saveGate}
${guardedStore('gatePre', v.wideY)}
#endif
#if ${v.accumulate}
${guardedLoad('y', v.wideY)}
#endif

// four elements of row 'row' of a matrix with 'rows' rows of 'width' elements; outside it 0
fn stripA(base: u32, row: u32, rows: u32, column: u32, width: u32) -> vec4<f32> {
  if (row >= rows || column >= width) { return vec4<f32>(0.0); }
  return readX(base + row * width + column, width - column);
}
fn stripW(base: u32, row: u32, rows: u32, column: u32, width: u32) -> vec4<f32> {
  if (row >= rows || column >= width) { return vec4<f32>(0.0); }
  return readW(base + row * width + column, width - column);
}
#if ${v.siluGate}
fn stripV(base: u32, row: u32, rows: u32, column: u32, width: u32) -> vec4<f32> {
  if (row >= rows || column >= width) { return vec4<f32>(0.0); }
  return readV(base + row * width + column, width - column);
}
fn stripOf(second: bool, base: u32, row: u32, rows: u32, column: u32, width: u32) -> vec4<f32> {
  if (second) { return stripV(base, row, rows, column, width); }
  return stripW(base, row, rows, column, width);
}
#endif

fn finish(batch: u32, row: u32, column: u32, sum: vec4<f32>${v.siluGate ? ', gateSum: vec4<f32>' : ''}) {
  if (row >= u.m || column >= u.n) { return; }
  let left = ${v.rn === 1 ? '1u' : 'u.n - column'};
  let at = (batch * u.m + row) * u.n + column;
  var value = sum * u.scale;
#if ${v.wScale}
  value *= readWScale(batch * u.n + column, left);
#endif
#if ${v.bias}
  value += readBias(column, left);
#endif
#if ${v.savePre}
  writePre(at, left, value);
#endif
  value = activate4(value);
#if ${v.siluGate}
  var s = gateSum * u.scale;
#if ${v.wScale}
  s *= readVScale(batch * u.n + column, left);
#endif
#if ${v.saveGate}
  writeGatePre(at, left, s);
#endif
  value *= s / (1.0 + exp(-clamp(s, vec4<f32>(-80.0), vec4<f32>(80.0))));
#endif
#if ${v.gate}
#if ${v.gateRows}
  let sample = loadRows(row / u.tokens);
#else
  let sample = row / u.tokens;
#endif
  value *= readGate(sample * u.n + column, left);
#endif
#if ${v.residual}
  value += readResidual((row % u.residualRows) * u.n + column, left);
#endif
#if ${v.accumulate}
  value += readY(at, left);
#endif
  writeY(at, left, value);
}
`;
}

export function linearShader(v: LinearVariant, header: string): string {
  const tm = v.rm * 8;
  const tn = v.rn * 8;
  const aWidth = tm / 4;
  const wWidth = tn / 4;
  const kBlocks = v.tk / 4;
  // with a V half of the tile's columns are W's
  const matrices = v.siluGate ? 2 : 1;
  const wBlocks = wWidth * kBlocks;
  const strip = v.siluGate ? 'stripOf(second, wBase, ' : 'stripW(wBase, ';
  const stageA = v.transA
    ? stageDirect('aTile', aWidth, 'stripA(xBase, k0 + bk + ROW, u.k, row0 + bm, u.m)')
    : stageTransposed('aTile', aWidth, 'stripA(xBase, row0 + bm + ROW, u.m, k0 + bk, u.k)');
  const stageW =
    v.layout === 'kn'
      ? stageDirect('wTile', wWidth, `${strip}k0 + bk + ROW, u.k, col0 + bm, u.n)`)
      : stageTransposed('wTile', wWidth, `${strip}col0 + bm + ROW, u.n, k0 + bk, u.k)`);
  const columns = v.rn / 4;
  const aRead =
    v.rm === 1
      ? `    let a0 = aTile[kk * ${aWidth}u + (lid.y >> 2u)][lid.y & 3u];`
      : unroll(v.rm / 4, (i) => `    let a${i} = aTile[kk * ${aWidth}u + lid.y * ${v.rm / 4}u + ${i}u];`);
  const wRead = unroll(
    columns,
    (j) => `    let w${j} = wTile[kk * ${wWidth}u + lid.x * ${columns}u + ${j}u];`,
  );
  const lane = (r: number): string => (v.rm === 1 ? 'a0' : `a${Math.floor(r / 4)}.${'xyzw'.charAt(r % 4)}`);
  const products = unroll(v.rm * columns, (i) => {
    const r = Math.floor(i / columns);
    return `    acc${r}_${i % columns} += ${lane(r)} * w${i % columns};`;
  });
  const finish = unroll((v.rm * columns) / matrices, (i) => {
    const r = Math.floor((i * matrices) / columns);
    const j = i % (columns / matrices);
    const sums = v.siluGate ? `acc${r}_0, acc${r}_1` : `acc${r}_${j}`;
    return `  finish(wid.z, row0 + lid.y * ${v.rm}u + ${r}u, col0 + lid.x * ${v.rn / matrices}u + ${j * 4}u, ${sums});`;
  });
  return wgsl`${header}
${commonText(v)}
const threads = 64u;
var<workgroup> aTile: array<vec4<f32>, ${v.tk * aWidth}>;
var<workgroup> wTile: array<vec4<f32>, ${v.tk * wWidth}>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(local_invocation_id) lid: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row0 = wid.y * ${tm}u;
  let col0 = wid.x * ${tn / matrices}u;
  let xBase = wid.z * u.m * u.k;
  let wBase = wid.z * u.wBatch;
${unroll(v.rm * columns, (i) => `  var acc${Math.floor(i / columns)}_${i % columns} = vec4<f32>(0.0);`)}
  for (var k0 = 0u; k0 < u.k; k0 += ${v.tk}u) {
    for (var block = thread; block < ${aWidth * kBlocks}u; block += threads) {
#if ${v.transA}
      let bm = (block % ${aWidth}u) * 4u;
      let bk = (block / ${aWidth}u) * 4u;
#else
      let bm = (block / ${kBlocks}u) * 4u;
      let bk = (block % ${kBlocks}u) * 4u;
#endif
      let slot = bm / 4u;
${stageA}
    }
    for (var block = thread; block < ${wBlocks}u; block += threads) {
#if ${v.siluGate}
      // first all of W, then all of V: neighbouring threads read the same matrix
      let second = block >= ${wBlocks / 2}u;
      let part = block % ${wBlocks / 2}u;
#else
      let part = block;
#endif
#if ${v.layout === 'kn'}
      let bm = (part % ${wWidth / matrices}u) * 4u;
      let bk = (part / ${wWidth / matrices}u) * 4u;
#else
      let bm = (part / ${kBlocks}u) * 4u;
      let bk = (part % ${kBlocks}u) * 4u;
#endif
#if ${v.siluGate}
      let slot = bm / 2u + u32(second);
#else
      let slot = bm / 4u;
#endif
${stageW}
    }
    workgroupBarrier();
    for (var kk = 0u; kk < ${v.tk}u; kk++) {
${aRead}
${wRead}
${products}
    }
    workgroupBarrier();
  }
${finish}
}
`;
}

/**
 * The same product without workgroup memory: each thread makes rm x 4 outputs straight from the operands. For adapters that
 * run on the CPU, where a barrier costs more than the cache misses it saves.
 */
export function directLinearShader(v: LinearVariant, header: string): string {
  const lanes = 'xyzw';
  const { rm } = v;
  // rows and columns past the edge repeat the last one; they are computed and not stored
  const edge = (base: 'row0' | 'col0', index: number): string =>
    `min(${base} + ${index}u, ${base === 'row0' ? 'u.m' : 'u.n'} - 1u)`;
  const aRows = v.transA
    ? unroll(
        rm,
        (i) => `    let a${i} = stripA(xBase, k0 + ${i % 4}u, u.k, row0 + ${Math.floor(i / 4) * 4}u, u.m);`,
      )
    : unroll(rm, (i) => `    let a${i} = stripA(xBase, ${edge('row0', i)}, u.m, k0, u.k);`);
  const rowsOf = (name: 'w' | 'v'): string => {
    const strip = name === 'w' ? 'stripW' : 'stripV';
    return v.layout === 'kn'
      ? unroll(4, (i) => `    let ${name}${i} = ${strip}(wBase, k0 + ${i}u, u.k, col0, u.n);`)
      : unroll(4, (i) => `    let ${name}${i} = ${strip}(wBase, ${edge('col0', i)}, u.n, k0, u.k);`);
  };
  // value of A at (row r, k i), and the products of one row with the four columns
  const a = (r: number, i: number): string =>
    v.transA ? `a${Math.floor(r / 4) * 4 + i}.${lanes.charAt(r % 4)}` : `a${r}.${lanes.charAt(i)}`;
  const row = (r: number, name: 'w' | 'v'): string => {
    if (v.layout === 'kn') return [0, 1, 2, 3].map((i) => `${a(r, i)} * ${name}${i}`).join(' + ');
    const vector = v.transA ? `vec4<f32>(${[0, 1, 2, 3].map((i) => a(r, i)).join(', ')})` : `a${r}`;
    return `vec4<f32>(${[0, 1, 2, 3].map((c) => `dot(${vector}, ${name}${c})`).join(', ')})`;
  };
  return wgsl`${header}
${commonText(v)}
@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(global_invocation_id) id: vec3<u32>) {
  let row0 = id.y * ${rm}u;
  let col0 = id.x * 4u;
  if (row0 >= u.m || col0 >= u.n) { return; }
  let xBase = wid.z * u.m * u.k;
  let wBase = wid.z * u.wBatch;
  var acc = array<vec4<f32>, ${rm}>();
#if ${v.siluGate}
  var gates = array<vec4<f32>, ${rm}>();
#endif
  for (var k0 = 0u; k0 < u.k; k0 += 4u) {
${aRows}
${rowsOf('w')}
${unroll(rm, (r) => `    acc[${r}] += ${row(r, 'w')};`)}
#if ${v.siluGate}
${rowsOf('v')}
${unroll(rm, (r) => `    gates[${r}] += ${row(r, 'v')};`)}
#endif
  }
  for (var r = 0u; r < ${rm}u; r++) { finish(wid.z, row0 + r, col0, acc[r]${v.siluGate ? ', gates[r]' : ''}); }
}
`;
}

/** The yardstick of the benchmark: one thread per output, one value of either operand at a time. */
export function naiveLinearShader(v: LinearVariant, header: string): string {
  return wgsl`${header}
${commonText(v)}
@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(global_invocation_id) id: vec3<u32>) {
  if (id.y >= u.m || id.x >= u.n) { return; }
  let xBase = wid.z * u.m * u.k;
  let wBase = wid.z * u.wBatch;
  var sum = 0.0;
  var gateSum = 0.0;
  for (var k = 0u; k < u.k; k++) {
#if ${v.transA}
    let a = loadX(xBase + k * u.m + id.y);
#else
    let a = loadX(xBase + id.y * u.k + k);
#endif
#if ${v.layout === 'nk'}
    let at = wBase + id.x * u.k + k;
#else
    let at = wBase + k * u.n + id.x;
#endif
    sum += a * loadW(at);
#if ${v.siluGate}
    gateSum += a * loadV(at);
#endif
  }
  finish(wid.z, id.y, id.x, vec4<f32>(sum, 0.0, 0.0, 0.0)${v.siluGate ? ', vec4<f32>(gateSum, 0.0, 0.0, 0.0)' : ''});
}
`;
}
