/** Checkpoints on storage that dies, fills up and rots: the newest complete and intact generation is always found. */
import { describe, expect, test } from 'vitest';
import { StorageError } from '../../src/core/errors';
import { Checkpoints, type Opened } from '../../src/store/checkpoints';
import { checkpointBytes, planLayout, type GroupPlan, type Manifest } from '../../src/store/manifest';
import { chunkKey, decodeRecord, encodeRecord, manifestKey } from '../../src/store/records';
import type { Retention } from '../../src/store/retention';
import { chunkBytes, differences, makeHead, makePieces } from './contents';
import { FakeLocks, FakeStorage, Killed } from './fakes';

const run = 'run-1';
const chunks = Math.ceil(planLayout(makeHead(1), chunkBytes).bytes / chunkBytes);

/** A tab: checkpoints over what storage holds, with locks of its own as if the tab before were gone. */
function openTab(storage: FakeStorage, locks = new FakeLocks()): Checkpoints {
  return new Checkpoints(storage, locks, { chunkBytes, now: () => 1_800_000_000_000 });
}

async function save(tab: Checkpoints, step: number, retention?: Retention): Promise<Manifest> {
  const head = makeHead(step);
  return tab.save(run, head, makePieces(head), retention ? { retention } : {});
}

/** Step that is opened, with every byte compared. */
async function openedStep(
  tab: Checkpoints,
): Promise<{ step: number; refused: Opened['refused']; text: string }> {
  return tab.read(run, async (opened) => {
    expect(await differences(opened)).toEqual([]);
    return { step: opened.checkpoint.manifest.step, refused: opened.refused, text: opened.text };
  });
}

/** Storage with checkpoints of steps 10, 20, ... */
async function storageWith(count: number): Promise<FakeStorage> {
  const storage = new FakeStorage();
  const tab = openTab(storage);
  for (let i = 1; i <= count; i++) await save(tab, i * 10, { last: 8, everySteps: null, best: false });
  storage.log.length = 0;
  return storage;
}

