/** Batches: epochs, cursors, draws, batches made ahead, samples held out. */
import { describe, expect, test } from 'vitest';
import { FormatError, InputError } from '../../src/core/errors';
import { Batcher, parseCursor, type BatcherSettings, type PlacedBatch } from '../../src/data/batcher';
import { drawBatch } from '../../src/data/batchDraws';
import type { Dataset } from '../../src/data/dataset';
import { createDraws } from '../../src/data/draws';
import { evaluationBatches, splitSamples } from '../../src/data/heldOut';
import type { TrainBatch } from '../../src/protocol/trainBatch';

/** Samples whose latents [2, 2, 2] and captions [1, 3] are their number. `gets`: what was asked for. */
function numbered(size: number, gets: number[][] = []): Dataset {
  return {
    ...{ name: 'numbered', size, latentShape: [2, 2, 2], captionShape: [1, 3] },
    get: async (ids) => {
      const list = Array.from(ids);
      gets.push(list);
      const rows = (each: number): Float32Array<ArrayBuffer> =>
        Float32Array.from(list.flatMap((id) => new Array<number>(each).fill(id)));
      return { latents: rows(8), captions: rows(3), texts: list.map((id) => `text ${id}`) };
    },
  };
}
const settings: BatcherSettings = { seed: 18n, batch: 4, tokens: 6, captionDrop: 0.1 };

async function take(batches: AsyncIterable<PlacedBatch>, count: number): Promise<PlacedBatch[]> {
  const taken: PlacedBatch[] = [];
  for await (const batch of batches) if (taken.push(batch) === count) break;
  return taken;
}
const sorted = (ids: Iterable<number>): number[] => [...ids].sort((a, b) => a - b);

