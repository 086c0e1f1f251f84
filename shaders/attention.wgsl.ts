/**
 * attention: o = softmax(scale q k^T) v per head, flash style. q, o [B, Tq, W]; k, v [B, Tk, W]; head h owns columns
 * [h headDim, (h + 1) headDim). lse [B, H, Tq] = log of the sum of exponentials, saved for the backward pass.
 *
 * A workgroup of 64 threads owns `rows` query rows of one head and walks over tiles of `keys` keys in workgroup memory;
 * 64 / rows threads ("lanes") share a row. In each tile lanes first split the keys (scores by whole dot products), then
 * the head dimension (the weighted sum of v), so no thread holds more than a few vec4s. Softmax is online: running
 * maximum and sum per row, in f32. Keys are visited in order, so results are the same every time.
 *
 * With `normalize` q is layer-normalised on the way in, over its whole row (all heads together): (q - mean) rstd. The lanes
 * of a row take its statistics again for every head, which costs less than a dispatch and a copy of q.
 *
 * Backward, from lse and delta[b, h, t] = sum_d do o: with p = exp(s - lse), ds = scale p (do . v - delta),
 * dq = sum_keys ds k; dk = sum_queries ds q; dv = sum_queries p do. dq walks keys per query, dk and dv walk queries per
 * key: every sum has one owner, nothing is added atomically.
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { rowStatsText, rowSumText, stripText, type RowLanes } from './lib/rowLanes';
import { guardedLoad, unroll } from './lib/text';

export interface AttentionVariant {
  readonly headDim: number;
  readonly causal: boolean;
  /** q is layer-normalised over its row. */
  readonly normalize: boolean;
  /** Rows of the tensors can be read four wide. */
  readonly wide: boolean;
  readonly saveLse: boolean;
}

export interface AttentionTile {
  /** Rows per workgroup; 64 / rows threads share one. */
  readonly rows: 8 | 16;
  /** Rows of the other side staged at a time. */
  readonly keys: number;
}

/** Tile sizes that keep the staged tiles within 16 KiB. `tiles`: 3 forward, 4 backward. */
export function attentionTile(headDim: number, backward: boolean): AttentionTile {
  if (headDim <= 32) return { rows: 16, keys: 16 };
  if (headDim <= 64) return backward ? { rows: 16, keys: 8 } : { rows: 16, keys: 16 };
  return { rows: 8, keys: backward ? 4 : 8 };
}

/** vec4s of one head, the last one padded with zeros. */
const vectors = (headDim: number): number => Math.ceil(headDim / 4);

/** `read<Name>(row, d)`: vec4 d of this head's part of row `row`. */
function headLoad(name: string, v: { readonly headDim: number; readonly wide: boolean }): string {
  const title = name.charAt(0).toUpperCase() + name.slice(1);
  if (v.wide) {
    return `fn read${title}(row: u32, d: u32, head: u32) -> vec4<f32> {
  return load${title}4(row * u.width + head * ${v.headDim}u + d * 4u);
}`;
  }
  return `fn read${title}(row: u32, d: u32, head: u32) -> vec4<f32> {
  let at = row * u.width + head * ${v.headDim}u + d * 4u;
  var value = vec4<f32>(load${title}(at), 0.0, 0.0, 0.0);
  if (d * 4u + 1u < ${v.headDim}u) { value.y = load${title}(at + 1u); }
  if (d * 4u + 2u < ${v.headDim}u) { value.z = load${title}(at + 2u); }
  if (d * 4u + 3u < ${v.headDim}u) { value.w = load${title}(at + 3u); }
  return value;
}`;
}

/** `write<Name>(row, d, head, value)`: the store that goes with it. */
function headStore(name: string, v: { readonly headDim: number; readonly wide: boolean }): string {
  const title = name.charAt(0).toUpperCase() + name.slice(1);
  if (v.wide) {
    return `fn write${title}(row: u32, d: u32, head: u32, value: vec4<f32>) {
  store${title}4(row * u.width + head * ${v.headDim}u + d * 4u, value);
}`;
  }
  return `fn write${title}(row: u32, d: u32, head: u32, value: vec4<f32>) {
  let at = row * u.width + head * ${v.headDim}u + d * 4u;
  for (var i = 0u; i < 4u; i++) {
    if (d * 4u + i < ${v.headDim}u) { store${title}(at + i, value[i]); }
  }
}`;
}