describe('saving and reading', () => {
  test('every byte and everything about the run comes back', async () => {
    const storage = new FakeStorage();
    const tab = openTab(storage);
    const head = makeHead(10, { evaluation: 0.25 });
    const told: [number, number][] = [];
    const manifest = await tab.save(run, head, makePieces(head), {
      report: {
        stage: () => {},
        progress: (done, total) => void told.push([done, total]),
        note: (text) => expect.unreachable(text),
      },
    });
    expect(manifest).toMatchObject({ run, generation: 1, step: 10, evaluation: 0.25, cursor: head.cursor });
    expect(manifest).toMatchObject({ counters: head.counters, profile: head.profile, program: '0.1.0' });
    expect(manifest.chunks.length).toBe(chunks);
    expect(storage.largest).toBeLessThanOrEqual(
      Math.max(chunkBytes, storage.values.get(manifestKey(run, 1))?.length ?? 0),
    );
    expect(told).toHaveLength(chunks + 1);
    expect(told.at(-1)).toEqual([manifest.bytes, manifest.bytes]);
    // the manifest is the last thing written
    const writes = storage.log.filter((line) => line.startsWith('write'));
    expect(writes).toHaveLength(chunks + 1);
    expect(writes.at(-1)).toBe(`write ${manifestKey(run, 1)}`);
    expect(await openedStep(openTab(storage))).toEqual({
      step: 10,
      refused: [],
      text: 'Step 10, saved 2027-01-15T08:00:00.000Z.',
    });
  });

  test.each([1, 8, 64, 1000])('pieces of %i bytes give the same chunks', async (pieceBytes) => {
    const storage = new FakeStorage();
    const head = makeHead(10);
    await openTab(storage).save(run, head, makePieces(head, pieceBytes));
    expect(storage.values).toEqual((await storageWith(1)).values);
  });

  test('some groups are read without the chunks of others', async () => {
    const storage = await storageWith(1);
    await openTab(storage).read(run, async ({ checkpoint }) => {
      storage.log.length = 0;
      const seen = new Set<string>();
      for await (const { group } of checkpoint.pieces(['ema'])) seen.add(group);
      expect([...seen]).toEqual(['ema']);
    });
    expect(storage.log.length).toBeGreaterThan(0);
    expect(storage.log.length).toBeLessThan(chunks / 2);
  });

  test('a checkpoint of nothing but counters', async () => {
    const storage = new FakeStorage();
    const head = makeHead(3, { groups: [], metrics: new Uint8Array(0) });
    await openTab(storage).save(run, head, makePieces(head));
    const found = await openTab(storage).read(run, async ({ checkpoint }) => checkpoint.manifest.counters);
    expect(found).toEqual({ samples: 48 });
  });

  test('the planned size is the size', async () => {
    const storage = new FakeStorage();
    const head = makeHead(10);
    await openTab(storage).save(run, head, makePieces(head));
    const stored = [...storage.values.values()].reduce((sum, { length }) => sum + length, 0);
    const planned = checkpointBytes(head, chunkBytes);
    expect(planned).toBeGreaterThanOrEqual(stored);
    // run id, generation and checksums are counted with the most digits that they can have
    expect(planned - stored).toBeLessThan(100 + chunks * 12);
  });

  test('pieces that are not those of the head are refused and leave nothing', async () => {
    const storage = await storageWith(1);
    const before = new Map(storage.values);
    const head = makeHead(20);
    async function* without(name: string) {
      for await (const piece of makePieces(head, 1000)) if (piece.name !== name) yield piece;
    }
    async function* twice() {
      for await (const piece of makePieces(head, 1000)) yield* [piece, piece];
    }
    const tab = openTab(storage);
    await expect(tab.save(run, head, without('big'))).rejects.toThrow(
      'checkpoint: next must come weights:big with at most 308 bytes: weights:bytes with 13 bytes',
    );
    await expect(tab.save(run, head, without('bytes'))).rejects.toThrow(
      'weights:bytes with at most 13 bytes',
    );
    await expect(
      tab.save(run, { ...head, groups: head.groups.slice(0, 1) }, makePieces(head)),
    ).rejects.toThrow('next must come nothing more: moment1:a.weight with 37 bytes');
    await expect(tab.save(run, head, twice())).rejects.toThrow('next must come weights:a.bias');
    async function* nothing() {}
    await expect(tab.save(run, head, nothing())).rejects.toThrow('weights:a.weight lacks 60 of 60 bytes');
    expect(storage.values).toEqual(before);
  });

  test('what JSON cannot keep is refused before anything is written', async () => {
    const storage = new FakeStorage();
    const tab = openTab(storage);
    const attempt = (more: object) => {
      const head = makeHead(1, more);
      return tab.save(run, head, makePieces(head));
    };
    await expect(attempt({ evaluation: NaN })).rejects.toThrow(/^checkpoint: evaluation: /);
    await expect(attempt({ counters: { samples: Infinity } })).rejects.toThrow(
      /^checkpoint: counters.samples: /,
    );
    const tensor = { name: 'w', shape: [1], dtype: 'f32' } as const;
    const groups: GroupPlan[] = [{ name: 'weights', tensors: [tensor, tensor] }];
    await expect(attempt({ groups })).rejects.toThrow('weights:w is twice');
    await expect(
      attempt({ groups: [{ name: 'g', tensors: [{ ...tensor, shape: [1.5] }] }] }),
    ).rejects.toThrow('checkpoint: g:w: extents must be whole numbers: 1.5');
    await expect(tab.inventory('a/b')).rejects.toThrow('run id: must be 1 to 64 letters');
    expect(storage.log).toEqual([]);
  });
});

