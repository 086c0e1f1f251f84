/**
 * groupNorm: y = act((x - mean[b, g]) rstd[b, g] w[c] + b[c]), act = silu or nothing. x, y [B, S, C], channels last, S pixels;
 * C is cut into G groups of neighbouring channels; mean and biased variance are over the S C/G values of a group.
 *
 * Statistics in two steps, so that large pictures fill the device: `partials` gives mean and sum of squared deviations of
 * every channel over a chunk of rows (Welford within a thread, then combined over 16 row lanes), `stats` combines chunks
 * and channels of a group by the same rule, in a fixed tree. stats [B, 2, C] holds mean and rstd, repeated over the
 * channels of their group: `apply` and the backward pass then read them like weights, whatever C/G is.
 *
 * The picture may be given in bands of pixels, equal ones but for the last: `partials` runs once for each, its chunks one
 * after another in the same tensor, and `stats` knows from the sizes where a chunk ends short. Where bands are whole
 * chunks, these are the chunks of the whole picture, and so are the sums.
 *
 * Backward, with xhat = (x - mean) rstd, z = xhat w + b and dz = dy act'(z), z being computed again:
 *   sums [B, 2, C]   sum_s dz and sum_s dz xhat (partials over chunks, added by columnSum)
 *   means [B, 2, C]  m = sum over the group's channels of w sums, over its S C/G values
 *   dx = rstd (w dz - m[0] - xhat m[1])
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { activationSlopeText, activationText } from './lib/activations';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export interface GroupNormVariant {
  /** Rows of C values can be accessed four wide. */
  readonly wide: boolean;
  readonly silu: boolean;
}

/** Channels that one workgroup of a partials kernel handles. */
export const channelsPerWorkgroup = 64;

/** Frame of both partials kernels: `row` runs over the lane's rows; `combine` merges lane `lane` into lane 0. */
function partials(header: string, declarations: string, each: string, combine: string): string {
  return wgsl`${header}
${declarations}
var<workgroup> firsts: array<vec4<f32>, 256>;
var<workgroup> seconds: array<vec4<f32>, 256>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
  let column = wid.x * 64u + lid.x * 4u;
  let left = u.channels - min(column, u.channels);
  let start = wid.y * u.chunkRows;
  let rows = min(u.chunkRows, u.pixels - start);
  var first = vec4<f32>(0.0);
  var second = vec4<f32>(0.0);
  var count = 0.0;
  if (left > 0u) {
    for (var row = lid.y; row < rows; row += 16u) {
      let at = (wid.z * u.pixels + start + row) * u.channels + column;
      count += 1.0;
${each}
    }
  }
  firsts[lid.y * 16u + lid.x] = first;
  seconds[lid.y * 16u + lid.x] = second;
  workgroupBarrier();
  if (lid.y == 0u && left > 0u) {
    for (var lane = 1u; lane < min(16u, rows); lane++) {
      let otherFirst = firsts[lane * 16u + lid.x];
      let otherSecond = seconds[lane * 16u + lid.x];
${combine}
    }
    let at = (wid.z * u.chunks + u.firstChunk + wid.y) * 2u * u.channels + column;
    writePartial(at, left, first);
    writePartial(at + u.channels, left, second);
  }
}
`;
}

export function groupNormPartialsShader(v: { readonly wide: boolean }, header: string): string {
  return partials(
    header,
    `${guardedLoad('x', v.wide)}
${guardedStore('partial', v.wide)}`,
    `      let x = readX(at, left);
      let delta = x - first;
      first += delta / count;
      second += delta * (x - first);`,
    `      let otherCount = f32((rows - lane + 15u) / 16u);
      let total = count + otherCount;
      let delta = otherFirst - first;
      first += delta * (otherCount / total);
      second += otherSecond + delta * delta * (count * otherCount / total);
      count = total;`,
  );
}

/** One workgroup per group and sample. */
export function groupNormStatsShader(header: string): string {
  return wgsl`${header}
var<workgroup> counts: array<f32, 64>;
var<workgroup> means: array<f32, 64>;
var<workgroup> squares: array<f32, 64>;

fn combine(lane: u32, count: f32, mean: f32, square: f32) {
  let before = counts[lane];
  let total = max(before + count, 1.0);
  let delta = mean - means[lane];
  means[lane] += delta * (count / total);
  squares[lane] += square + delta * delta * (before * count / total);
  counts[lane] = before + count;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  counts[thread] = 0.0;
  means[thread] = 0.0;
  squares[thread] = 0.0;
  let channel0 = wid.x * u.groupChannels;
  for (var entry = thread; entry < u.chunks * u.groupChannels; entry += 64u) {
    let chunk = entry / u.groupChannels;
    let at = (wid.y * u.chunks + chunk) * 2u * u.channels + channel0 + entry % u.groupChannels;
    let band = chunk / u.bandChunks;
    let bandEnd = min((band + 1u) * u.bandPixels, u.pixels);
    let count = f32(min(u.chunkRows, bandEnd - band * u.bandPixels - chunk % u.bandChunks * u.chunkRows));
    combine(thread, count, loadPartial(at), loadPartial(at + u.channels));
  }
  for (var lanes = 32u; lanes > 0u; lanes >>= 1u) {
    workgroupBarrier();
    if (thread < lanes) {
      combine(thread, counts[thread + lanes], means[thread + lanes], squares[thread + lanes]);
    }
  }
  workgroupBarrier();
  let rstd = inverseSqrt(squares[0] / counts[0] + u.eps);
  for (var channel = thread; channel < u.groupChannels; channel += 64u) {
    let at = wid.y * 2u * u.channels + channel0 + channel;
    storeStats(at, means[0]);
    storeStats(at + u.channels, rstd);
  }
}
`;
}