/** Stages `count` rows from `first` of tensor `name` (sample base `base`, `limit` rows) into `tile`. */
function stage(
  tile: string,
  name: string,
  count: number,
  n4: number,
  base: string,
  first: string,
  limit: string,
): string {
  const title = name.charAt(0).toUpperCase() + name.slice(1);
  return `for (var i = thread; i < ${count * n4}u; i += 64u) {
    let row = ${first} + i / ${n4}u;
    var value = vec4<f32>(0.0);
    if (row < ${limit}) { value = read${title}(${base} + row, i % ${n4}u, head); }
    ${tile}[i] = value;
  }`;
}

/** `rowStats` of rows of q, shared by `lanes` threads. */
function queryStats(v: AttentionVariant, lanes: RowLanes): string {
  return wgsl`
#if ${v.normalize}
${guardedLoad('q', v.wide, 'readX')}
${stripText(v.wide)}
${rowSumText(lanes, 'vec2<f32>')}
${rowStatsText(lanes)}
#endif
`;
}

const dotLoop = (a: string, aRow: string, b: string, bRow: string, n4: number, into: string): string =>
  `for (var d = 0u; d < ${n4}u; d++) { ${into} += dot(${a}[${aRow} * ${n4}u + d], ${b}[${bRow} * ${n4}u + d]); }`;

export function attentionShader(v: AttentionVariant, header: string): string {
  const { rows, keys } = attentionTile(v.headDim, false);
  const n4 = vectors(v.headDim);
  const lanes = rows === 16 ? 4 : 8;
  const own = Math.ceil(n4 / lanes);
  // a lane without a column of its own repeats the last one and does not store it
  const column = (i: number): string =>
    (i + 1) * lanes <= n4 ? `lane + ${i * lanes}u` : `min(lane + ${i * lanes}u, ${n4 - 1}u)`;
  return wgsl`${header}
${headLoad('q', v)}
${headLoad('k', v)}
${headLoad('v', v)}
${headStore('o', v)}
${queryStats(v, lanes)}

var<workgroup> qTile: array<vec4<f32>, ${rows * n4}>;
var<workgroup> kTile: array<vec4<f32>, ${keys * n4}>;
var<workgroup> vTile: array<vec4<f32>, ${keys * n4}>;
var<workgroup> scores: array<f32, ${rows * keys}>;
var<workgroup> weights: array<f32, ${rows * keys}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = wid.x * ${rows}u;
  let head = wid.y;
  let qBase = wid.z * u.queries;
  let kBase = wid.z * u.keys;
  let row = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
  ${stage('qTile', 'q', rows, n4, 'qBase', 'row0', 'u.queries')}
#if ${v.normalize}
  // a row past the last one takes the last one's statistics and is not stored; rowStats waits for the staged tile
  let stats = rowStats((qBase + min(row0 + row, u.queries - 1u)) * u.width, u.width, lane, thread);
  for (var d = lane; d < ${n4}u; d += ${lanes}u) {
    qTile[row * ${n4}u + d] = (qTile[row * ${n4}u + d] - stats.x) * stats.y;
  }
#endif
  var highest = -1e30;
  var total = 0.0;
${unroll(own, (i) => `  var acc${i} = vec4<f32>(0.0);`)}
#if ${v.causal}
  let end = min(u.keys, row0 + ${rows}u);
#else
  let end = u.keys;
#endif
  for (var key0 = 0u; key0 < end; key0 += ${keys}u) {
    ${stage('kTile', 'k', keys, n4, 'kBase', 'key0', 'u.keys')}
    ${stage('vTile', 'v', keys, n4, 'kBase', 'key0', 'u.keys')}
    workgroupBarrier();
    for (var key = lane; key < ${keys}u; key += ${lanes}u) {
      var s = 0.0;
      ${dotLoop('qTile', 'row', 'kTile', 'key', n4, 's')}
      s *= u.scale;
      if (key0 + key >= u.keys) { s = -1e30; }
#if ${v.causal}
      if (key0 + key > row0 + row) { s = -1e30; }
#endif
      scores[row * ${keys}u + key] = s;
    }
    workgroupBarrier();
    var top = highest;
    for (var key = 0u; key < ${keys}u; key++) { top = max(top, scores[row * ${keys}u + key]); }
    // each lane turns its own scores into weights; one below -1e29 is masked
    for (var key = lane; key < ${keys}u; key += ${lanes}u) {
      let s = scores[row * ${keys}u + key];
      weights[row * ${keys}u + key] = select(0.0, exp(s - top), s > -1e29);
    }
    workgroupBarrier();
    let shrink = exp(highest - top);
    total *= shrink;
${unroll(own, (i) => `    acc${i} *= shrink;`)}
    for (var key = 0u; key < ${keys}u; key++) {
      let p = weights[row * ${keys}u + key];
      total += p;
${unroll(own, (i) => `      acc${i} += p * vTile[key * ${n4}u + ${column(i)}];`)}
    }
    highest = top;
    workgroupBarrier();
  }
  if (row0 + row >= u.queries) { return; }
  let at = qBase + row0 + row;
${unroll(own, (i) => `  if (lane + ${i * lanes}u < ${n4}u) { writeO(at, lane + ${i * lanes}u, head, acc${i} / total); }`)}
#if ${v.saveLse}
  if (lane == 0u) { storeLse((wid.z * u.heads + head) * u.queries + row0 + row, highest + log(total)); }
#endif
}
`;
}