describe('a tab that dies', () => {
  test('after any single operation of a save: the newest complete checkpoint loads', async () => {
    const before = await storageWith(2);
    const whole = new FakeStorage(before.values);
    await save(openTab(whole), 30);
    const operations = whole.log.length;
    const written = whole.log.indexOf(`write ${manifestKey(run, 3)}`) + 1;
    expect(operations).toBeGreaterThan(50);
    const seen: number[] = [];
    for (let alive = 0; alive <= operations; alive++) {
      const storage = new FakeStorage(before.values);
      storage.dieAfter(alive);
      const saved = save(openTab(storage), 30);
      // past its manifest a checkpoint is saved; what fails then is tidying, which is told as a note
      if (alive < written) await expect(saved).rejects.toThrow(Killed);
      else await saved;
      storage.fault = () => {};
      const next = openTab(storage);
      const { step, refused } = await openedStep(next);
      expect({ alive, step, refused }).toEqual({ alive, step: alive >= written ? 30 : 20, refused: [] });
      seen.push(step);

      // the next save works, and takes away what the dead one left
      await save(next, 40);
      expect(await openedStep(next)).toMatchObject({ step: 40, refused: [] });
      const { generations, orphans } = await next.inventory(run);
      expect(orphans).toEqual([]);
      expect(generations.filter(({ state }) => state === 'complete').length).toBe(2);
      expect(storage.values.size).toBe(2 * (chunks + 1));
    }
    expect(new Set(seen)).toEqual(new Set([20, 30]));
  });

  test('its orphans are swept, and only they', async () => {
    const storage = await storageWith(2);
    const whole = new Map(storage.values);
    storage.dieAfter(storage.log.length + 12);
    await expect(save(openTab(storage), 30)).rejects.toThrow(Killed);
    storage.fault = () => {};
    const left = storage.values.size - whole.size;
    expect(left).toBeGreaterThan(3);
    const tab = openTab(storage);
    expect((await tab.inventory(run)).orphans).toHaveLength(left);
    expect(await tab.sweep(run)).toBe(left);
    expect(await tab.sweep(run)).toBe(0);
    expect(storage.values).toEqual(whole);
  });

  test('sweeping waits for a save in another tab', async () => {
    const storage = await storageWith(1);
    const locks = new FakeLocks();
    const [writer, sweeper] = [openTab(storage, locks), openTab(storage, locks)];
    let goOn = (): void => {};
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const head = makeHead(20);
    let given = 0;
    async function* slow() {
      for await (const piece of makePieces(head)) {
        if (++given === 30) await waiting;
        yield piece;
      }
    }
    const saved = writer.save(run, head, slow());
    while (given < 30) await new Promise((resolve) => setTimeout(resolve, 1));
    let swept: number | null = null;
    const sweeping = sweeper.sweep(run).then((count) => (swept = count));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(swept).toBeNull();
    goOn();
    await saved;
    await sweeping;
    expect(swept).toBe(0);
    expect(await openedStep(sweeper)).toMatchObject({ step: 20 });
  });
});

describe('a save that fails', () => {
  test('at any write, for want of room: earlier checkpoints are untouched, its own chunks are gone', async () => {
    for (let failing = 1; failing <= chunks + 1; failing++) {
      const storage = await storageWith(2);
      const before = new Map(storage.values);
      let writes = 0;
      storage.fault = ({ name }) => {
        if (name === 'write' && ++writes === failing) throw new StorageError('quota', 'fake: no room');
      };
      const saved = save(openTab(storage), 30);
      await expect(saved).rejects.toMatchObject({ code: 'quota' });
      await expect(saved).rejects.toThrow(
        /^checkpoint: the browser must have room for 1\.65 kB more: fake: no room; earlier checkpoints are as they were$/,
      );
      expect(storage.values).toEqual(before);
    }
  });

  test('a full disk, then room again', async () => {
    const storage = await storageWith(2);
    const used = [...storage.values.values()].reduce((sum, { length }) => sum + length, 0);
    storage.limit(used + 3 * chunkBytes);
    await expect(save(openTab(storage), 30)).rejects.toMatchObject({ code: 'quota' });
    expect(await openedStep(openTab(storage))).toMatchObject({ step: 20, refused: [] });
    storage.fault = () => {};
    await save(openTab(storage), 30);
    expect(await openedStep(openTab(storage))).toMatchObject({ step: 30, refused: [] });
  });

  test('cancelled at any piece', async () => {
    const locks = new FakeLocks();
    for (const at of [1, 5, 20, 48]) {
      const storage = await storageWith(2);
      const before = new Map(storage.values);
      const controller = new AbortController();
      const head = makeHead(30);
      let given = 0;
      let ended = false;
      async function* cancelling() {
        try {
          for await (const piece of makePieces(head, 40)) {
            if (++given === at) controller.abort();
            yield piece;
          }
        } finally {
          ended = true;
        }
      }
      const { signal } = controller;
      const saved = openTab(storage, locks).save(run, head, cancelling(), { signal });
      await expect(saved).rejects.toMatchObject({ code: 'cancelled' });
      expect({ given, ended }).toEqual({ given: at, ended: true });
      expect(storage.values).toEqual(before);
      expect(locks.held(`tabdit-checkpoints/${run}`)).toBe(false);
    }
  });

  test('cancelled while it waits for the lock: nothing is read or written', async () => {
    const storage = await storageWith(1);
    const locks = new FakeLocks();
    const release = await locks.acquire(`tabdit-checkpoints/${run}`, { mode: 'shared' });
    const controller = new AbortController();
    const head = makeHead(20);
    const saved = openTab(storage, locks).save(run, head, makePieces(head), { signal: controller.signal });
    await Promise.resolve();
    controller.abort();
    await expect(saved).rejects.toMatchObject({ code: 'cancelled' });
    expect(storage.log).toEqual([]);
    release();
    await save(openTab(storage, locks), 20);
  });

  test('the source of values breaks', async () => {
    const storage = await storageWith(1);
    const before = new Map(storage.values);
    const head = makeHead(20);
    async function* breaking() {
      let given = 0;
      for await (const piece of makePieces(head)) {
        if (++given === 20) throw new Error('the device was lost');
        yield piece;
      }
    }
    await expect(openTab(storage).save(run, head, breaking())).rejects.toThrow('the device was lost');
    expect(storage.values).toEqual(before);
  });

  test('only tidying fails: the checkpoint is saved, and that is said', async () => {
    const storage = await storageWith(3);
    storage.fault = ({ name }) => {
      if (name === 'remove') throw new StorageError('storage-failed', 'fake: cannot remove');
    };
    const notes: string[] = [];
    const head = makeHead(40);
    await openTab(storage).save(run, head, makePieces(head), {
      report: { stage: () => {}, progress: () => {}, note: (text) => void notes.push(text) },
    });
    expect(notes).toEqual([
      'The checkpoint is saved; older ones could not be removed and take up room: fake: cannot remove',
    ]);
    storage.fault = () => {};
    expect(await openedStep(openTab(storage))).toMatchObject({ step: 40 });
  });
});

