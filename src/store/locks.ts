/**
 * Locks among the tabs of one site, so that two of them do not write one run. A lock ends with the tab that has it,
 * however that tab ends.
 */
import { CancelledError, messageOf, StorageError } from '../core/errors';

/** Gives a lock back; further calls do nothing. */
export type Release = () => void;

export interface LockRequest {
  /** `shared` locks of one name are held together, an `exclusive` one alone. */
  readonly mode: 'exclusive' | 'shared';
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
}

export interface LockPort {
  /** Waits for a lock. @throws CancelledError when the signal comes first, StorageError when there are no locks */
  acquire(name: string, request: LockRequest): Promise<Release>;
  /** Takes an exclusive lock if nobody has it; null otherwise. @throws StorageError when there are no locks */
  tryAcquire(name: string): Promise<Release | null>;
}

/** Web Locks, in the page and in workers. */
export function browserLocks(manager: LockManager | null = globalThis.navigator?.locks ?? null): LockPort {
  const request = (name: string, options: LockOptions): Promise<Release | null> =>
    new Promise((resolve, reject) => {
      if (!manager) {
        const rule = 'the browser must have Web Locks, so that two tabs do not write one run: it has none';
        return reject(new StorageError('storage-unavailable', `lock ${name}: ${rule}`));
      }
      const held = (lock: Lock | null): Promise<void> | undefined => {
        if (!lock) return void resolve(null);
        return new Promise<void>((release) => resolve(() => release()));
      };
      manager.request(name, options, held).catch((thrown: unknown) => {
        if (options.signal?.aborted) return reject(new CancelledError());
        reject(
          new StorageError('storage-failed', `lock ${name}: the browser must give it: ${messageOf(thrown)}`),
        );
      });
    });
  return {
    acquire: async (name, { mode, signal }) => {
      const release = await request(name, signal ? { mode, signal } : { mode });
      if (!release)
        throw new StorageError('storage-failed', `lock ${name}: the browser must give it: it did not`);
      return release;
    },
    tryAcquire: (name) => request(name, { ifAvailable: true }),
  };
}
