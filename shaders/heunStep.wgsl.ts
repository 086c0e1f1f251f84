/**
 * sampleInput: xIn[r, e] = cIn xEval[e], once (r = 0) or twice (guidance: conditional and unconditional rows).
 *
 * heunStep: what follows one evaluation of the network in the sampler, elementwise over the batch.
 *   f = F[e], or with guidance u + guidance (c - u) with c = F[e], u = F[count + e]
 *   d = slopeX xEval + slopeF f                    slope of the sampling path, (x - D) / sigma
 *   denoised = cSkip xEval + cOut f                D, for previews
 *   predict: slope = d, xEval = x + dt d
 *   correct: x = xEval = x + dt (slope + d) / 2
 *   last:    x = xEval = x + dt d
 *
 * F [B or 2 B, C, h, w]; x, xEval, slope, denoised [B, C, h, w], updated in place; table [evaluations, 8] with the
 * columns of src/ops/heunStep.ts; step [1] is the row of the table. Each element belongs to one thread.
 */
import { elementwise } from './lib/elementwise';
import { guardedLoad, guardedStore } from './lib/text';

export interface HeunVariant {
  readonly wide: boolean;
  readonly guided: boolean;
}

export function sampleInputShader(v: HeunVariant, header: string): string {
  return elementwise(
    header,
    `${guardedLoad('xEval', v.wide)}
${guardedStore('xIn', v.wide)}`,
    `  let value = loadTable(loadStep(0u) * 8u) * readXEval(i, left);
  writeXIn(i, left, value);
${v.guided ? '  writeXIn(u.count + i, left, value);' : ''}`,
  );
}

export function heunStepShader(v: HeunVariant, header: string): string {
  const names = ['x', 'xEval', 'slope', 'denoised'];
  const network = v.guided
    ? `  let unconditional = readF(u.count + i, left);
  let f = unconditional + u.guidance * (readF(i, left) - unconditional);`
    : '  let f = readF(i, left);';
  return elementwise(
    header,
    `${guardedLoad('f', v.wide)}
${guardedLoad('x', v.wide)}
${guardedLoad('xEval', v.wide)}
${guardedLoad('slope', v.wide)}
${names.map((name) => guardedStore(name, v.wide)).join('\n')}`,
    `  let row = loadStep(0u) * 8u;
  let dt = loadTable(row + 5u);
  let stage = loadTable(row + 6u);
${network}
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
