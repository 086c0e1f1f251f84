/**
 * Batches for training: which samples a step takes, with the draws of the step.
 *
 * Every epoch takes the samples in a new order, each at most once; what is left after the last whole batch is passed
 * over. Where a run stands is a cursor of five numbers, saved with its checkpoints: the same cursor goes on with the same
 * batches. Draws belong to the step and the row in the batch (draws.ts).
 */
import { FormatError, InputError } from '../core/errors';
import { elementCount } from '../core/shape';
import { issueText } from '../core/schemaIssue';
import { z } from '../protocol/schema';
import type { TrainBatch } from '../protocol/trainBatch';
import { seedBits } from '../random/generator';
import { aheadByOne } from './aheadByOne';
import { drawBatch } from './batchDraws';
import { allIds, checkIds, type Dataset } from './dataset';
import { createDraws, type Draws } from './draws';

const cursorSchema = z.strictObject({
  /** The run's, as 64 bits without a sign, in decimal digits: JSON has no such numbers. */
  seed: z.string().regex(/^\d{1,20}$/, 'must be decimal digits'),
  /** Samples that the orders are made of: a data set that grew has other orders. */
  samples: z.int().positive(),
  /** Steps done, and the number of the next one. */
  step: z.int().nonnegative(),
  epoch: z.int().nonnegative(),
  /** Samples of the epoch already taken. */
  position: z.int().nonnegative(),
});
export type DataCursor = Readonly<z.infer<typeof cursorSchema>>;

/** A cursor that was saved. @throws FormatError */
export function parseCursor(json: unknown, what = 'data cursor'): DataCursor {
  const parsed = cursorSchema.safeParse(json);
  if (!parsed.success) throw new FormatError(`${what}: ${issueText(parsed.error.issues, json)}`);
  return parsed.data;
}

export interface BatcherSettings {
  /** Of the run: orders and draws follow from it. */
  readonly seed: bigint;
  /** Samples a batch. */
  readonly batch: number;
  /** Tokens of a picture: one mask draw each. */
  readonly tokens: number;
  /** Probability from 0 to 1 that a sample's caption is dropped. */
  readonly captionDrop: number;
  /** Samples to train on; default all of the data set. */
  readonly ids?: Uint32Array;
}

/** A batch and where it came from. */
export interface PlacedBatch {
  readonly batch: TrainBatch;
  /** Number of the step that it is for, from 0. */
  readonly step: number;
  readonly epoch: number;
  /** [batch] numbers in the data set. */
  readonly ids: Uint32Array;
  readonly texts: readonly string[];
  /** Where to go on after this step: what a checkpoint saves. */
  readonly next: DataCursor;
}

export class Batcher {
  readonly dataset: Dataset;
  /** Batches an epoch gives. */
  readonly batchesPerEpoch: number;
  readonly #settings: BatcherSettings;
  readonly #ids: Uint32Array;
  readonly #draws: Draws;
  /** The order in use: that of the epoch asked for last. */
  #order: { readonly epoch: number; readonly ids: Uint32Array } | null = null;

  /** @throws InputError when the settings are no settings or the data set has too few samples for a batch */
  constructor(dataset: Dataset, settings: BatcherSettings) {
    const { batch, tokens, captionDrop, ids } = settings;
    this.dataset = dataset;
    this.#settings = settings;
    this.#draws = createDraws(settings.seed);
    this.#ids = ids ?? allIds(dataset);
    checkIds(dataset, this.#ids);
    if (!Number.isInteger(tokens) || tokens < 1) {
      throw new InputError(`batches: tokens: a whole number from 1: ${tokens}`);
    }
    if (!(captionDrop >= 0 && captionDrop <= 1)) {
      throw new InputError(`batches: caption drop: a probability from 0 to 1: ${captionDrop}`);
    }
    if (!Number.isInteger(batch) || batch < 1 || batch > this.#ids.length) {
      throw new InputError(
        `batches: batch size: a whole number from 1 to the ${this.#ids.length} samples to train on: ${batch}`,
      );
    }
    this.batchesPerEpoch = Math.floor(this.#ids.length / batch);
  }

  /** The beginning of a run. */
  get start(): DataCursor {
    const seed = seedBits(this.#settings.seed).toString();
    return { seed, samples: this.#ids.length, step: 0, epoch: 0, position: 0 };
  }

  /**
   * The batch at a cursor: the same one whenever it is asked for. The batch size may have changed since it was saved.
   * @throws InputError when the cursor belongs to another seed or to another number of samples
   */
  async at(cursor: DataCursor, signal?: AbortSignal): Promise<PlacedBatch> {
    this.#checkCursor(cursor);
    const { batch, tokens, captionDrop } = this.#settings;
    const fits = cursor.position + batch <= this.#ids.length;
    const epoch = fits ? cursor.epoch : cursor.epoch + 1;
    const position = fits ? cursor.position : 0;
    const ids = this.#orderOf(epoch).slice(position, position + batch);
    const { latents, captions, texts } = await this.dataset.get(ids, signal);
    const picture = elementCount(this.dataset.latentShape);
    return {
      batch: {
        samples: batch,
        latents,
        captions,
        ...drawBatch(this.#draws, { step: cursor.step, samples: batch, picture, tokens, captionDrop }),
      },
      ...{ step: cursor.step, epoch, ids, texts },
      next: { ...cursor, step: cursor.step + 1, epoch, position: position + batch },
    };
  }

  /**
   * Batches from a cursor on, without end, each made while the one before is in use. Breaking out of the loop, or
   * return(), ends it.
   * @throws as `at`, and what the data set throws, when the batch concerned is asked for
   */
  batches(from: DataCursor = this.start, signal?: AbortSignal): AsyncIterableIterator<PlacedBatch> {
    return aheadByOne((before) => this.at(before?.next ?? from, signal));
  }

  #orderOf(epoch: number): Uint32Array {
    if (this.#order?.epoch !== epoch) {
      const order = this.#draws.order(epoch, this.#ids.length);
      this.#order = { epoch, ids: order.map((at) => this.#ids[at]!) };
    }
    return this.#order.ids;
  }

  #checkCursor(cursor: DataCursor): void {
    const { seed, samples } = this.start;
    if (cursor.seed !== seed) {
      throw new InputError(`data cursor: must be of this run, with seed ${seed}: its seed is ${cursor.seed}`);
    }
    if (cursor.samples !== samples) {
      throw new InputError(
        `data cursor: must be of a data set with ${samples} samples to train on: it has ${cursor.samples}`,
      );
    }
  }
}
