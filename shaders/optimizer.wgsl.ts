/**
 * What happens after the backward pass, tensor by tensor. Sums are fixed trees.
 *
 * squareSum: sums of x[i]^2 per chunk of 16384 elements, y[chunk]; `squares` false sums what is there (second stage).
 * clipScale: norm = sqrt(sum squares[i]), scale = min(1, maxNorm / (norm + 1e-6)), or 1 without `clip`.
 * adamW, in torch's order of operations (hyper has the columns of src/ops/optimizer.ts):
 *   g = scale grad;  p = p decay;  m = m + (g - m) mRate;  v = v vKeep + g g vRate
 *   p = p - stepSize (m / (sqrt(v) / rootBias2 + eps))
 * emaUpdate: ema = ema + emaRate (w - ema), exactly w at rate 1.
 * zero: y = 0.
 * p, grad, m, v, ema, w: any shape, elementwise; p, m, v, ema, y in place. hyper [8], scale [1].
 */
import { wgsl } from 'wgsl-preprocessor/wgsl-preprocessor.js';
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';
import { treeSumText } from './lib/treeSum';

/** Elements that one workgroup of squareSum sums. */
export const squareSumChunk = 16384;

export function squareSumShader(
  v: { readonly wide: boolean; readonly squares: boolean },
  header: string,
): string {
  return wgsl`${header}
${guardedLoad('x', v.wide)}
${treeSumText()}
@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let chunk = wid.x + wid.y * groups.x;
  let end = min((chunk + 1u) * 16384u, u.count);
  var sum = vec4<f32>(0.0);
  for (var i = chunk * 16384u + thread * 4u; i < end; i += 1024u) {
    let x = readX(i, end - i);
#if ${v.squares}
    sum += x * x;
#else
    sum += x;
#endif
  }
  let total = treeSum((sum.x + sum.y) + (sum.z + sum.w), thread);
  if (thread == 0u && chunk * 16384u < u.count) { storeY(chunk, total); }
}
`;
}

export function clipScaleShader(
  v: { readonly clip: boolean; readonly norm: boolean; readonly scale: boolean },
  header: string,
): string {
  return wgsl`${header}
${treeSumText()}
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var i = thread; i < u.count; i += 256u) { sum += loadSquares(i); }
  let total = treeSum(sum, thread);
  if (thread == 0u) {
    let norm = sqrt(total);
#if ${v.norm}
    storeNorm(0u, norm);
#endif
#if ${v.scale}
#if ${v.clip}
    storeScale(0u, min(1.0, u.maxNorm / (norm + 1e-6)));
#else
    storeScale(0u, 1.0);
#endif
#endif
  }
}
`;
}

export function adamWShader(v: { readonly wide: boolean; readonly scaled: boolean }, header: string): string {
  const names = ['p', 'm', 'v'];
  return elementwise(
    header,
    `${guardedLoad('grad', v.wide)}
${names.map((name) => `${guardedLoad(name, v.wide)}\n${guardedStore(name, v.wide)}`).join('\n')}`,
    `  let g = readGrad(i, left)${v.scaled ? ' * loadScale(0u)' : ''};
  let decayed = readP(i, left) * loadHyper(0u);
  let m0 = readM(i, left);
  let m = m0 + (g - m0) * loadHyper(1u);
  let v = readV(i, left) * loadHyper(2u) + g * g * loadHyper(3u);
  writeM(i, left, m);
  writeV(i, left, v);
  writeP(i, left, decayed - loadHyper(5u) * (m / (sqrt(v) / loadHyper(6u) + loadHyper(4u))));`,
  );
}

export function emaUpdateShader(v: { readonly wide: boolean }, header: string): string {
  return elementwise(
    header,
    `${guardedLoad('ema', v.wide)}
${guardedLoad('w', v.wide)}
${guardedStore('ema', v.wide)}`,
    `  let rate = loadHyper(7u);
  let ema = readEma(i, left);
  let w = readW(i, left);
  writeEma(i, left, select(ema + rate * (w - ema), w, rate >= 1.0));`,
  );
}

export function zeroShader(v: { readonly wide: boolean }, header: string): string {
  return elementwise(header, guardedStore('y', v.wide), '  writeY(i, left, vec4<f32>(0.0));');
}
