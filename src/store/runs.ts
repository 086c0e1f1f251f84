/** Training runs in storage: name and configuration of each, its checkpoints at a glance, and who is working on it. */
import { FormatError, InputError, NotFoundError, StorageError } from '../core/errors';
import type { Storage } from '../core/ports';
import { issueText } from '../core/schemaIssue';
import { z } from '../protocol/schema';
import type { Checkpoints } from './checkpoints';
import type { LockPort, Release } from './locks';
import { checkRunId, decodeRecord, encodeRecord, jsonSchema, runKey, runPrefix, type Json } from './records';

const runSchema = z.object({
  id: z.string(),
  name: z.string().min(1).max(200),
  /** Milliseconds since 1970. */
  created: z.number(),
  config: jsonSchema,
});

export type Run = z.infer<typeof runSchema>;

/** A run as lists show it. */
export interface RunSummary {
  readonly id: string;
  /** Null when its record cannot be read; `problem` says why. The run can still be deleted, its checkpoints be read. */
  readonly run: Run | null;
  readonly problem: string | null;
  /** Newest complete checkpoint; null when there is none. */
  readonly latest: { readonly generation: number; readonly step: number; readonly time: number } | null;
  /** Complete checkpoints. */
  readonly checkpoints: number;
  /** Checkpoints that cannot be used, with the reason of each. */
  readonly unusable: readonly { readonly generation: number; readonly reason: string }[];
  /** Bytes of all readable checkpoints, without what the browser adds. */
  readonly bytes: number;
  /** Chunks that belong to no checkpoint. */
  readonly orphans: number;
}

export interface RunsOptions {
  readonly now?: () => number;
  readonly newId?: () => string;
}

export class Runs {
  readonly #storage: Storage;
  readonly #locks: LockPort;
  readonly #checkpoints: Checkpoints;
  readonly #now: () => number;
  readonly #newId: () => string;

  constructor(storage: Storage, locks: LockPort, checkpoints: Checkpoints, options: RunsOptions = {}) {
    this.#storage = storage;
    this.#locks = locks;
    this.#checkpoints = checkpoints;
    this.#now = options.now ?? Date.now;
    this.#newId = options.newId ?? (() => crypto.randomUUID());
  }

  /** @throws InputError for a name or configuration that cannot be kept; StorageError */
  async create(name: string, config: Json): Promise<Run> {
    const run = { id: this.#newId(), name, created: this.#now(), config };
    checkRunId(run.id);
    return this.#write(run);
  }

  /** @throws NotFoundError, FormatError, StorageError */
  async get(id: string): Promise<Run> {
    checkRunId(id);
    const bytes = await this.#storage.read(runKey(id));
    if (!bytes) throw new NotFoundError(`run ${id}: must be in this browser: it is not`);
    const value = decodeRecord(`run ${id}`, 'run', bytes);
    const parsed = runSchema.safeParse(value);
    if (!parsed.success) throw new FormatError(`run ${id}: ${issueText(parsed.error.issues, value)}`);
    return parsed.data;
  }

  /** All runs: newest work first (latest checkpoint, else when made), unreadable ones last. @throws StorageError */
  async list(): Promise<RunSummary[]> {
    const ids = new Set<string>();
    for (const key of await this.#storage.list(runPrefix)) ids.add(key.slice(runPrefix.length));
    // checkpoints whose run's record is gone are shown too: they take up room
    for (const key of await this.#storage.list('manifest/')) ids.add(key.split('/')[1] ?? '');
    const summaries = await Promise.all([...ids].map((id) => this.#summarise(id)));
    const time = ({ run, latest }: RunSummary): number => (run ? (latest?.time ?? run.created) : 0);
    return summaries.sort((a, b) => time(b) - time(a) || (a.id < b.id ? -1 : 1));
  }

  async #summarise(id: string): Promise<RunSummary> {
    let run: Run | null = null;
    let problem: string | null = null;
    try {
      run = await this.get(id);
    } catch (thrown) {
      const isNewer = thrown instanceof StorageError && thrown.code === 'storage-newer';
      if (!isNewer && !(thrown instanceof FormatError) && !(thrown instanceof NotFoundError)) throw thrown;
      problem = thrown.message;
    }
    const { generations, orphans } = await this.#checkpoints.inventory(id);
    const complete = generations.flatMap((one) => (one.state === 'complete' ? one.manifest : []));
    const newest = complete[0];
    return {
      id,
      run,
      problem,
      latest: newest ? { generation: newest.generation, step: newest.step, time: newest.time } : null,
      checkpoints: complete.length,
      unusable: generations.flatMap((one) =>
        one.state === 'complete' ? [] : { generation: one.generation, reason: one.reason },
      ),
      bytes: generations.reduce((sum, { manifest }) => sum + (manifest?.bytes ?? 0), 0),
      orphans: orphans.length,
    };
  }

  /** @throws NotFoundError, InputError, FormatError, StorageError */
  async rename(id: string, name: string): Promise<Run> {
    return this.#write({ ...(await this.get(id)), name });
  }

  /**
   * Removes a run and all its checkpoints; its record goes last, so that one that was interrupted is still in the list.
   * @throws StorageError (`storage-held`) when a tab is working on it
   */
  async delete(id: string): Promise<void> {
    const release = await this.lock(id);
    try {
      await this.#checkpoints.removeAll(id);
      await this.#storage.remove(runKey(id));
    } finally {
      release();
    }
  }

  /**
   * Takes the run for this tab, for as long as it trains. Ends by itself with the tab.
   * @throws StorageError (`storage-held`) when another tab (or this one) has it already
   */
  async lock(id: string): Promise<Release> {
    checkRunId(id);
    const release = await this.#locks.tryAcquire(`tabdit-run/${id}`);
    if (!release) {
      throw new StorageError(
        'storage-held',
        `run ${id}: one tab at a time may work on it: another tab has it open; stop it or close that tab`,
      );
    }
    return release;
  }

  async #write(run: Run): Promise<Run> {
    const parsed = runSchema.safeParse(run);
    if (!parsed.success) throw new InputError(`run: ${issueText(parsed.error.issues, run)}`);
    await this.#storage.write(runKey(run.id), encodeRecord('run', parsed.data));
    return parsed.data;
  }
}