/**
 * The same without workgroup memory: one thread per query row, keys one after another. For adapters that run on the CPU,
 * where a barrier costs more than the loads it saves.
 */
export function directAttentionShader(v: AttentionVariant, header: string): string {
  const n4 = vectors(v.headDim);
  return wgsl`${header}
${headLoad('q', v)}
${headLoad('k', v)}
${headLoad('v', v)}
${headStore('o', v)}
${queryStats(v, 1)}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x * 64u + thread;
  let head = wid.y;
  if (row >= u.queries) { return; }
  let at = wid.z * u.queries + row;
  let kBase = wid.z * u.keys;
#if ${v.normalize}
  let stats = rowStats(at * u.width, u.width, 0u, thread);
#else
  const stats = vec2<f32>(0.0, 1.0);
#endif
${unroll(n4, (d) => `  let q${d} = u.scale * ((readQ(at, ${d}u, head) - stats.x) * stats.y);\n  var acc${d} = vec4<f32>(0.0);`)}
  var highest = -1e30;
  var total = 0.0;
#if ${v.causal}
  let end = min(u.keys, row + 1u);
#else
  let end = u.keys;
#endif
  for (var key = 0u; key < end; key++) {
    var s = 0.0;
${unroll(n4, (d) => `    s += dot(q${d}, readK(kBase + key, ${d}u, head));`)}
    let top = max(highest, s);
    let shrink = exp(highest - top);
    let p = exp(s - top);
    total = total * shrink + p;
${unroll(n4, (d) => `    acc${d} = acc${d} * shrink + p * readV(kBase + key, ${d}u, head);`)}
    highest = top;
  }
${unroll(n4, (d) => `  writeO(at, ${d}u, head, acc${d} / total);`)}
#if ${v.saveLse}
  storeLse((wid.z * u.heads + head) * u.queries + row, highest + log(total));
#endif
}
`;
}

/** delta[b, h, t] = sum_d do[b, t, h, d] o[b, t, h, d]: one thread each. */
export function attentionDeltaShader(v: Pick<AttentionVariant, 'headDim' | 'wide'>, header: string): string {
  return wgsl`${header}
${headLoad('dout', v)}
${headLoad('o', v)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = wid.x * 64u + thread;
  let head = wid.y;
  if (row >= u.queries) { return; }
  let at = wid.z * u.queries + row;
  var sum = 0.0;
  for (var d = 0u; d < ${vectors(v.headDim)}u; d++) { sum += dot(readDout(at, d, head), readO(at, d, head)); }
  storeDelta((wid.z * u.heads + head) * u.queries + row, sum);
}
`;
}

export interface AttentionBackwardVariant extends Pick<AttentionVariant, 'headDim' | 'causal' | 'wide'> {
  /** dq: rows are queries and the walk is over keys. dkv: rows are keys and the walk is over queries. */
  readonly of: 'dq' | 'dkv';
}

