/**
 * Checkpoints of training runs as generations: chunks first, each in its own write, then the manifest in one. Until the
 * manifest is there a generation does not exist, so a tab that dies at any moment leaves the earlier ones as they were;
 * what it leaves of its own are orphans, which the next save or `sweep` removes. Generations are never changed, and
 * their numbers never used again.
 *
 * Reading takes the newest generation that is complete and as it was written, and says why newer ones were not taken.
 *
 * Saving, sweeping and removing happen under the run's exclusive lock, reading under its shared one, across tabs.
 */
import {
  CancelledError,
  FormatError,
  messageOf,
  NotFoundError,
  StorageError,
  TabditError,
} from '../core/errors';
import { silentReport, type Report, type Storage } from '../core/ports';
import { formatBytes } from '../core/units';
import type { LockPort } from './locks';
import { openManifest, planLayout, sealManifest, type CheckpointHead, type Manifest } from './manifest';
import { StoredCheckpoint, verifyChunks } from './readCheckpoint';
import {
  checkRunId,
  chunkKey,
  chunkPrefix,
  generationChunkPrefix,
  generationOf,
  manifestKey,
  manifestPrefix,
} from './records';
import { checkRetention, defaultRetention, generationsToRemove, type Retention } from './retention';
import { writeChunks, type TensorPiece } from './writeChunks';

/** Bytes of a chunk: the most that is written at once and held in memory. */
export const defaultChunkBytes = 16 * 1024 * 1024;

export interface CheckpointsOptions {
  /** A multiple of 8. */
  readonly chunkBytes?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface JobOptions {
  readonly signal?: AbortSignal;
  readonly report?: Report;
}

export interface SaveOptions extends JobOptions {
  readonly retention?: Retention;
}

/** A generation as lists show it. */
export type Generation = {
  readonly generation: number;
  /** Chunks that are there. */
  readonly chunks: number;
} & (
  | { readonly state: 'complete'; readonly manifest: Manifest }
  | { readonly state: 'damaged'; readonly manifest: Manifest | null; readonly reason: string }
  | { readonly state: 'newer'; readonly manifest: null; readonly reason: string }
);

/** What is stored of a run. */
export interface Inventory {
  /** Newest first. */
  readonly generations: readonly Generation[];
  /** Keys of chunks that belong to no manifest. */
  readonly orphans: readonly string[];
}

export interface Refusal {
  readonly generation: number;
  readonly step: number | null;
  readonly reason: string;
}

/** What was opened, and what was not and why. */
export interface Opened {
  readonly checkpoint: StoredCheckpoint;
  /** Newer generations that were not taken, newest first. */
  readonly refused: readonly Refusal[];
  /** The same in a sentence for the user. */
  readonly text: string;
}

export class Checkpoints {
  readonly chunkBytes: number;
  readonly #storage: Storage;
  readonly #locks: LockPort;
  readonly #now: () => number;

  constructor(storage: Storage, locks: LockPort, options: CheckpointsOptions = {}) {
    this.#storage = storage;
    this.#locks = locks;
    this.chunkBytes = options.chunkBytes ?? defaultChunkBytes;
    this.#now = options.now ?? Date.now;
  }

