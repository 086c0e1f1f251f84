/**
 * TrainRun: a run of the recipe, step after step: batches and draws from the data's cursor, the rate of the schedule, the
 * moving average when it is due. What a checkpoint needs of it comes out in pieces, and a run made from such pieces goes
 * on with the same losses, bit for bit: nothing else decides them.
 */
import { FormatError } from '../core/errors';
import { elementCount, sameShape, shapeText } from '../core/shape';
import { Batcher, type DataCursor, type PlacedBatch } from '../data/batcher';
import type { Dataset } from '../data/dataset';
import { ditLayout } from '../models/dit/config';
import { maxChunkBytes } from '../sources/byteSource';
import { emaRate } from '../train/ema';
import { initialWeights } from '../train/initialise';
import type { TrainRecipe } from '../train/recipe';
import { usedFactor } from '../train/schedule';
import type { SessionResources } from './resources';
import { TrainSession, type StepFigures } from './trainSession';

/** A tensor of a checkpoint. */
export interface SavedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'f32';
}

/** The tensors of a checkpoint, by group: 'dit' (weights), 'm' and 'v' (moments), 'ema'. */
export interface SavedGroup {
  readonly name: string;
  readonly tensors: readonly SavedTensor[];
}

/** Where a saved run stands, and its tensors' values in any order and pieces. */
export interface SavedRun {
  readonly cursor: DataCursor;
  readonly groups: readonly SavedGroup[];
  readonly pieces: AsyncIterable<{
    readonly group: string;
    readonly tensor: { readonly name: string };
    /** Bytes from the tensor's start, a multiple of 4. */
    readonly offset: number;
    readonly bytes: Uint8Array;
  }>;
}

/** A step that was submitted. */
export interface StepDone {
  /** From 0. */
  readonly step: number;
  readonly lr: number;
  readonly placed: PlacedBatch;
  /** Loss and gradient norm, when the GPU is through. */
  readonly figures: Promise<StepFigures>;
}

export class TrainRun {
  readonly recipe: TrainRecipe;
  readonly session: TrainSession;
  readonly batcher: Batcher;
  #cursor: DataCursor;
  #batches: AsyncIterableIterator<PlacedBatch> | null = null;

  private constructor(recipe: TrainRecipe, session: TrainSession, batcher: Batcher, cursor: DataCursor) {
    this.recipe = recipe;
    this.session = session;
    this.batcher = batcher;
    this.#cursor = cursor;
  }

  /**
   * A fresh model, its weights drawn from the recipe's seed.
   * @throws FormatError when the data are not for the model; OutOfMemoryError
   */
  static async start(resources: SessionResources, recipe: TrainRecipe, dataset: Dataset): Promise<TrainRun> {
    const run = await TrainRun.#create(resources, recipe, dataset, null);
    try {
      for (const { spec, values } of initialWeights({ config: recipe.model, seed: recipe.seed })) {
        await run.session.write('dit', spec.name, values);
      }
      return run;
    } catch (thrown) {
      run.dispose();
      throw thrown;
    }
  }

  /**
   * A run from its checkpoint.
   * @throws FormatError when the checkpoint or the data are not for the recipe's model; InputError for another data set or
   * seed; OutOfMemoryError; what reading throws
   */
  static async resume(
    resources: SessionResources,
    recipe: TrainRecipe,
    dataset: Dataset,
    saved: SavedRun,
  ): Promise<TrainRun> {
    const run = await TrainRun.#create(resources, recipe, dataset, saved.cursor);
    try {
      run.#checkGroups(saved.groups);
      for await (const { group, tensor, offset, bytes } of saved.pieces) {
        await run.session.write(group, tensor.name, wordsOf(bytes), offset);
      }
      return run;
    } catch (thrown) {
      run.dispose();
      throw thrown;
    }
  }

