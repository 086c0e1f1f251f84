/** Runs in storage: listed, renamed, deleted, worked on by one tab at a time; and what stays of them, by rule. */
import { describe, expect, test } from 'vitest';
import { Checkpoints } from '../../src/store/checkpoints';
import { chunkKey, manifestKey, runKey } from '../../src/store/records';
import { generationsToRemove, type KeptGeneration, type Retention } from '../../src/store/retention';
import { Runs } from '../../src/store/runs';
import { chunkBytes, makeHead, makePieces } from './contents';
import { FakeLocks, FakeStorage, Killed } from './fakes';

/** Storage, the locks of one browser, and two tabs on both. */
function openBrowser() {
  const storage = new FakeStorage();
  const locks = new FakeLocks();
  let time = 1000;
  let id = 0;
  const now = (): number => (time += 1000);
  const checkpoints = new Checkpoints(storage, locks, { chunkBytes, now });
  const newId = (): string => `run-${++id}`;
  const openTab = (): Runs => new Runs(storage, locks, checkpoints, { now, newId });
  const save = (run: string, step: number) => {
    const head = makeHead(step);
    return checkpoints.save(run, head, makePieces(head));
  };
  return { storage, checkpoints, openTab, save };
}

describe('runs', () => {
  test('made, listed with what is stored, renamed', async () => {
    const { storage, openTab, save } = openBrowser();
    const runs = openTab();
    expect(await runs.list()).toEqual([]);
    const config = { model: { depth: 4, names: ['a', 'b'] }, rate: 0.001, notes: null };
    const first = await runs.create('emoji', config);
    const second = await runs.create('faces', {});
    expect(first).toEqual({ id: 'run-1', name: 'emoji', created: 2000, config });
    expect((await runs.list()).map(({ id }) => id)).toEqual(['run-2', 'run-1']);
    expect((await runs.list())[0]).toMatchObject({ latest: null, checkpoints: 0, bytes: 0, unusable: [] });

    for (const step of [10, 20, 30]) await save('run-1', step);
    const [summary, other] = await runs.list();
    expect(other?.run).toEqual(second);
    expect(summary).toMatchObject({ run: first, problem: null, checkpoints: 2, orphans: 0 });
    expect(summary?.latest).toMatchObject({ generation: 3, step: 30 });
    const stored = [...storage.values].filter(([key]) => key.startsWith('chunk/run-1/'));
    expect(summary?.bytes).toBe(stored.reduce((sum, [, { length }]) => sum + length, 0));

    expect(await runs.rename('run-1', 'emoji, again')).toEqual({ ...first, name: 'emoji, again' });
    expect(await openTab().get('run-1')).toEqual({ ...first, name: 'emoji, again' });
    await expect(runs.rename('run-1', '')).rejects.toThrow(/^run: name: /);
    await expect(runs.create('x', { rate: NaN })).rejects.toThrow(/^run: config/);
    await expect(runs.rename('nobody', 'x')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('deleted with all that belongs to it and nothing else, also when the tab dies in between', async () => {
    const { storage, openTab, save } = openBrowser();
    const runs = openTab();
    await runs.create('one', {});
    await runs.create('two', {});
    await save('run-1', 10);
    await save('run-2', 10);
    const other = [...storage.values.keys()].filter((key) => key.includes('run-2'));
    storage.dieAfter(storage.log.length + 9);
    await expect(runs.delete('run-1')).rejects.toThrow(Killed);
    storage.fault = () => {};
    expect((await openTab().list()).map(({ id }) => id)).toContain('run-1');
    await openTab().delete('run-1');
    expect([...storage.values.keys()]).toEqual(other);
  });

  test('a second tab is told that the run is held', async () => {
    const { openTab } = openBrowser();
    const [first, second] = [openTab(), openTab()];
    await first.create('one', {});
    const release = await first.lock('run-1');
    await expect(second.lock('run-1')).rejects.toMatchObject({
      code: 'storage-held',
      message:
        'run run-1: one tab at a time may work on it: another tab has it open; stop it or close that tab',
    });
    await expect(second.delete('run-1')).rejects.toMatchObject({ code: 'storage-held' });
    expect(await second.get('run-1')).toMatchObject({ name: 'one' });
    release();
    release();
    const again = await second.lock('run-1');
    await expect(first.lock('run-1')).rejects.toMatchObject({ code: 'storage-held' });
    again();
  });

  test('damaged records are listed with the reason and can be deleted', async () => {
    const { storage, openTab, save } = openBrowser();
    const runs = openTab();
    await runs.create('one', {});
    await runs.create('two', {});
    await save('run-1', 10);
    await save('run-1', 20);
    await save('run-2', 30);
    const record = storage.values.get(runKey('run-1'));
    if (!record) throw new Error('no record');
    record[40] = (record[40] as number) ^ 1;
    storage.values.delete(chunkKey('run-1', 2, 3));
    storage.values.delete(runKey('run-2'));
    const [lost, damaged] = (await runs.list()).sort((a, b) => (a.id > b.id ? -1 : 1));
    expect(lost).toMatchObject({ id: 'run-2', run: null, checkpoints: 1 });
    expect(lost?.problem).toBe('run run-2: must be in this browser: it is not');
    expect(damaged).toMatchObject({
      id: 'run-1',
      run: null,
      latest: { step: 10 },
      checkpoints: 1,
      unusable: [{ generation: 2, reason: expect.stringContaining('chunk 4 of') as string }],
    });
    expect(damaged?.problem).toMatch(/^run run-1: must have checksum/);
    await runs.delete('run-1');
    await runs.delete('run-2');
    expect(storage.values.size).toBe(0);
  });
});

describe('retention', () => {
  const complete = (generation: number, step: number, evaluation: number | null = null): KeptGeneration => ({
    generation,
    step,
    evaluation,
    state: 'complete',
  });
  const removed = (generations: KeptGeneration[], rule: Partial<Retention> = {}): number[] =>
    generationsToRemove(generations, { last: 2, everySteps: null, best: false, ...rule });
  const five = [1, 2, 3, 4, 5].map((i) => complete(i, i * 10, [0.5, 0.2, 0.3, null, 0.4][i - 1]));

  test('the last ones, every so many steps, the best', () => {
    expect(removed(five)).toEqual([1, 2, 3]);
    expect(removed(five, { last: 4 })).toEqual([1]);
    expect(removed(five, { everySteps: 30 })).toEqual([1, 2]);
    expect(removed(five, { best: true })).toEqual([1, 3]);
    expect(removed(five, { everySteps: 10 })).toEqual([]);
    expect(removed([])).toEqual([]);
  });

  test('a step that was reached twice stays once; step 0 is no milestone', () => {
    const again = [
      complete(1, 0),
      complete(2, 30),
      complete(3, 40),
      complete(4, 30),
      complete(5, 50),
      complete(6, 60),
    ];
    expect(removed(again, { everySteps: 30 })).toEqual([1, 2, 3]);
  });

  test('damaged ones do not count among the last, and go when they are older than those', () => {
    const damaged = (generation: number): KeptGeneration => ({
      ...complete(generation, 0),
      step: null,
      state: 'damaged',
    });
    expect(removed([complete(1, 10), complete(2, 20), damaged(3), damaged(4)])).toEqual([]);
    expect(removed([damaged(1), complete(2, 20), damaged(3), complete(4, 40)])).toEqual([1]);
    expect(removed([damaged(1), complete(2, 20)])).toEqual([]);
    expect(removed([{ ...damaged(1), state: 'newer' }, complete(2, 20), complete(3, 30)])).toEqual([]);
  });

  test('never fewer than two', () => {
    expect(() => removed(five, { last: 1 })).toThrow('checkpoints kept: must be a whole number from 2: 1');
    expect(() => removed(five, { everySteps: 0 })).toThrow('must be a whole number from 1: 0');
  });

  test('holds in storage, also next to a damaged generation', async () => {
    const { storage, checkpoints, save } = openBrowser();
    const retention = { last: 2, everySteps: 20, best: true };
    const evaluations = [0.5, 0.4, 0.1, 0.3, 0.35, 0.6];
    for (const [i, evaluation] of evaluations.entries()) {
      const head = makeHead((i + 1) * 10, { evaluation });
      await checkpoints.save('run-1', head, makePieces(head), { retention });
    }
    const steps = async () =>
      (await checkpoints.inventory('run-1')).generations.map(({ manifest }) => manifest?.step);
    expect(await steps()).toEqual([60, 50, 40, 30, 20]);
    storage.values.delete(manifestKey('run-1', 6));
    await save('run-1', 70);
    expect((await checkpoints.inventory('run-1')).orphans).toEqual([]);
    expect(await steps()).toEqual([70, 50, 30]);
  });
});