  /**
   * What is stored of a run, by keys and manifests; chunks are not read. A generation counts as complete when its
   * manifest is intact and all its chunks are there.
   */
  async inventory(run: string): Promise<Inventory> {
    checkRunId(run);
    const manifests = await this.#storage.list(manifestPrefix(run));
    const chunks = new Map<number, string[]>();
    for (const key of await this.#storage.list(chunkPrefix(run))) {
      const of = generationOf(key);
      const others = chunks.get(of);
      if (others) others.push(key);
      else chunks.set(of, [key]);
    }
    const generations: Generation[] = [];
    for (const key of manifests) {
      const generation = generationOf(key);
      generations.push(await this.#describe(run, generation, chunks.get(generation) ?? []));
      chunks.delete(generation);
    }
    generations.sort((a, b) => b.generation - a.generation);
    return { generations, orphans: [...chunks.values()].flat() };
  }

  async #describe(run: string, generation: number, chunks: readonly string[]): Promise<Generation> {
    const common = { generation, chunks: chunks.length };
    let manifest: Manifest;
    try {
      const bytes = await this.#storage.read(manifestKey(run, generation));
      if (!bytes) throw new FormatError('its manifest: must be there: it is missing');
      manifest = openManifest(run, generation, bytes);
    } catch (thrown) {
      if (thrown instanceof FormatError) {
        return { ...common, state: 'damaged', manifest: null, reason: thrown.message };
      }
      if (thrown instanceof StorageError && thrown.code === 'storage-newer') {
        return { ...common, state: 'newer', manifest: null, reason: thrown.message };
      }
      throw thrown;
    }
    const there = new Set(chunks);
    const missing = manifest.chunks.findIndex((_, index) => !there.has(chunkKey(run, generation, index)));
    if (missing < 0) return { ...common, state: 'complete', manifest };
    const reason = `chunk ${missing + 1} of ${manifest.chunks.length}: must be there: it is missing`;
    return { ...common, state: 'damaged', manifest, reason };
  }

  /**
   * Writes the next generation, then removes those that `retention` does not keep. When it fails or is cancelled, earlier
   * generations are as they were, and what was written of this one is removed if storage still answers.
   *
   * @param pieces the values, in the order of `head.groups`; read once, a chunk at a time
   * @throws StorageError (`quota` and others), CancelledError, InputError, and what `pieces` throws
   */
  async save(
    run: string,
    head: CheckpointHead,
    pieces: AsyncIterable<TensorPiece>,
    options: SaveOptions = {},
  ): Promise<Manifest> {
    const { signal, report = silentReport, retention = defaultRetention } = options;
    checkRunId(run);
    checkRetention(retention);
    const layout = planLayout(head, this.chunkBytes);
    // what cannot be kept is refused before anything is written
    sealManifest(run, 0, this.#now(), head, layout, []);
    const release = await this.#locks.acquire(lockName(run), { mode: 'exclusive', signal });
    try {
      const { generations, orphans } = await this.inventory(run);
      await this.#removeKeys(orphans);
      const taken = [...generations.map(({ generation }) => generation), ...orphans.map(generationOf)];
      const generation = Math.max(0, ...taken) + 1;
      report.stage('saving a checkpoint');
      report.progress(0, layout.bytes);
      let manifest: Manifest;
      try {
        const chunks = await writeChunks(this.#storage, run, generation, head, layout, pieces, {
          signal,
          progress: (stored) => report.progress(stored, layout.bytes),
        });
        const sealed = sealManifest(run, generation, this.#now(), head, layout, chunks);
        if (signal?.aborted) throw new CancelledError();
        await this.#storage.write(manifestKey(run, generation), sealed.bytes);
        manifest = sealed.manifest;
      } catch (thrown) {
        await this.#abandon(run, generation);
        throw explained(thrown, layout.bytes);
      }
      await this.#prune(run, retention, report);
      return manifest;
    } finally {
      release();
    }
  }

  /** Removes chunks without a manifest: what saves that did not end have left. Returns how many there were. */
  async sweep(run: string, signal?: AbortSignal): Promise<number> {
    return this.#alone(run, signal, async () => {
      const { orphans } = await this.inventory(run);
      await this.#removeKeys(orphans);
      return orphans.length;
    });
  }

