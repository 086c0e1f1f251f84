/**
 * Data sets for training: pictures as scaled latents and captions as the text tower's output, by sample number. What
 * the batcher takes its samples from, wherever they lie.
 */
import { InputError } from '../core/errors';

export interface Dataset {
  /** Name for messages. */
  readonly name: string;
  /** Samples; their numbers are 0 to size - 1. */
  readonly size: number;
  /** [C, h, w] of each sample. */
  readonly latentShape: readonly [number, number, number];
  /** [L, W] of each sample: caption length in tokens, width of the text tower. */
  readonly captionShape: readonly [number, number];
  /**
   * Samples `ids` in the order given; a number may come twice. The arrays are the caller's.
   * @throws InputError for a number that is no sample's
   */
  get(ids: ArrayLike<number>, signal?: AbortSignal): Promise<DatasetSamples>;
}

/** n samples, one after another. */
export interface DatasetSamples {
  /** [n, C, h, w], multiplied by the autoencoder's scaling factor. */
  readonly latents: Float32Array<ArrayBuffer>;
  /** [n, L, W] */
  readonly captions: Float32Array<ArrayBuffer>;
  /** The captions in words. */
  readonly texts: readonly string[];
}

/** Throws unless every id is a sample's number. @throws InputError */
export function checkIds(dataset: Pick<Dataset, 'name' | 'size'>, ids: ArrayLike<number>): void {
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at]!;
    if (!Number.isInteger(id) || id < 0 || id >= dataset.size) {
      throw new InputError(`${dataset.name}: samples: numbers from 0 to below ${dataset.size}: ${id}`);
    }
  }
}

/** The numbers of all samples. */
export function allIds(dataset: Pick<Dataset, 'size'>): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: dataset.size }, (_, id) => id);
}
