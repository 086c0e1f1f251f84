/**
 * The storage port on IndexedDB: idb-keyval over our own `UseStore`, because its `createStore` sets neither durability
 * nor version. Every transaction is strict: a write that resolved is on the disk, not in the operating system's hands.
 * Works in the page and in workers.
 *
 * A database has a version, the number of its migrations. An older one is brought up to date when it is opened; one
 * that a newer version of this program made is refused with a sentence. An open connection gives way when another tab
 * wants to bring the database up to date, and then says so.
 */
import { del, get, promisifyRequest, set, type UseStore } from 'idb-keyval';
import { messageOf, StorageError, TabditError } from '../core/errors';
import type { Storage } from '../core/ports';
import { formatBytes } from '../core/units';

/** One step from a version of a database to the next; runs inside the upgrade's transaction and awaits nothing. */
export type Migration = (database: IDBDatabase, upgrade: IDBTransaction) => void;

/** The object store of every database here: string keys, Uint8Array values. */
export const valuesStore = 'values';

/** From version i to i + 1. Only ever add to the end: databases of every version are out there. */
export const runsMigrations: readonly Migration[] = [(database) => database.createObjectStore(valuesStore)];

/** The database of training runs and their checkpoints. */
export const runsDatabase = 'tabdit-runs';

export interface IdbStoreOptions {
  readonly name?: string;
  readonly migrations?: readonly Migration[];
  /** Default: the browser's; null where there is none. */
  readonly factory?: IDBFactory | null;
  /** How long to wait for other tabs to give way, in milliseconds. */
  readonly patience?: number;
}

const notKept =
  'this browser must keep data for this site: it refuses (a private window, or blocked in its settings)';

/** Keys and bytes in one database. Every method throws StorageError. */
export class IdbStore implements Storage {
  readonly name: string;
  readonly #migrations: readonly Migration[];
  readonly #factory: IDBFactory | null;
  readonly #patience: number;
  #database: Promise<IDBDatabase> | null = null;
  /** Why the connection may not be opened again. */
  #ended: StorageError | null = null;

  constructor({ name = runsDatabase, migrations = runsMigrations, factory, patience }: IdbStoreOptions = {}) {
    this.name = name;
    this.#migrations = migrations;
    this.#factory = factory === undefined ? (globalThis.indexedDB ?? null) : factory;
    this.#patience = patience ?? 5000;
  }

