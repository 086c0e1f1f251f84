/** Storage and locks in memory for the store's tests: storage that fails or dies at a chosen operation, one tab's locks. */
import { CancelledError, StorageError } from '../../src/core/errors';
import type { Storage } from '../../src/core/ports';
import type { LockPort, LockRequest, Release } from '../../src/store/locks';

/** The tab is gone: nothing that it still does reaches the disk. */
export class Killed extends Error {}

export type Fault = (operation: {
  readonly number: number;
  readonly name: string;
  readonly key: string;
}) => void;

/** What a browser keeps: values are cloned on their way in and out, as structured cloning does. */
export class FakeStorage implements Storage {
  readonly values: Map<string, Uint8Array<ArrayBuffer>>;
  /** Called before each operation, numbered from 1; what it throws is what the caller gets. */
  fault: Fault = () => {};
  readonly log: string[] = [];
  /** Largest value written. */
  largest = 0;

  constructor(values: ReadonlyMap<string, Uint8Array<ArrayBuffer>> = new Map()) {
    this.values = new Map(values);
  }

  /** After `operations` of them nothing answers any more. */
  dieAfter(operations: number): void {
    this.fault = ({ number }) => {
      if (number > operations) throw new Killed(`killed after ${operations} operations`);
    };
  }

  /** Writes fail when all values together would take more. */
  limit(bytes: number): void {
    this.fault = ({ name }) => {
      const used = [...this.values.values()].reduce((sum, value) => sum + value.length, 0);
      if (name === 'write' && used > bytes)
        throw new StorageError('quota', `fake: quota of ${bytes}: ${used}`);
    };
  }

  async #step(name: string, key: string): Promise<void> {
    await Promise.resolve();
    this.log.push(`${name} ${key}`);
    this.fault({ number: this.log.length, name, key });
  }

  async read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    await this.#step('read', key);
    return this.values.get(key)?.slice();
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    await this.#step('write', key);
    this.largest = Math.max(this.largest, bytes.length);
    this.values.set(key, new Uint8Array(bytes));
  }

  async list(prefix: string): Promise<string[]> {
    await this.#step('list', prefix);
    return [...this.values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  async remove(key: string): Promise<void> {
    await this.#step('remove', key);
    this.values.delete(key);
  }
}

interface Waiting {
  readonly mode: LockRequest['mode'];
  readonly grant: () => void;
}

/** Locks with the rules of Web Locks: first come, first served; shared ones together. */
export class FakeLocks implements LockPort {
  readonly #held = new Map<string, LockRequest['mode'][]>();
  readonly #waiting = new Map<string, Waiting[]>();

  acquire(name: string, { mode, signal }: LockRequest): Promise<Release> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new CancelledError());
      const queue = this.#waiting.get(name) ?? [];
      this.#waiting.set(name, queue);
      const waiting = { mode, grant: () => resolve(this.#take(name, mode)) };
      queue.push(waiting);
      signal?.addEventListener('abort', () => {
        const at = queue.indexOf(waiting);
        if (at >= 0) queue.splice(at, 1);
        reject(new CancelledError());
      });
      this.#advance(name);
    });
  }

  async tryAcquire(name: string): Promise<Release | null> {
    return this.held(name) ? null : this.#take(name, 'exclusive');
  }

  held(name: string): boolean {
    return (this.#held.get(name)?.length ?? 0) > 0;
  }

  #take(name: string, mode: LockRequest['mode']): Release {
    this.#held.set(name, [...(this.#held.get(name) ?? []), mode]);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#held.get(name)?.splice(this.#held.get(name)?.indexOf(mode) ?? 0, 1);
      this.#advance(name);
    };
  }

  #advance(name: string): void {
    const queue = this.#waiting.get(name) ?? [];
    for (let next = queue[0]; next; next = queue[0]) {
      const held = this.#held.get(name) ?? [];
      const free = next.mode === 'shared' ? !held.includes('exclusive') : held.length === 0;
      if (!free) return;
      queue.shift();
      next.grant();
    }
  }
}