  /** Removes everything that is stored of a run's checkpoints, in whatever state. */
  async removeAll(run: string, signal?: AbortSignal): Promise<void> {
    await this.#alone(run, signal, async () => {
      await this.#removeKeys(await this.#storage.list(manifestPrefix(run)));
      await this.#removeKeys(await this.#storage.list(chunkPrefix(run)));
    });
  }

  /**
   * Opens the newest generation whose every chunk is as it was written, and lets `use` read it. All of it is read once
   * before, so that nothing is taken over from a generation that turns out damaged. Saving the same run waits until `use`
   * has ended, so `use` must not await that.
   *
   * @throws NotFoundError when the run has no checkpoint; FormatError when none is intact, with the reason of each;
   *   CancelledError; StorageError; and what `use` throws
   */
  async read<T>(
    run: string,
    use: (opened: Opened) => Promise<T>,
    { signal, report = silentReport }: JobOptions = {},
  ): Promise<T> {
    checkRunId(run);
    const release = await this.#locks.acquire(lockName(run), { mode: 'shared', signal });
    try {
      const { generations } = await this.inventory(run);
      const refused: Refusal[] = [];
      for (const found of generations) {
        const { generation, manifest } = found;
        try {
          if (found.state !== 'complete') throw new FormatError(found.reason);
          const total = found.manifest.bytes;
          report.stage(`verifying the checkpoint of step ${found.manifest.step}`);
          await verifyChunks(
            this.#storage,
            found.manifest,
            (verified) => report.progress(verified, total),
            signal,
          );
        } catch (thrown) {
          if (!(thrown instanceof FormatError)) throw thrown;
          refused.push({ generation, step: manifest?.step ?? null, reason: thrown.message });
          continue;
        }
        const text = openedText(found.manifest, refused);
        if (refused.length > 0) report.note(text);
        const checkpoint = new StoredCheckpoint(this.#storage, found.manifest, signal);
        return await use({ checkpoint, refused, text });
      }
      if (refused.length === 0) {
        throw new NotFoundError(`run ${run}: must have a checkpoint: none has been saved`);
      }
      throw new FormatError(
        `run ${run}: a checkpoint must be intact: none of ${refused.length} is: ${refused.map(refusalText).join('; ')}`,
      );
    } finally {
      release();
    }
  }

  async #alone<T>(run: string, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    checkRunId(run);
    const release = await this.#locks.acquire(lockName(run), { mode: 'exclusive', signal });
    try {
      return await task();
    } finally {
      release();
    }
  }

  async #removeKeys(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#storage.remove(key);
  }

  /** Takes back a generation that was not finished, as far as storage allows; the next save sweeps the rest. */
  async #abandon(run: string, generation: number): Promise<void> {
    try {
      // The manifest's write may have failed after it took effect.
      await this.#storage.remove(manifestKey(run, generation));
      await this.#removeKeys(await this.#storage.list(generationChunkPrefix(run, generation)));
    } catch {
      // What made the save fail is what the caller must hear.
    }
  }

  /** Removes what is not kept. The new generation is there already, so a failure is a note. */
  async #prune(run: string, retention: Retention, report: Report): Promise<void> {
    try {
      const { generations } = await this.inventory(run);
      const kept = generations.map(({ generation, state, manifest }) => ({
        generation,
        state,
        step: manifest?.step ?? null,
        evaluation: manifest?.evaluation ?? null,
      }));
      for (const generation of generationsToRemove(kept, retention)) {
        // The manifest first: chunks without one are orphans, a manifest without chunks would look like damage.
        await this.#storage.remove(manifestKey(run, generation));
        await this.#removeKeys(await this.#storage.list(generationChunkPrefix(run, generation)));
      }
    } catch (thrown) {
      report.note(
        `The checkpoint is saved; older ones could not be removed and take up room: ${messageOf(thrown)}`,
      );
    }
  }
}

const lockName = (run: string): string => `tabdit-checkpoints/${run}`;

function refusalText({ generation, step, reason }: Refusal): string {
  return step === null ? `generation ${generation}: ${reason}` : `step ${step}: ${reason}`;
}

function openedText(manifest: Manifest, refused: readonly Refusal[]): string {
  const taken = `Step ${manifest.step}, saved ${new Date(manifest.time).toISOString()}`;
  if (refused.length === 0) return `${taken}.`;
  const newer = refused.length === 1 ? 'A newer checkpoint' : `${refused.length} newer checkpoints`;
  return `${taken}. ${newer} could not be used: ${refused.map(refusalText).join('; ')}.`;
}

/** A quota error with how much the whole checkpoint takes. */
function explained(thrown: unknown, bytes: number): unknown {
  if (!(thrown instanceof TabditError) || thrown.code !== 'quota') return thrown;
  return new StorageError(
    'quota',
    `checkpoint: the browser must have room for ${formatBytes(bytes)} more: ${thrown.message}; earlier checkpoints are as they were`,
    { cause: thrown },
  );
}