  async read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const value = await this.#translated(`reading ${key}`, () => get<unknown>(key, this.#useStore));
    if (value === undefined) return undefined;
    if (!(value instanceof Uint8Array) || !(value.buffer instanceof ArrayBuffer)) {
      throw new StorageError('storage-failed', `${this.name}: ${key} must be bytes: it is ${typeof value}`);
    }
    return value as Uint8Array<ArrayBuffer>;
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    // a view takes its whole buffer along when it is stored
    const whole = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
    await this.#translated(`writing ${key} (${formatBytes(bytes.length)})`, () =>
      set(key, whole, this.#useStore),
    );
  }

  async list(prefix: string): Promise<string[]> {
    return this.#translated(`listing ${prefix}`, async () => {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const keys = await this.#useStore('readonly', (store) => promisifyRequest(store.getAllKeys(range)));
      return keys.filter((key) => typeof key === 'string');
    });
  }

  async remove(key: string): Promise<void> {
    await this.#translated(`removing ${key}`, () => del(key, this.#useStore));
  }

  /** Lets go of the database; the next call opens it again. */
  async close(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    (await database?.catch(() => null))?.close();
  }

  readonly #useStore: UseStore = async (mode, callback) => {
    const transaction = await this.#begin(mode);
    // The error of a failed request is on that request; the transaction has none yet when idb-keyval asks it.
    let cause: DOMException | null = null;
    transaction.addEventListener('error', (event) => (cause = (event.target as IDBRequest).error));
    transaction.addEventListener('abort', () => (cause = transaction.error ?? cause));
    try {
      return await callback(transaction.objectStore(valuesStore));
    } catch (thrown) {
      if (thrown instanceof Error) throw thrown;
      throw cause ?? new Error('the browser ended the transaction without a reason', { cause: thrown });
    }
  };

  async #begin(mode: IDBTransactionMode): Promise<IDBTransaction> {
    const options = { durability: 'strict' } as const;
    try {
      return (await this.#open()).transaction(valuesStore, mode, options);
    } catch (thrown) {
      if (nameOf(thrown) !== 'InvalidStateError') throw thrown;
      // The browser closed the connection by itself (some do after sleep or under memory pressure): once more.
      this.#database = null;
      return (await this.#open()).transaction(valuesStore, mode, options);
    }
  }

  #open(): Promise<IDBDatabase> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (this.#database) return this.#database;
    const opening = this.#connect().then((database) => {
      database.onclose = () => this.#forget(opening);
      database.onversionchange = ({ newVersion }) => {
        database.close();
        this.#forget(opening);
        // a null version deletes the database; a later call may make it anew
        if (newVersion === null) return;
        this.#ended = new StorageError(
          'storage-newer',
          `${this.name}: this tab must run the newest version of this program: another tab has opened a newer one; reload this page`,
        );
      };
      return database;
    });
    this.#database = opening;
    opening.catch(() => this.#forget(opening));
    return opening;
  }

  #forget(opened: Promise<IDBDatabase>): void {
    if (this.#database === opened) this.#database = null;
  }

  #connect(): Promise<IDBDatabase> {
    const factory = this.#factory;
    const unavailable = (cause: unknown): StorageError =>
      new StorageError('storage-unavailable', `${this.name}: ${notKept}: ${messageOf(cause)}`, { cause });
    return new Promise((resolve, reject) => {
      if (!factory) return reject(unavailable('there is no IndexedDB'));
      let late = false;
      let request: IDBOpenDBRequest;
      try {
        request = factory.open(this.name, this.#migrations.length);
      } catch (thrown) {
        return reject(unavailable(thrown));
      }
      request.onupgradeneeded = ({ oldVersion }) => {
        const upgrade = request.transaction;
        if (!upgrade) return;
        // whoever asked was told that it cannot be done: nothing happens behind their back
        if (late) return upgrade.abort();
        for (const migrate of this.#migrations.slice(oldVersion)) migrate(request.result, upgrade);
      };
      request.onblocked = () => {
        setTimeout(() => {
          late = true;
          reject(
            new StorageError(
              'storage-blocked',
              `${this.name}: must be brought up to date: another tab has it open in an older version of this program; close that tab`,
            ),
          );
        }, this.#patience);
      };
      request.onsuccess = () => {
        if (late) request.result.close();
        else resolve(request.result);
      };
      request.onerror = () => {
        const cause = request.error;
        // Firefox's private windows of old answered InvalidStateError, storage that is switched off SecurityError.
        if (['InvalidStateError', 'SecurityError'].includes(nameOf(cause))) reject(unavailable(cause));
        else reject(cause ?? new Error('the browser gave no reason'));
      };
    });
  }

  /** Runs a task; what it throws becomes a StorageError that says what was being done. */
  async #translated<T>(doing: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (thrown) {
      if (thrown instanceof TabditError) throw thrown;
      const options = { cause: thrown };
      switch (nameOf(thrown)) {
        case 'QuotaExceededError':
          throw new StorageError(
            'quota',
            `${this.name}: ${doing}: the browser must have room for this site: its quota is used up`,
            options,
          );
        case 'VersionError':
          throw new StorageError(
            'storage-newer',
            `${this.name}: ${doing}: this program knows version ${this.#migrations.length} of this data: a newer version of the program has written it; reload this page to get that version`,
            options,
          );
        case 'SecurityError':
          throw new StorageError('storage-unavailable', `${this.name}: ${doing}: ${notKept}`, options);
        default:
          throw new StorageError(
            'storage-failed',
            `${this.name}: ${doing}: the browser must do it: ${messageOf(thrown)}`,
            options,
          );
      }
    }
  }
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error || thrown instanceof DOMException ? thrown.name : '';
}
