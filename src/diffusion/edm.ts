/**
 * EDM: noise levels, preconditioning and the tables of the Heun sampler, as MicroDiT uses them (Karras et al. 2022,
 * "Elucidating the Design Space of Diffusion-Based Generative Models").
 *
 * The network F sees cIn x at time cNoise and stands for the denoiser D(x; sigma) = cSkip x + cOut F. Everything here
 * is float64 and pure; the GPU gets rounded tables whose columns the ops define (heunStep, edmLoss).
 */
import { InputError } from '../core/errors';
import { edmColumns } from '../ops/edmLoss';
import { heunColumns, heunStages } from '../ops/heunStep';

/** Standard deviation of the data that the preconditioning assumes; the same for every VAE. */
export const sigmaData = 0.9;
/** Noise levels between which the sampler moves, and the exponent that spaces them. */
export const sigmaMin = 0.002;
export const sigmaMax = 80;
export const rho = 7;

/** How the network is wrapped at one noise level. */
export interface Preconditioning {
  readonly cSkip: number;
  readonly cOut: number;
  readonly cIn: number;
  /** What the network's timestep embedding takes: ln(sigma) / 4. */
  readonly cNoise: number;
  /** Weight of the squared error of D in the training loss; weight cOut^2 = 1. */
  readonly weight: number;
}

/**
 * Preconditioning at noise level `sigma`.
 * @throws InputError when sigma is not a positive finite number
 */
export function precondition(sigma: number): Preconditioning {
  if (!(sigma > 0) || !Number.isFinite(sigma)) {
    throw new InputError(`noise level: a positive finite number is needed: ${sigma}`);
  }
  const total = sigma * sigma + sigmaData * sigmaData;
  const root = Math.sqrt(total);
  return {
    cSkip: (sigmaData * sigmaData) / total,
    cOut: (sigma * sigmaData) / root,
    cIn: 1 / root,
    cNoise: Math.log(sigma) / 4,
    weight: total / (sigma * sigmaData) ** 2,
  };
}

/**
 * The sampler's noise levels: `steps` + 1 of them, falling from sigmaMax to sigmaMin and ending with 0.
 * @throws InputError unless steps is a whole number of at least 2 (the spacing divides by steps - 1)
 */
export function karrasSigmas(steps: number): Float64Array<ArrayBuffer> {
  if (!Number.isInteger(steps) || steps < 2) {
    throw new InputError(`steps: a whole number of at least 2 is needed: ${steps}`);
  }
  const from = sigmaMax ** (1 / rho);
  const to = sigmaMin ** (1 / rho);
  const sigmas = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i++) sigmas[i] = (from + (i / (steps - 1)) * (to - from)) ** rho;
  return sigmas;
}

/** Noise level of a training sample from a standard normal draw: log-normal with the config's p_mean and p_std. */
export function sigmaOfDraw(z: number, pMean: number, pStd: number): number {
  return Math.exp(pStd * z + pMean);
}

/** One evaluation of the network inside the sampler, and what follows from it. */
export interface HeunEvaluation extends Preconditioning {
  /** Step to which it belongs, from 0. */
  readonly step: number;
  /** predict: first slope of a step; correct: second slope; last: the closing Euler step to noise level 0. */
  readonly stage: 'predict' | 'correct' | 'last';
  /** Noise level at which the network is evaluated. */
  readonly sigma: number;
  /** Change of noise level over the whole step (negative). */
  readonly dt: number;
  /** The slope (x - D) / sigma as a linear form in x and F: slopeX x + slopeF F. */
  readonly slopeX: number;
  readonly slopeF: number;
}

/**
 * The sampler's 2 steps - 1 evaluations in order.
 *
 * The slope d = (x - D(x; s)) / s is written without its cancellation: 1 - cSkip = s^2 / (s^2 + sd^2), so
 * d = s / (s^2 + sd^2) x - sd / sqrt(s^2 + sd^2) F.
 *
 * @throws InputError as karrasSigmas
 */
export function heunTable(steps: number): HeunEvaluation[] {
  const sigmas = karrasSigmas(steps);
  const rows: HeunEvaluation[] = [];
  const evaluate = (step: number, sigma: number, stage: HeunEvaluation['stage']): void => {
    const coefficients = precondition(sigma);
    rows.push({
      ...coefficients,
      step,
      stage,
      sigma,
      dt: (sigmas[step + 1] as number) - (sigmas[step] as number),
      slopeX: sigma / (sigma * sigma + sigmaData * sigmaData),
      slopeF: -sigmaData * coefficients.cIn,
    });
  };
  for (let step = 0; step < steps; step++) {
    const isLast = step === steps - 1;
    evaluate(step, sigmas[step] as number, isLast ? 'last' : 'predict');
    if (!isLast) evaluate(step, sigmas[step + 1] as number, 'correct');
  }
  return rows;
}

/** The table as the op heunStep reads it: f32 [evaluations, 8]. */
export function packHeunTable(rows: readonly HeunEvaluation[]): Float32Array<ArrayBuffer> {
  const packed = new Float32Array(rows.length * heunColumns.count);
  rows.forEach((row, index) => {
    const start = index * heunColumns.count;
    packed[start + heunColumns.cIn] = row.cIn;
    packed[start + heunColumns.slopeX] = row.slopeX;
    packed[start + heunColumns.slopeF] = row.slopeF;
    packed[start + heunColumns.cSkip] = row.cSkip;
    packed[start + heunColumns.cOut] = row.cOut;
    packed[start + heunColumns.dt] = row.dt;
    packed[start + heunColumns.stage] = heunStages[row.stage];
    packed[start + heunColumns.sigma] = row.sigma;
  });
  return packed;
}

/** Coefficients of training samples as the ops edmInput and edmLoss read them: f32 [sigmas, 8]. */
export function packEdmCoefficients(sigmas: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const packed = new Float32Array(sigmas.length * edmColumns.count);
  for (let index = 0; index < sigmas.length; index++) {
    const sigma = sigmas[index] as number;
    const { cSkip, cOut, cIn, weight } = precondition(sigma);
    const start = index * edmColumns.count;
    packed[start + edmColumns.sigma] = sigma;
    packed[start + edmColumns.cSkip] = cSkip;
    packed[start + edmColumns.cOut] = cOut;
    packed[start + edmColumns.cIn] = cIn;
    packed[start + edmColumns.weight] = weight;
    packed[start + edmColumns.rest] = (sigma * sigma) / (sigma * sigma + sigmaData * sigmaData);
  }
  return packed;
}
