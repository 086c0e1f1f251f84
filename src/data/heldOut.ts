/** Samples that a run does not train on, and the batches that measure the loss on them. */
import { InputError } from '../core/errors';
import { elementCount } from '../core/shape';
import type { TrainBatch } from '../protocol/trainBatch';
import { drawBatch } from './batchDraws';
import { allIds, type Dataset } from './dataset';
import { createDraws } from './draws';

export interface Split {
  /** Numbers of the samples to train on, rising. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** The others, rising. */
  readonly heldOut: Uint32Array<ArrayBuffer>;
}

/**
 * Holds out `share` of the samples, rounded to a whole number: those with the lowest draws. A sample's draw depends on
 * its number alone, so that few change sides when a data set grows at its end.
 * @throws InputError unless share lies from 0 to below 1 and leaves samples to train on
 */
export function splitSamples(size: number, share: number, seed: bigint): Split {
  const count = Math.round(size * share);
  if (!(share >= 0 && share < 1) || count >= size) {
    throw new InputError(
      `held out: a share from 0 to below 1 that leaves some of the ${size} samples to train on: ${share}`,
    );
  }
  const draws = createDraws(seed);
  const own = new Float32Array(size);
  for (let sample = 0; sample < size; sample++) {
    draws.uniforms({ purpose: 'split', step: 0, sample }, own.subarray(sample, sample + 1));
  }
  const byDraw = allIds({ size }).sort((a, b) => own[a]! - own[b]! || a - b);
  return { heldOut: byDraw.slice(0, count).sort(), train: byDraw.slice(count).sort() };
}

export interface EvaluationSettings {
  readonly seed: bigint;
  /** Samples a batch; the last batch has what is left. */
  readonly batch: number;
  /** Tokens of a picture. */
  readonly tokens: number;
  /** Samples to measure on, in order; default all of the data set. */
  readonly ids?: Uint32Array;
}

/**
 * Batches that measure the loss: every sample once, no caption dropped, with the same draws every time (stream
 * `evaluate`, step 0, row = place in `ids`) whatever the batch size, so that two measurements differ by the weights alone.
 * @throws InputError, and what the data set throws
 */
export async function* evaluationBatches(
  dataset: Dataset,
  { seed, batch, tokens, ids = allIds(dataset) }: EvaluationSettings,
  signal?: AbortSignal,
): AsyncGenerator<TrainBatch> {
  if (!Number.isInteger(batch) || batch < 1) {
    throw new InputError(`evaluation: batch size: a whole number from 1: ${batch}`);
  }
  const draws = createDraws(seed, 'evaluate');
  const picture = elementCount(dataset.latentShape);
  for (let first = 0; first < ids.length; first += batch) {
    const taken = ids.subarray(first, first + batch);
    const samples = taken.length;
    const { latents, captions } = await dataset.get(taken, signal);
    const drawn = drawBatch(draws, { step: 0, first, samples, picture, tokens, captionDrop: 0 });
    yield { samples, latents, captions, ...drawn };
  }
}