export function attentionBackwardShader(v: AttentionBackwardVariant, header: string): string {
  const { rows, keys: walk } = attentionTile(v.headDim, true);
  const n4 = vectors(v.headDim);
  const lanes = 64 / rows;
  const own = Math.ceil(n4 / lanes);
  const dq = v.of === 'dq';
  return wgsl`${header}
${headLoad('q', v)}
${headLoad('k', v)}
${headLoad('v', v)}
${headLoad('dout', v)}
#if ${dq}
${headStore('dq', v)}
#else
${headStore('dk', v)}
${headStore('dv', v)}
#endif

// a: this workgroup's rows (queries for dq, keys for dkv); b: the rows walked over
var<workgroup> aFirst: array<vec4<f32>, ${rows * n4}>;
var<workgroup> aSecond: array<vec4<f32>, ${rows * n4}>;
var<workgroup> bFirst: array<vec4<f32>, ${walk * n4}>;
var<workgroup> bSecond: array<vec4<f32>, ${walk * n4}>;
var<workgroup> slopes: array<f32, ${rows * walk}>;
#if ${!dq}
var<workgroup> weights: array<f32, ${rows * walk}>;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row0 = wid.x * ${rows}u;
  let head = wid.y;
  let qBase = wid.z * u.queries;
  let kBase = wid.z * u.keys;
  let stats = (wid.z * u.heads + head) * u.queries;
  let row = thread / ${lanes}u;
  let lane = thread % ${lanes}u;
#if ${dq}
  ${stage('aFirst', 'q', rows, n4, 'qBase', 'row0', 'u.queries')}
  ${stage('aSecond', 'dout', rows, n4, 'qBase', 'row0', 'u.queries')}
  let end = u.keys;
#else
  ${stage('aFirst', 'k', rows, n4, 'kBase', 'row0', 'u.keys')}
  ${stage('aSecond', 'v', rows, n4, 'kBase', 'row0', 'u.keys')}
  let end = u.queries;
#endif
${unroll(own, (i) => `  var first${i} = vec4<f32>(0.0);\n  var second${i} = vec4<f32>(0.0);`)}
  for (var walk0 = 0u; walk0 < end; walk0 += ${walk}u) {
#if ${dq}
    ${stage('bFirst', 'k', walk, n4, 'kBase', 'walk0', 'u.keys')}
    ${stage('bSecond', 'v', walk, n4, 'kBase', 'walk0', 'u.keys')}
#else
    ${stage('bFirst', 'q', walk, n4, 'qBase', 'walk0', 'u.queries')}
    ${stage('bSecond', 'dout', walk, n4, 'qBase', 'walk0', 'u.queries')}
#endif
    workgroupBarrier();
    for (var other = lane; other < ${walk}u; other += ${lanes}u) {
#if ${dq}
      let query = row0 + row;
      let key = walk0 + other;
#else
      let query = walk0 + other;
      let key = row0 + row;
#endif
      var p = 0.0;
      var slope = 0.0;
      var inside = query < u.queries && key < u.keys;
#if ${v.causal}
      inside = inside && key <= query;
#endif
      if (inside) {
        var s = 0.0;
        ${dotLoop('aFirst', 'row', 'bFirst', 'other', n4, 's')}
        var dp = 0.0;
        ${dotLoop('aSecond', 'row', 'bSecond', 'other', n4, 'dp')}
        p = exp(s * u.scale - loadLse(stats + query));
        slope = u.scale * p * (dp - loadDelta(stats + query));
      }
      slopes[row * ${walk}u + other] = slope;
#if ${!dq}
      weights[row * ${walk}u + other] = p;
#endif
    }
    workgroupBarrier();
    for (var other = 0u; other < ${walk}u; other++) {
      let slope = slopes[row * ${walk}u + other];
#if ${dq}
${unroll(own, (i) => `      if (lane + ${i * lanes}u < ${n4}u) { first${i} += slope * bFirst[other * ${n4}u + lane + ${i * lanes}u]; }`)}
#else
      let p = weights[row * ${walk}u + other];
${unroll(
  own,
  (i) => `      if (lane + ${i * lanes}u < ${n4}u) {
        first${i} += slope * bFirst[other * ${n4}u + lane + ${i * lanes}u];
        second${i} += p * bSecond[other * ${n4}u + lane + ${i * lanes}u];
      }`,
)}
#endif
    }
    workgroupBarrier();
  }
#if ${dq}
  if (row0 + row >= u.queries) { return; }
${unroll(own, (i) => `  if (lane + ${i * lanes}u < ${n4}u) { writeDq(qBase + row0 + row, lane + ${i * lanes}u, head, first${i}); }`)}
#else
  if (row0 + row >= u.keys) { return; }
${unroll(
  own,
  (i) => `  if (lane + ${i * lanes}u < ${n4}u) {
    writeDk(kBase + row0 + row, lane + ${i * lanes}u, head, first${i});
    writeDv(kBase + row0 + row, lane + ${i * lanes}u, head, second${i});
  }`,
)}
#endif
}
`;
}
