/** The draws of a training batch, whole or any rows of it. */
import type { TrainBatch } from '../protocol/trainBatch';
import type { Draws } from './draws';

export interface BatchDraws {
  /** Optimizer step, from 0. */
  readonly step: number;
  readonly samples: number;
  /** Row in the step's whole batch of the first sample; default 0. */
  readonly first?: number;
  /** Values of one sample's latents. */
  readonly picture: number;
  readonly tokens: number;
  /** Probability that a sample's caption is dropped. */
  readonly captionDrop: number;
}

/** Rows `first` to `first + samples` of a step's draws: the same numbers whichever rows are drawn together. */
export function drawBatch(
  draws: Draws,
  { step, samples, first = 0, picture, tokens, captionDrop }: BatchDraws,
): Pick<TrainBatch, 'rndNormal' | 'noise' | 'maskNoise' | 'drop'> {
  const rndNormal = new Float32Array(samples);
  const noise = new Float32Array(samples * picture);
  const maskNoise = new Float32Array(samples * tokens);
  const drop = new Float32Array(samples);
  for (let row = 0; row < samples; row++) {
    const sample = first + row;
    const end = row + 1;
    draws.normals({ purpose: 'level', step, sample }, rndNormal.subarray(row, end));
    draws.normals({ purpose: 'noise', step, sample }, noise.subarray(row * picture, end * picture));
    draws.uniforms({ purpose: 'mask', step, sample }, maskNoise.subarray(row * tokens, end * tokens));
    draws.uniforms({ purpose: 'drop', step, sample }, drop.subarray(row, end));
    drop[row] = drop[row]! < captionDrop ? 0 : 1;
  }
  return { rndNormal, noise, maskNoise, drop };
}
