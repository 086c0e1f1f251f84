/**
 * edmInput: noised = x + sigma n, xIn = cIn noised; x, n, noised, xIn [B, C, h, w].
 *
 * edmLoss, over the samples b, w the sample's weight, D = cSkip noised + cOut F:
 *   perSample[b] = w sum keep (D - x)^2 / sum keep,  loss = mean of perSample
 * F, noised, latents x [B, C, h, w]; coefficients [B, 8] with the columns of src/ops/edmLoss.ts; mask [B, T], 1 = removed,
 * T patches in reading order; keep = 1 - mask of the element's patch, 1 without mask. The mean over channels, the
 * average pooling over a patch and the mean over kept patches are one mean over the kept elements.
 * D - x is taken as cSkip (noised - x) - (1 - cSkip) x + cOut F: every term is as small as sigma, nothing cancels.
 *
 * Three kernels: partials (one workgroup per chunk of a sample: sum of squares, number of kept elements), finish (one
 * workgroup: samples in order, then the mean; saves w / kept elements), backward:
 *   dF = dLoss[b] 2 cOut keep (D - x) factor[b]
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';
import { treeSumText } from './lib/treeSum';

export interface EdmLossVariant {
  readonly wide: boolean;
  readonly masked: boolean;
}

/** Elements of a sample that one workgroup of the first stage sums. */
export const edmLossChunk = 4096;

export function edmInputShader(v: { readonly wide: boolean }, header: string): string {
  const row = (offset: number): string => `(i + ${offset}u) / u.sample * 8u`;
  const coefficient = (name: string, column: number): string =>
    v.wide
      ? `  let ${name} = vec4<f32>(loadCoefficients(${row(0)} + ${column}u));`
      : `  var ${name} = vec4<f32>(loadCoefficients(${row(0)} + ${column}u));
  if (left > 1u) { ${name}.y = loadCoefficients(${row(1)} + ${column}u); }
  if (left > 2u) { ${name}.z = loadCoefficients(${row(2)} + ${column}u); }
  if (left > 3u) { ${name}.w = loadCoefficients(${row(3)} + ${column}u); }`;
  return elementwise(
    header,
    `${guardedLoad('latents', v.wide)}
${guardedLoad('noise', v.wide)}
${guardedStore('noised', v.wide)}
${guardedStore('xIn', v.wide)}`,
    `${coefficient('sigma', 0)}
${coefficient('cIn', 3)}
  let noised = readLatents(i, left) + sigma * readNoise(i, left);
  writeNoised(i, left, noised);
  writeXIn(i, left, cIn * noised);`,
  );
}

/** keepAt(b, e) of element e of sample b, and errorAt(b, i) = D - x at element i of the batch. */
function lossText(masked: boolean): string {
  return wgsl`
fn keepAt(b: u32, e: u32) -> f32 {
#if ${masked}
  let column = e % u.width;
  let row = e / u.width % u.height;
  return 1.0 - loadMask(b * u.tokens + row / u.patchSize * (u.width / u.patchSize) + column / u.patchSize);
#else
  return 1.0;
#endif
}

fn errorAt(b: u32, i: u32) -> f32 {
  let x = loadLatents(i);
  let cSkip = loadCoefficients(b * 8u + 1u);
  let cOut = loadCoefficients(b * 8u + 2u);
  let rest = loadCoefficients(b * 8u + 5u);
  return cSkip * (loadNoised(i) - x) - rest * x + cOut * loadF(i);
}
`;
}

export function edmLossPartialsShader(v: { readonly masked: boolean }, header: string): string {
  return wgsl`${header}
${lossText(v.masked)}
${treeSumText('vec2<f32>')}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let b = wid.y;
  let end = min((wid.x + 1u) * 4096u, u.sample);
  var sum = vec2<f32>(0.0);
  for (var e = wid.x * 4096u + thread; e < end; e += 256u) {
    let keep = keepAt(b, e);
    let error = errorAt(b, b * u.sample + e);
    sum += vec2<f32>(keep * error * error, keep);
  }
  let total = treeSum(sum, thread);
  if (thread == 0u) {
    let at = (b * u.chunks + wid.x) * 2u;
    storePartials(at, total.x);
    storePartials(at + 1u, total.y);
  }
}
`;
}

export function edmLossFinishShader(
  v: { readonly loss: boolean; readonly perSample: boolean; readonly factor: boolean },
  header: string,
): string {
  return wgsl`${header}
${treeSumText()}
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var b = thread; b < u.samples; b += 256u) {
    var total = vec2<f32>(0.0);
    for (var chunk = 0u; chunk < u.chunks; chunk++) {
      let at = (b * u.chunks + chunk) * 2u;
      total += vec2<f32>(loadPartials(at), loadPartials(at + 1u));
    }
    // a sample of which nothing is kept has no loss
    let factor = select(0.0, loadCoefficients(b * 8u + 4u) / max(total.y, 1.0), total.y > 0.0);
#if ${v.perSample}
    storePerSample(b, factor * total.x);
#endif
#if ${v.factor}
    storeFactor(b, factor);
#endif
    sum += factor * total.x;
  }
#if ${v.loss}
  let loss = treeSum(sum, thread);
  if (thread == 0u) { storeLoss(0u, loss / f32(u.samples)); }
#endif
}
`;
}

export function edmLossBackwardShader(
  v: { readonly masked: boolean; readonly each: boolean },
  header: string,
): string {
  return wgsl`${header}
${lossText(v.masked)}
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = (wid.x + wid.y * groups.x) * 64u + thread;
  if (i >= u.count) { return; }
  let b = i / u.sample;
#if ${v.each}
  let upstream = loadDLoss(b);
#else
  let upstream = loadDLoss(0u);
#endif
  let slope = u.scale * upstream * loadFactor(b) * loadCoefficients(b * 8u + 2u);
  storeDF(i, slope * keepAt(b, i - b * u.sample) * errorAt(b, i));
}
`;
}
