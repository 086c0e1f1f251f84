/**
 * The store in a dedicated worker, as the engine will use it: bundled by store.test.ts and driven by its messages, each
 * one call of `actions`.
 */
import { messageOf, TabditError } from '../../src/core/errors';
import { Checkpoints } from '../../src/store/checkpoints';
import { IdbStore, runsDatabase, runsMigrations } from '../../src/store/idbStore';
import { browserLocks, type Release } from '../../src/store/locks';
import { browserStorageManager, roomFor } from '../../src/store/persist';
import { Runs } from '../../src/store/runs';
import type { GroupPlan } from '../../src/store/manifest';
import { differences, makeHead, makePieces, smallGroups } from '../store/contents';

const storage = new IdbStore();
const locks = browserLocks();
const now = Date.now;
const small = new Checkpoints(storage, locks, { chunkBytes: 64, now });
/** With chunks as in earnest: 2 groups of 1.5 chunks. */
const large = new Checkpoints(storage, locks, { now });
const largeGroups: readonly GroupPlan[] = ['weights', 'ema'].map((name) => ({
  name,
  tensors: [
    { name: 'matrix', shape: [1536, 4096], dtype: 'f32' },
    { name: 'bias', shape: [7], dtype: 'f16' },
  ],
}));
const runs = new Runs(storage, locks, small, { now });
let release: Release | null = null;

async function save(run: string, step: number, size: 'small' | 'large', pieceMs = 0): Promise<number> {
  const head = makeHead(step, { groups: size === 'small' ? smallGroups : largeGroups });
  async function* pieces() {
    for await (const piece of makePieces(head, size === 'small' ? 37 : 1 << 20)) {
      if (pieceMs > 0) await new Promise((resolve) => setTimeout(resolve, pieceMs));
      yield piece;
    }
  }
  const checkpoints = size === 'small' ? small : large;
  const report = {
    stage: () => {},
    progress: (done: number, total: number) => postMessage({ progress: done / total }),
    note: () => {},
  };
  return (await checkpoints.save(run, head, pieces(), { report })).chunks.length;
}

const actions = {
  create: (name: string) => runs.create(name, { steps: 100 }),
  list: () => runs.list(),
  lock: async (run: string) => void (release = await runs.lock(run)),
  /** Waits a moment for the lock that a run's tab holds, then gives up. */
  waitInVain: async (run: string) => {
    const signal = AbortSignal.timeout(50);
    (await locks.acquire(`tabdit-run/${run}`, { mode: 'exclusive', signal }))();
  },
  unlock: async () => release?.(),
  delete: (run: string) => runs.delete(run),
  save,
  /** Saves one checkpoint after the other until the tab ends. */
  saveForever: async (run: string, first: number) => {
    for (let step = first; ; step++) await save(run, step, 'small', 1);
  },
  load: (run: string) =>
    small.read(run, async (opened) => {
      const { step } = opened.checkpoint.manifest;
      return { step, refused: opened.refused, wrong: await differences(opened) };
    }),
  inventory: async (run: string) => {
    const { generations, orphans } = await small.inventory(run);
    return { states: generations.map(({ state }) => state), orphans: orphans.length };
  },
  sweep: (run: string) => small.sweep(run),
  keys: () => storage.list(''),
  flip: async (key: string) => {
    const bytes = await storage.read(key);
    if (!bytes) throw new Error(`no ${key}`);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await storage.write(key, bytes);
  },
  room: () => roomFor(browserStorageManager(), 1e6, 'The next checkpoint'),
  /** Bytes of a view are stored without the buffer around them. */
  view: async () => {
    await storage.write('view', new Uint8Array(1 << 20).subarray(100, 110));
    const bytes = await storage.read('view');
    await storage.remove('view');
    return [bytes?.length, bytes?.buffer.byteLength];
  },
  /** Opens the database as the next version of the program would. */
  openNewer: async () => {
    const migrations = [
      ...runsMigrations,
      (database: IDBDatabase) => void database.createObjectStore('more'),
    ];
    const newer = new IdbStore({ migrations });
    const keys = await newer.list('run/');
    await newer.close();
    return keys.length;
  },
  /** The same while somebody keeps an old connection open and does not give way. */
  openBlocked: async () => {
    const request = indexedDB.open(runsDatabase);
    await new Promise((resolve) => (request.onsuccess = resolve));
    const migrations = [...runsMigrations, () => {}, () => {}];
    try {
      await new IdbStore({ migrations, patience: 50 }).list('');
    } finally {
      request.result.close();
    }
  },
};

export type Actions = typeof actions;

onmessage = async ({ data }: MessageEvent<{ id: number; name: keyof Actions; args: unknown[] }>) => {
  const action = actions[data.name] as (...args: unknown[]) => Promise<unknown>;
  try {
    postMessage({ id: data.id, value: await action(...data.args) });
  } catch (thrown) {
    const code = thrown instanceof TabditError ? thrown.code : 'internal';
    postMessage({ id: data.id, error: { code, message: messageOf(thrown) } });
  }
};
