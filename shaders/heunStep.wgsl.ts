/**
 * sampleInput: tokens[r, tokenIndex(e)] = cIn xEval[e], once (r = 0) or twice (guidance: conditional and unconditional
 * rows). tokens [B or 2 B, T, C p p], channels slowest: what the patch embedding multiplies.
 *
 * heunStep: what follows one evaluation of the network in the sampler, elementwise over the batch.
 *   f = F[tokenIndex(e)], or with guidance u + guidance (c - u) with c = F[tokenIndex(e)], u the same of the second half
 *   d = slopeX xEval + slopeF f                    slope of the sampling path, (x - D) / sigma
 *   denoised = cSkip xEval + cOut f                D, for previews
 *   predict: slope = d, xEval = x + dt d
 *   correct: x = xEval = x + dt (slope + d) / 2
 *   last:    x = xEval = x + dt d
 *
 * F [B or 2 B, T, p p C] as the final layer gives it, channels fastest; x, xEval, slope, denoised [B, C, h, w], updated in
 * place; table [evaluations, 8] with the columns of src/ops/heunStep.ts; step [1] is the row of the table. Each element
 * belongs to one thread. tokenIndex is that of shaders/patches.wgsl.ts.
 */
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';
import { tokenIndexText } from './patches.wgsl';

export interface HeunVariant {
  readonly wide: boolean;
  readonly guided: boolean;
}

export function sampleInputShader(v: HeunVariant, header: string): string {
  return elementwise(
    header,
    `${guardedLoad('xEval', v.wide)}
${tokenIndexText(false)}`,
    `  let value = loadTable(loadStep(0u) * 8u) * readXEval(i, left);
  for (var j = 0u; j < min(left, 4u); j++) {
    let at = tokenIndex(i + j);
    storeXIn(at, value[j]);
${v.guided ? '    storeXIn(u.count + at, value[j]);' : ''}
  }`,
  );
}

export function heunStepShader(v: HeunVariant, header: string): string {
  const names = ['x', 'xEval', 'slope', 'denoised'];
  const network = v.guided
    ? `    let unconditional = loadF(u.count + at);
    f[j] = unconditional + u.guidance * (loadF(at) - unconditional);`
    : '    f[j] = loadF(at);';
  return elementwise(
    header,
    `${tokenIndexText(true)}
${guardedLoad('x', v.wide)}
${guardedLoad('xEval', v.wide)}
${guardedLoad('slope', v.wide)}
${names.map((name) => guardedStore(name, v.wide)).join('\n')}`,
    `  let row = loadStep(0u) * 8u;
  let dt = loadTable(row + 5u);
  let stage = loadTable(row + 6u);
  var f = vec4<f32>(0.0);
  for (var j = 0u; j < min(left, 4u); j++) {
    let at = tokenIndex(i + j);
${network}
  }
  let point = readXEval(i, left);
  let d = loadTable(row + 1u) * point + loadTable(row + 2u) * f;
  writeDenoised(i, left, loadTable(row + 3u) * point + loadTable(row + 4u) * f);
  let base = readX(i, left);
  if (stage == 0.0) {
    writeSlope(i, left, d);
    writeXEval(i, left, base + dt * d);
    return;
  }
  var mean = d;
  if (stage == 1.0) { mean = 0.5 * (readSlope(i, left) + d); }
  let next = base + dt * mean;
  writeX(i, left, next);
  writeXEval(i, left, next);`,
  );
}
