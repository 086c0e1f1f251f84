/** References of squareSum, clipScale, adamW, emaUpdate and zero. */
import type { Reference } from './reference';

export const squareSumReference: Reference = {
  compute: (_node, [x]) => [Float64Array.of(x!.reduce((sum, value) => sum + value * value, 0))],
};

export const clipScaleReference: Reference<{ readonly maxNorm: number }> = {
  compute(node, [squares]) {
    const { maxNorm } = node.attrs;
    const norm = Math.sqrt(squares!.reduce((sum, value) => sum + value, 0));
    const clips = maxNorm > 0 && Number.isFinite(maxNorm);
    return [Float64Array.of(norm), Float64Array.of(clips ? Math.min(1, maxNorm / (norm + 1e-6)) : 1)];
  },
};

export const adamWReference: Reference = {
  compute(_node, [p, grad, m, v, hyper, scale]) {
    const [decay, mRate, vKeep, vRate, eps, stepSize, rootBias2] = hyper!;
    const g = grad!.map((value) => value * (scale ? scale[0]! : 1));
    const m1 = m!.map((value, i) => value + (g[i]! - value) * mRate!);
    const v1 = v!.map((value, i) => value * vKeep! + g[i]! * g[i]! * vRate!);
    const p1 = p!.map(
      (value, i) => value * decay! - stepSize! * (m1[i]! / (Math.sqrt(v1[i]!) / rootBias2! + eps!)),
    );
    return [p1, m1, v1];
  },
};

export const emaUpdateReference: Reference = {
  compute(_node, [ema, w, hyper]) {
    const rate = hyper![7]!;
    return [ema!.map((value, i) => (rate >= 1 ? w![i]! : value + rate * (w![i]! - value)))];
  },
};

export const zeroReference: Reference = { compute: (_node, [state]) => [new Float64Array(state!.length)] };