describe('damage', () => {
  /** The step that loads after something happened to the newest of three checkpoints, and why it was refused. */
  async function afterDamage(
    damage: (storage: FakeStorage) => void,
  ): Promise<{ step: number; refused: Opened['refused']; text: string }> {
    const storage = await storageWith(3);
    damage(storage);
    return openedStep(openTab(storage));
  }

  const change =
    (key: string, edit: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) =>
    (storage: FakeStorage): void => {
      const bytes = storage.values.get(key);
      if (!bytes) throw new Error(`no ${key}`);
      storage.values.set(key, edit(bytes.slice()));
    };

  const flip = (index: number) => (bytes: Uint8Array<ArrayBuffer>) => {
    bytes[index] = (bytes[index] as number) ^ 0x10;
    return bytes;
  };

  test('one flipped bit in any chunk', async () => {
    for (let chunk = 0; chunk < chunks; chunk++) {
      const { step, refused, text } = await afterDamage(change(chunkKey(run, 3, chunk), flip(chunk % 7)));
      expect(step).toBe(20);
      expect(refused).toMatchObject([{ generation: 3, step: 30 }]);
      expect(refused[0]?.reason).toMatch(
        new RegExp(
          `^chunk ${chunk + 1} of ${chunks}: must have checksum [0-9a-f]{8}: it has [0-9a-f]{8} \\(changed\\)$`,
        ),
      );
      expect(text).toMatch(/^Step 20, saved .*\. A newer checkpoint could not be used: step 30: chunk /);
    }
  });

  test('a chunk cut short, and one that is missing', async () => {
    const short = await afterDamage(change(chunkKey(run, 3, 4), (bytes) => bytes.slice(0, 50)));
    expect(short).toMatchObject({
      step: 20,
      refused: [{ reason: `chunk 5 of ${chunks}: must have 64 bytes: it has 50 (truncated)` }],
    });
    const missing = await afterDamage((storage) => void storage.values.delete(chunkKey(run, 3, 7)));
    expect(missing).toMatchObject({
      step: 20,
      refused: [{ step: 30, reason: `chunk 8 of ${chunks}: must be there: it is missing` }],
    });
  });

  test('any byte of the manifest', async () => {
    const storage = await storageWith(2);
    const length = storage.values.get(manifestKey(run, 2))?.length ?? 0;
    expect(length).toBeGreaterThan(1000);
    for (let at = 0; at < length; at += 1 + Math.floor(at / 20)) {
      const damaged = new FakeStorage(storage.values);
      change(manifestKey(run, 2), flip(at))(damaged);
      const { step, refused } = await openedStep(openTab(damaged));
      expect({ at, step }).toEqual({ at, step: 10 });
      expect(refused[0]?.reason).toMatch(/^its manifest: must (begin as a checkpoint record|have checksum)/);
    }
    const { refused } = await afterDamage(change(manifestKey(run, 3), (bytes) => bytes.slice(0, 300)));
    expect(refused[0]?.reason).toMatch(/must have checksum/);
    const empty = await afterDamage(change(manifestKey(run, 3), () => new Uint8Array(0)));
    expect(empty.refused[0]?.reason).toMatch(/must begin as a checkpoint record/);
  });

  test('a manifest that is whole but says what cannot be', async () => {
    const edits: [string, (manifest: Record<string, unknown>) => void, RegExp][] = [
      ['no step', (m) => delete m.step, /^its manifest: step: /],
      ['another run', (m) => (m.run = 'other'), /must be that of generation 3 of run run-1: it is/],
      ['too few chunks', (m) => (m.chunks as unknown[]).pop(), /must list \d+ chunks: \d+/],
      ['a shorter stream', (m) => (m.bytes = (m.bytes as number) - 1), /chunk \d+ must have/],
      [
        'a tensor beyond the end',
        (m) => ((m as unknown as Manifest).groups[3]!.tensors[4]!.chunk = 999),
        /ema:bytes must lie in the \d+ bytes/,
      ],
      [
        'a shape of another size',
        (m) => ((m as unknown as Manifest).groups[0]!.tensors[0]!.shape = [3, 6]),
        /weights:a.weight must have 72 bytes: 60/,
      ],
      [
        'tensors over each other',
        (m) => Object.assign((m as unknown as Manifest).groups[0]!.tensors[1]!, { chunk: 0, offset: 56 }),
        /weights:a.bias must lie in/,
      ],
    ];
    for (const [, edit, reason] of edits) {
      const damage = change(manifestKey(run, 3), (bytes) => {
        const value = decodeRecord('test', 'checkpoint', bytes) as Record<string, unknown>;
        edit(value);
        return encodeRecord('checkpoint', value);
      });
      const { step, refused } = await afterDamage(damage);
      expect(step).toBe(20);
      expect(refused[0]?.reason).toMatch(reason);
    }
  });

  test('two damaged ones, then all', async () => {
    const two = await afterDamage((storage) => {
      change(chunkKey(run, 3, 0), flip(0))(storage);
      storage.values.delete(chunkKey(run, 2, 1));
    });
    expect(two.step).toBe(10);
    expect(two.refused.map(({ step }) => step)).toEqual([30, 20]);
    expect(two.text).toMatch(/2 newer checkpoints could not be used: step 30: .*; step 20: chunk 2 of/);

    const storage = await storageWith(2);
    for (const generation of [1, 2]) change(chunkKey(run, generation, 0), flip(0))(storage);
    await expect(openedStep(openTab(storage))).rejects.toThrow(
      /^run run-1: a checkpoint must be intact: none of 2 is: step 20: chunk 1 .*; step 10: chunk 1 /,
    );
    await expect(openedStep(openTab(new FakeStorage()))).rejects.toThrow(
      'run run-1: must have a checkpoint: none has been saved',
    );
  });

  test('a chunk that the browser cannot read is damage; a browser that keeps nothing is not', async () => {
    const storage = await storageWith(2);
    const failWith = (error: StorageError): void => {
      storage.fault = ({ name, key }) => {
        if (name === 'read' && key === chunkKey(run, 2, 3)) throw error;
      };
    };
    failWith(new StorageError('storage-failed', 'fake: the file behind it is gone'));
    expect(await openedStep(openTab(storage))).toMatchObject({ step: 10, refused: [{ step: 20 }] });
    failWith(new StorageError('storage-unavailable', 'fake: no storage'));
    await expect(openedStep(openTab(storage))).rejects.toMatchObject({ code: 'storage-unavailable' });
  });

  test('a chunk that changes between verifying and reading is noticed', async () => {
    const storage = await storageWith(1);
    const reading = openTab(storage).read(run, async (opened) => {
      change(chunkKey(run, 1, 2), flip(1))(storage);
      return differences(opened);
    });
    await expect(reading).rejects.toThrow(/^chunk 3 of \d+: must have checksum/);
  });

  test('a checkpoint of a newer version of the program is left alone', async () => {
    const storage = await storageWith(2);
    change(manifestKey(run, 2), (bytes) => {
      const [head = '', ...rest] = new TextDecoder().decode(bytes).split('\n');
      return new TextEncoder().encode([head.replace(/ 1 /, ' 2 '), ...rest].join('\n'));
    })(storage);
    expect(await openedStep(openTab(storage))).toMatchObject({
      step: 10,
      refused: [{ generation: 2, reason: expect.stringContaining('(version 2)') as string }],
    });
    const tab = openTab(storage);
    for (const step of [30, 40, 50]) await save(tab, step);
    const { generations, orphans } = await tab.inventory(run);
    expect(orphans).toEqual([]);
    expect(generations.map(({ generation, state }) => `${generation} ${state}`)).toEqual([
      '5 complete',
      '4 complete',
      '2 newer',
    ]);
    expect(generations.at(-1)?.chunks).toBe(chunks);
  });
});
