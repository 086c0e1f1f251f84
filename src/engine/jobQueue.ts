/**
 * Jobs one after another, in the order of asking: they share one GPU and one scratch memory. Each can be cancelled,
 * waiting or running; when the device goes away all of them are given up at once, even one that hangs.
 */
import { CancelledError } from '../core/errors';
import type { JobDescription, JobPhase, RequestId } from '../protocol/messages';

/** Told about every change of a job's phase. */
export type PhaseListener = (id: RequestId, job: JobDescription, phase: JobPhase) => void;

interface Entry {
  readonly id: RequestId;
  readonly job: JobDescription;
  readonly controller: AbortController;
  readonly start: () => Promise<void>;
  readonly giveUp: (reason: Error) => void;
}

export class JobQueue {
  readonly #onPhase: PhaseListener;
  readonly #waiting: Entry[] = [];
  #running: Entry | null = null;

  constructor(onPhase: PhaseListener) {
    this.#onPhase = onPhase;
  }

  /**
   * Queues `work`; gives what it gives.
   * @throws CancelledError when cancelled, whatever `work` makes of its signal; the reason given to `giveUpAll`
   */
  add<T>(id: RequestId, job: JobDescription, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    return new Promise<T>((resolve, reject) => {
      const start = async (): Promise<void> => {
        try {
          const value = await work(controller.signal);
          if (controller.signal.aborted) reject(new CancelledError());
          else resolve(value);
        } catch (thrown) {
          if (controller.signal.aborted) reject(new CancelledError());
          else reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
        }
      };
      this.#waiting.push({ id, job, controller, start, giveUp: reject });
      this.#onPhase(id, job, 'queued');
      this.#next();
    });
  }

  /** Cancels a job; false when there is none of that id (any more). */
  cancel(id: RequestId): boolean {
    if (this.#running?.id === id) {
      this.#onPhase(id, this.#running.job, 'cancelling');
      this.#running.controller.abort();
      return true;
    }
    const at = this.#waiting.findIndex((entry) => entry.id === id);
    if (at < 0) return false;
    const [entry] = this.#waiting.splice(at, 1);
    entry?.giveUp(new CancelledError());
    return true;
  }

  /** Fails every job with `reason` at once; what still runs ends by itself, unheard. */
  giveUpAll(reason: Error): void {
    const entries = [...(this.#running ? [this.#running] : []), ...this.#waiting];
    this.#waiting.length = 0;
    this.#running = null;
    for (const { controller, giveUp } of entries) {
      giveUp(reason);
      controller.abort();
    }
  }

  #next(): void {
    if (this.#running) return;
    const entry = this.#waiting.shift();
    if (!entry) return;
    this.#running = entry;
    this.#onPhase(entry.id, entry.job, 'running');
    void entry.start().then(() => {
      // given up meanwhile: its successor may be running already
      if (this.#running === entry) this.#running = null;
      this.#next();
    });
  }
}