/** `parameters`: what the elements at i need of a [B, 2, C] tensor or a [C] vector, four wide or one by one. */
function channelLoads(wide: boolean, names: readonly string[]): string {
  const title = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
  const lines = names.map((name) => {
    const vector = name === 'weight' || name === 'bias';
    const half = vector ? '' : ', half: u32';
    const at = vector ? 'i % u.channels' : '(i / u.sample * 2u + half) * u.channels + i % u.channels';
    const pass = vector ? '' : ', half';
    return wide
      ? `fn at${title(name)}(i: u32, left: u32${half}) -> vec4<f32> { return load${title(name)}4(${at}); }`
      : `fn one${title(name)}(i: u32${half}) -> f32 { return load${title(name)}(${at}); }
fn at${title(name)}(i: u32, left: u32${half}) -> vec4<f32> {
  var v = vec4<f32>(one${title(name)}(i${pass}));
  if (left > 1u) { v.y = one${title(name)}(i + 1u${pass}); }
  if (left > 2u) { v.z = one${title(name)}(i + 2u${pass}); }
  if (left > 3u) { v.w = one${title(name)}(i + 3u${pass}); }
  return v;
}`;
  });
  return lines.join('\n');
}

export function groupNormApplyShader(v: GroupNormVariant, header: string): string {
  return elementwise(
    header,
    `${activationText(v.silu ? 'silu' : 'none')}
${channelLoads(v.wide, ['stats', 'weight', 'bias'])}
${guardedLoad('x', v.wide)}
${guardedStore('y', v.wide)}`,
    `  let xhat = (readX(i, left) - atStats(i, left, 0u)) * atStats(i, left, 1u);
  writeY(i, left, activate4(xhat * atWeight(i, left) + atBias(i, left)));`,
  );
}

export function groupNormSumsShader(v: GroupNormVariant, header: string): string {
  return partials(
    header,
    wgsl`${activationSlopeText(v.silu ? 'silu' : 'none')}
${guardedLoad('x', v.wide)}
${guardedLoad('dy', v.wide)}
${guardedLoad('stats', v.wide)}
${guardedStore('partial', v.wide)}
#if ${v.silu}
${guardedLoad('weight', v.wide)}
${guardedLoad('bias', v.wide)}
#endif`,
    wgsl`      let stat = wid.z * 2u * u.channels + column;
      let xhat = (readX(at, left) - readStats(stat, left)) * readStats(stat + u.channels, left);
#if ${v.silu}
      let dz = readDy(at, left) * slope4(xhat * readWeight(column, left) + readBias(column, left));
#else
      let dz = readDy(at, left);
#endif
      first += dz;
      second += dz * xhat;`,
    `      first += otherFirst;
      second += otherSecond;`,
  );
}

/** One thread per value of means [B, 2, C]. */
export function groupNormMeansShader(header: string): string {
  return wgsl`${header}
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= u.count) { return; }
  let channel = i % u.channels;
  let start = channel - channel % u.groupChannels;
  var sum = 0.0;
  for (var c = start; c < start + u.groupChannels; c++) {
    sum += loadWeight(c) * loadSums(i - channel + c);
  }
  storeMeans(i, sum * u.scale);
}
`;
}

export function groupNormBackwardShader(v: GroupNormVariant, header: string): string {
  const parameters = v.silu ? ['stats', 'means', 'weight', 'bias'] : ['stats', 'means', 'weight'];
  return elementwise(
    header,
    `${activationSlopeText(v.silu ? 'silu' : 'none')}
${channelLoads(v.wide, parameters)}
${guardedLoad('x', v.wide)}
${guardedLoad('dy', v.wide)}
${guardedStore('dx', v.wide)}`,
    wgsl`  let rstd = atStats(i, left, 1u);
  let xhat = (readX(i, left) - atStats(i, left, 0u)) * rstd;
  let weight = atWeight(i, left);
#if ${v.silu}
  let dz = readDy(i, left) * slope4(xhat * weight + atBias(i, left));
#else
  let dz = readDy(i, left);
#endif
  writeDx(i, left, rstd * (weight * dz - atMeans(i, left, 0u) - xhat * atMeans(i, left, 1u)));`,
  );
}