describe('epochs', () => {
  test('take every sample at most once, in another order each, without what makes no whole batch', async () => {
    const batcher = new Batcher(numbered(11), settings);
    expect(batcher.batchesPerEpoch).toBe(2);
    const taken = await take(batcher.batches(), 8);
    expect(taken.map(({ step, epoch }) => [step, epoch])).toEqual([
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((step) => [step, Math.floor(step / 2)]),
    ]);
    const draws = createDraws(18n);
    for (const { step, epoch, ids, batch, texts } of taken) {
      const at = (step % 2) * 4;
      expect([...ids]).toEqual([...draws.order(epoch, 11).slice(at, at + 4)]);
      expect([...batch.latents]).toEqual([...ids].flatMap((id) => new Array<number>(8).fill(id)));
      expect([...batch.captions]).toEqual([...ids].flatMap((id) => new Array<number>(3).fill(id)));
      expect(texts).toEqual([...ids].map((id) => `text ${id}`));
    }
  });

  test('a whole number of batches takes all', async () => {
    const taken = await take(new Batcher(numbered(12), settings).batches(), 6);
    for (const epoch of [0, 1]) {
      const ids = taken.filter((batch) => batch.epoch === epoch).flatMap((batch) => [...batch.ids]);
      expect(sorted(ids)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
  });

  test('only samples to train on are taken', async () => {
    const ids = Uint32Array.of(1, 3, 5, 7, 9, 10);
    const taken = await take(new Batcher(numbered(11), { ...settings, batch: 3, ids }).batches(), 2);
    expect(sorted(taken.flatMap((batch) => [...batch.ids]))).toEqual([...ids]);
  });

  test('another seed takes others', async () => {
    const order = async (seed: bigint): Promise<number[]> =>
      (await take(new Batcher(numbered(100), { ...settings, seed }).batches(), 5)).flatMap(({ ids }) => [
        ...ids,
      ]);
    expect(await order(1n)).not.toEqual(await order(2n));
    expect(await order(-1n)).toEqual(await order(2n ** 64n - 1n));
  });
});

describe('cursors', () => {
  test('a run that goes on from any saved cursor makes the same batches', async () => {
    const all = await take(new Batcher(numbered(11), settings).batches(), 7);
    for (const done of [1, 2, 3, 5]) {
      const saved = JSON.stringify(all[done - 1]!.next);
      const resumed = new Batcher(numbered(11), settings);
      const rest = await take(resumed.batches(parseCursor(JSON.parse(saved))), 7 - done);
      expect(rest).toEqual(all.slice(done));
    }
  });

  test('any batch can be asked for again', async () => {
    const batcher = new Batcher(numbered(11), settings);
    const all = await take(batcher.batches(), 5);
    expect(await batcher.at(all[2]!.next)).toEqual(all[3]);
    expect(await batcher.at(batcher.start)).toEqual(all[0]);
  });

  test('the batch size may change on the way: no sample comes twice in an epoch', async () => {
    const [, second] = await take(new Batcher(numbered(11), { ...settings, batch: 3 }).batches(), 2);
    const larger = await take(new Batcher(numbered(11), { ...settings, batch: 5 }).batches(second!.next), 2);
    expect(larger.map(({ step, epoch }) => [step, epoch])).toEqual([
      [2, 0],
      [3, 1],
    ]);
    expect([...larger[0]!.ids]).toEqual([...createDraws(18n).order(0, 11).slice(6, 11)]);
  });

  test('of another run or data set are refused', async () => {
    const batcher = new Batcher(numbered(11), settings);
    await expect(batcher.at({ ...batcher.start, seed: '19' })).rejects.toThrow(
      'data cursor: must be of this run, with seed 18: its seed is 19',
    );
    await expect(batcher.at({ ...batcher.start, samples: 12 })).rejects.toThrow(
      'data cursor: must be of a data set with 11 samples to train on: it has 12',
    );
    expect(parseCursor(batcher.start)).toEqual(batcher.start);
    for (const [changed, message] of [
      [{ seed: 18 }, /^data cursor: seed: .*18$/],
      [{ step: -1 }, /^data cursor: step: .*-1$/],
      [{ position: 1.5 }, /^data cursor: position: .*1\.5$/],
      [{ epoch: undefined }, /^data cursor: epoch: .*missing$/],
    ] as const) {
      expect(() => parseCursor({ ...batcher.start, ...changed })).toThrow(message);
      expect(() => parseCursor({ ...batcher.start, ...changed })).toThrow(FormatError);
    }
  });
});

describe('draws of a batch', () => {
  const of = { step: 5, samples: 8, picture: 8, tokens: 6, captionDrop: 0.3 };
  const lists = ['rndNormal', 'noise', 'maskNoise', 'drop'] as const;

  test('are those of step and row, whatever the shards', () => {
    const draws = createDraws(18n);
    const whole = drawBatch(draws, of);
    for (const shard of [1, 2, 4]) {
      for (let first = 0; first < 8; first += shard) {
        const part = drawBatch(createDraws(18n), { ...of, first, samples: shard });
        for (const list of lists) {
          const each = whole[list].length / 8;
          expect(part[list]).toEqual(whole[list].subarray(first * each, (first + shard) * each));
        }
      }
    }
    const noise = new Float32Array(8);
    draws.normals({ purpose: 'noise', step: 5, sample: 3 }, noise);
    expect(whole.noise.subarray(24, 32)).toEqual(noise);
  });

  test("are the run's: a larger batch begins with the same", async () => {
    const first = async (batch: number): Promise<TrainBatch> =>
      (await new Batcher(numbered(11), { ...settings, batch }).at(new Batcher(numbered(11), settings).start))
        .batch;
    const [small, large] = [await first(4), await first(10)];
    for (const list of lists) expect(large[list].subarray(0, small[list].length)).toEqual(small[list]);
    expect(small).toMatchObject({ samples: 4 });
    expect(lists.map((list) => small[list].length)).toEqual([4, 32, 24, 4]);
  });

  test('captions are dropped as often as asked for', () => {
    const rate = (captionDrop: number): number => {
      const { drop } = drawBatch(createDraws(1n), { ...of, samples: 20_000, captionDrop });
      expect(drop.every((value) => value === 0 || value === 1)).toBe(true);
      return drop.filter((value) => value === 0).length / drop.length;
    };
    expect(rate(0)).toBe(0);
    expect(rate(1)).toBe(1);
    expect(Math.abs(rate(0.1) - 0.1)).toBeLessThan(5 * Math.sqrt(0.09 / 20_000));
  });
});

test('settings that are none are refused', () => {
  const refused = (changed: Partial<BatcherSettings>, message: string): void => {
    const make = (): Batcher => new Batcher(numbered(11), { ...settings, ...changed });
    expect(make).toThrow(message);
    expect(make).toThrow(InputError);
  };
  refused({ batch: 12 }, 'batches: batch size: a whole number from 1 to the 11 samples to train on: 12');
  refused({ batch: 0 }, 'batch size: a whole number from 1');
  refused({ batch: 2, ids: Uint32Array.of(4) }, 'to the 1 samples to train on: 2');
  refused({ ids: Uint32Array.of(4, 11) }, 'numbered: samples: numbers from 0 to below 11: 11');
  refused({ captionDrop: 1.1 }, 'batches: caption drop: a probability from 0 to 1: 1.1');
  refused({ captionDrop: NaN }, 'caption drop');
  refused({ tokens: 0 }, 'batches: tokens: a whole number from 1: 0');
});

describe('batches ahead', () => {
  const later = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

  test('one is made while another is in use, after the caller has gone on, and no more', async () => {
    const gets: number[][] = [];
    const batches = new Batcher(numbered(11, gets), settings).batches();
    expect(gets.length).toBe(0);
    await batches.next();
    await Promise.resolve(); // what the caller does at once comes first
    expect(gets.length).toBe(1);
    await later();
    expect(gets.length).toBe(2);
    await later();
    expect(gets.length).toBe(2);
    await batches.next();
    await later();
    expect(gets.length).toBe(3);
    await batches.return?.();
    expect(await batches.next()).toEqual({ done: true, value: undefined });
    await later();
    expect(gets.length).toBe(3);
  });

  test('calls of next() without waiting come in order', async () => {
    const batches = new Batcher(numbered(11), settings).batches();
    const taken = await Promise.all([batches.next(), batches.next(), batches.next()]);
    expect(taken.map(({ value }) => (value as PlacedBatch).step)).toEqual([0, 1, 2]);
    const waiting = batches.next();
    await batches.return?.();
    expect((await waiting).done).toBe(true);
  });

  test('an error comes with the batch that it concerns, and ends the list', async () => {
    const set = numbered(11);
    let calls = 0;
    const failing: Dataset = {
      ...set,
      get: (ids) => (++calls === 2 ? Promise.reject(new FormatError('shard: broken')) : set.get(ids)),
    };
    const batches = new Batcher(failing, settings).batches();
    expect((await batches.next()).done).toBe(false);
    await later(); // the rejection is there, and nobody has asked: it must not count as unhandled
    await expect(batches.next()).rejects.toThrow('shard: broken');
    expect((await batches.next()).done).toBe(true);
  });
});

describe('samples held out', () => {
  test('are a share of all, the same for the same seed, and no others', () => {
    const { train, heldOut } = splitSamples(1000, 0.1, 5n);
    expect([train.length, heldOut.length]).toEqual([900, 100]);
    expect(sorted([...train, ...heldOut])).toEqual(Array.from({ length: 1000 }, (_, id) => id));
    expect([...heldOut]).toEqual(sorted(heldOut));
    expect([...train]).toEqual(sorted(train));
    expect(splitSamples(1000, 0.1, 5n)).toEqual({ train, heldOut });
    expect(splitSamples(1000, 0.1, 6n).heldOut).not.toEqual(heldOut);
    expect(splitSamples(5, 0, 1n)).toEqual({
      heldOut: new Uint32Array(0),
      train: Uint32Array.of(0, 1, 2, 3, 4),
    });
  });

  test('few change sides when the data set grows', () => {
    const before = new Set(splitSamples(1000, 0.1, 5n).heldOut);
    const after = splitSamples(1020, 0.1, 5n).heldOut.filter((id) => id < 1000);
    expect(after.filter((id) => !before.has(id)).length).toBeLessThan(10);
  });

  test.each([-0.1, 1, NaN, 0.95])('a share of %s of 5 is refused', (share) => {
    expect(() => splitSamples(5, share, 1n)).toThrow(
      `held out: a share from 0 to below 1 that leaves some of the 5 samples to train on: ${share}`,
    );
  });

  test('are measured with the same draws whatever the batch size, none of them those of training', async () => {
    const ids = Uint32Array.of(2, 3, 5, 7, 8);
    const measure = async (batch: number): Promise<TrainBatch[]> => {
      const batches: TrainBatch[] = [];
      for await (const one of evaluationBatches(numbered(11), { seed: 18n, batch, tokens: 6, ids }))
        batches.push(one);
      return batches;
    };
    const [whole, ...none] = await measure(8);
    expect(none).toEqual([]);
    const parts = await measure(2);
    expect(parts.map(({ samples }) => samples)).toEqual([2, 2, 1]);
    for (const list of ['latents', 'captions', 'rndNormal', 'noise', 'maskNoise', 'drop'] as const) {
      expect(parts.flatMap((part) => [...part[list]])).toEqual([...whole![list]]);
    }
    expect([...whole!.drop]).toEqual([1, 1, 1, 1, 1]);
    expect([...whole!.captions]).toEqual([...ids].flatMap((id) => [id, id, id]));
    const training = new Float32Array(8);
    createDraws(18n).normals({ purpose: 'noise', step: 0, sample: 0 }, training);
    expect(whole!.noise.subarray(0, 8)).not.toEqual(training);
    await expect(measure(0)).rejects.toThrow('evaluation: batch size: a whole number from 1: 0');
  });
});