  static async #create(
    resources: SessionResources,
    recipe: TrainRecipe,
    dataset: Dataset,
    cursor: DataCursor | null,
  ): Promise<TrainRun> {
    const layout = ditLayout(recipe.model);
    const edge = layout.grid * layout.patch;
    const wanted = [layout.channels, edge, edge];
    if (!sameShape(dataset.latentShape, wanted)) {
      throw new FormatError(
        `${dataset.name}: latents must be the model's ${shapeText(wanted)}: they are ${shapeText(dataset.latentShape)}`,
      );
    }
    const [, width] = dataset.captionShape;
    if (width !== layout.captionChannels) {
      throw new FormatError(
        `${dataset.name}: captions must have the model's width ${layout.captionChannels}: ${shapeText(dataset.captionShape)}`,
      );
    }
    const batcher = new Batcher(dataset, {
      seed: recipe.seed,
      batch: recipe.batch,
      tokens: layout.tokens,
      captionDrop: recipe.captionDrop,
    });
    const session = await TrainSession.create(resources, recipe.model);
    try {
      await session.startOptimizer({ maxNorm: recipe.clipNorm, ema: recipe.ema !== null });
    } catch (thrown) {
      session.dispose();
      throw thrown;
    }
    return new TrainRun(recipe, session, batcher, cursor ?? batcher.start);
  }

  /** Optimizer steps taken. */
  get step(): number {
    return this.#cursor.step;
  }

  /** Where the data go on. */
  get cursor(): DataCursor {
    return this.#cursor;
  }

  /**
   * One step. It resolves when the GPU has little of it left; a step that is cancelled has changed nothing, and the next
   * call makes it again.
   * @throws CancelledError, DeviceLostError; what the data set throws
   */
  async next(signal?: AbortSignal): Promise<StepDone> {
    this.#batches ??= this.batcher.batches(this.#cursor);
    const { value: placed } = (await this.#batches.next()) as IteratorYieldResult<PlacedBatch>;
    const { recipe } = this;
    const { step } = placed;
    const lr = recipe.lr * usedFactor(recipe.schedule, step, recipe.lag);
    try {
      const { figures } = await this.session.step(
        placed.batch,
        { ...recipe.loss, shard: recipe.microbatch ?? recipe.batch, ...(signal ? { signal } : {}) },
        { ...recipe.adamW, lr, step: step + 1, emaRate: emaRate(recipe.ema, step) },
      );
      this.#cursor = placed.next;
      return { step, lr, placed, figures };
    } catch (thrown) {
      // the batch was taken and not used: the next call asks for it again
      await this.#stopBatches();
      throw thrown;
    }
  }

  /** What a checkpoint lists. */
  groups(): SavedGroup[] {
    return [...this.session.saved].map(([name, specs]) => ({
      name,
      tensors: specs.map(({ name: tensor, shape }) => ({ name: tensor, shape, dtype: 'f32' as const })),
    }));
  }

  /** The values of `groups()`, in that order, at most 16 MiB at a time. No step may run meanwhile. */
  async *pieces(): AsyncGenerator<{ group: string; name: string; bytes: Uint8Array<ArrayBuffer> }> {
    for (const { name: group, tensors } of this.groups()) {
      for (const { name, shape } of tensors) {
        const size = 4 * elementCount(shape);
        for (let at = 0; at < size; at += maxChunkBytes) {
          const count = Math.min(maxChunkBytes, size - at);
          yield { group, name, bytes: await this.session.read(group, name, at, count) };
        }
      }
    }
  }

  dispose(): void {
    void this.#stopBatches();
    this.session.dispose();
  }

  async #stopBatches(): Promise<void> {
    const batches = this.#batches;
    this.#batches = null;
    await batches?.return?.();
  }

  /** @throws FormatError unless the checkpoint has just the tensors of this run */
  #checkGroups(saved: readonly SavedGroup[]): void {
    const own = this.groups();
    const names = (groups: readonly SavedGroup[]): string => groups.map(({ name }) => name).join(', ');
    if (names(saved) !== names(own)) {
      throw new FormatError(`checkpoint: must have the groups ${names(own)}: it has ${names(saved)}`);
    }
    for (const [index, { name, tensors }] of own.entries()) {
      const found = new Map(saved[index]!.tensors.map((tensor) => [tensor.name, tensor]));
      for (const tensor of tensors) {
        const other = found.get(tensor.name);
        if (!other || other.dtype !== 'f32' || !sameShape(other.shape, tensor.shape)) {
          throw new FormatError(
            `checkpoint: ${name}:${tensor.name} must be f32 ${shapeText(tensor.shape)}: it is ${other ? `${other.dtype} ${shapeText(other.shape)}` : 'missing'}`,
          );
        }
      }
    }
  }
}

/** Bytes as words, copied where they do not start on one. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
