/** The browser's side without a browser: sentences about room and persistence, locks that are missing, storage refused. */
import { describe, expect, test } from 'vitest';
import { IdbStore } from '../../src/store/idbStore';
import { browserLocks } from '../../src/store/locks';
import { askToPersist, roomFor, type StorageManagerPort } from '../../src/store/persist';

const manager = (more: Partial<StorageManagerPort> = {}): StorageManagerPort => ({
  persisted: () => Promise.resolve(false),
  persist: () => Promise.resolve(false),
  estimate: () => Promise.resolve({ usage: 4e9, quota: 10e9 }),
  ...more,
});

describe('persistence', () => {
  test('every answer is a state and a sentence', async () => {
    let asked = 0;
    const persist = (): Promise<boolean> => Promise.resolve(++asked > 0);
    expect((await askToPersist(manager({ persist }))).state).toBe('persistent');
    expect(asked).toBe(1);
    const persisted = (): Promise<boolean> => Promise.resolve(true);
    expect((await askToPersist(manager({ persist, persisted }))).state).toBe('persistent');
    expect(asked).toBe(1);
    const refused = await askToPersist(manager());
    expect(refused.state).toBe('refused');
    expect(refused.text).toMatch(/did not promise to keep them/);
    const inWorker = { persisted: () => Promise.resolve(false), estimate: () => Promise.resolve({}) };
    expect((await askToPersist(inWorker)).state).toBe('ask');
    expect((await askToPersist(null)).state).toBe('unknown');
    const broken = manager({ persist: () => Promise.reject(new TypeError('not allowed here')) });
    expect(await askToPersist(broken)).toEqual({
      state: 'unknown',
      text: 'The browser did not answer whether it keeps data of this site: not allowed here',
    });
  });
});

describe('room', () => {
  const what = 'The next checkpoint';

  test('enough, and not', async () => {
    expect(await roomFor(manager(), 1.5e9, what)).toEqual({
      free: 6e9,
      fits: true,
      text: 'The next checkpoint takes 1.50 GB; 6.00 GB of the 10.0 GB that the browser grants this site are free.',
    });
    expect(await roomFor(manager(), 6e9 + 1, what)).toMatchObject({
      fits: false,
      text: 'The next checkpoint takes 6.00 GB and will not fit: only 6.00 GB of the 10.0 GB that the browser grants this site are free. Delete runs that are done, or free space on the disk.',
    });
    const full = manager({ estimate: () => Promise.resolve({ usage: 11, quota: 10 }) });
    expect(await roomFor(full, 1, what)).toMatchObject({ free: 0, fits: false });
  });

  test('a browser that does not tell', async () => {
    const silent = [
      null,
      manager({ estimate: () => Promise.resolve({}) }),
      manager({ estimate: () => Promise.reject(new TypeError('no')) }),
    ];
    for (const one of silent) {
      expect(await roomFor(one, 1e6, what)).toEqual({
        free: null,
        fits: null,
        text: 'The next checkpoint takes 1.00 MB; this browser does not tell how much room there is.',
      });
    }
  });
});

describe('a browser that keeps nothing', () => {
  test('no IndexedDB, or one that refuses', async () => {
    await expect(new IdbStore({ factory: null }).read('x')).rejects.toMatchObject({
      code: 'storage-unavailable',
      message:
        'tabdit-runs: this browser must keep data for this site: it refuses (a private window, or blocked in its settings): there is no IndexedDB',
    });
    const refusing = {
      open: () => {
        throw new DOMException('denied by policy', 'SecurityError');
      },
    } as unknown as IDBFactory;
    await expect(new IdbStore({ factory: refusing }).write('x', new Uint8Array(1))).rejects.toThrow(
      /it refuses \(a private window.*\): denied by policy$/,
    );
    // as Firefox's private windows did: the request fails
    const failing = {
      open: () => {
        const request = { error: new DOMException('no', 'InvalidStateError'), onerror: () => {} };
        setTimeout(() => request.onerror(), 0);
        return request;
      },
    } as unknown as IDBFactory;
    const store = new IdbStore({ factory: failing });
    await expect(store.remove('x')).rejects.toMatchObject({ code: 'storage-unavailable' });
  });

  test('no locks', async () => {
    // Node has none before version 24
    const locks = browserLocks(null);
    await expect(locks.tryAcquire('x')).rejects.toMatchObject({ code: 'storage-unavailable' });
    await expect(locks.acquire('x', { mode: 'shared' })).rejects.toThrow(
      /^lock x: the browser must have Web Locks/,
    );
  });
});
