/** Latents in one file: what is read, what is refused; the built-in set against its MDS form. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { floatsToHalves, halvesToFloats } from '../../src/core/float16';
import { FormatError, InputError, NotFoundError } from '../../src/core/errors';
import { allIds, type Dataset } from '../../src/data/dataset';
import { namedEmoji } from '../../src/data/emoji';
import { openLatentsFile, readLatentsFile } from '../../src/data/latentsFile';
import { encodeSafetensors, floatTensor, type Metadata } from '../../src/formats/safetensors/writer';
import { memorySource } from '../../src/sources/memory';
import { nodeFolder } from '../../src/sources/node';
import { dropFolder } from '../helpers/droppedFiles';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

/** 3 samples: latents [2, 2, 2], captions [2, 3]. */
const latents = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i) * 1.3);
const captions = Float32Array.from({ length: 18 }, (_, i) => i / 7 - 1);
const texts = { texts: '["a","b","ü"]' };
type Tensors = Parameters<typeof encodeSafetensors>[0];
const good: Tensors = [
  floatTensor('latents', [3, 2, 2, 2], latents),
  floatTensor('captions', [3, 2, 3], captions, 'F16'),
];
const read = (tensors: Tensors = good, metadata: Metadata = texts): Promise<Dataset> =>
  readLatentsFile(memorySource('set', encodeSafetensors(tensors, metadata)));

describe('readLatentsFile', () => {
  test('shapes, and samples in the order asked for', async () => {
    const set = await read();
    expect(set).toMatchObject({ name: 'set', size: 3, latentShape: [2, 2, 2], captionShape: [2, 3] });
    const taken = await set.get([2, 0, 2]);
    const rows = (values: Float32Array, each: number): number[] =>
      [2, 0, 2].flatMap((id) => [...values.subarray(id * each, (id + 1) * each)]);
    expect([...taken.latents]).toEqual(rows(latents, 8));
    expect([...taken.captions]).toEqual(rows(halvesToFloats(floatsToHalves(captions)), 6));
    expect(taken.texts).toEqual(['ü', 'a', 'ü']);
    taken.latents.fill(9); // the caller's own
    expect([...(await set.get([2])).latents]).toEqual(rows(latents, 8).slice(0, 8));
    expect(await set.get([])).toMatchObject({ texts: [], latents: new Float32Array(0) });
  });

  test('latents of 16 bits give the same, rounded', async () => {
    const set = await read([floatTensor('latents', [3, 2, 2, 2], latents, 'F16'), good[1]!]);
    expect((await set.get([0, 1, 2])).latents).toEqual(halvesToFloats(floatsToHalves(latents)));
  });

  test('numbers of no sample are refused', async () => {
    const set = await read();
    for (const id of [3, -1, 0.5, NaN]) {
      await expect(set.get([0, id])).rejects.toThrow(InputError);
      await expect(set.get([0, id])).rejects.toThrow(`set: samples: numbers from 0 to below 3: ${id}`);
    }
  });

  const withNaN = latents.map((value, i) => (i === 13 ? NaN : value));
  const withInfinity = captions.map((value, i) => (i === 7 ? 1e6 : value)); // past the largest half
  test.each<[string, Tensors, Metadata, string, new (message: string) => Error]>([
    ['no latents', [good[1]!], texts, 'set: tensor "latents" must be in the file', NotFoundError],
    [
      ...(['a missing axis', [floatTensor('latents', [3, 8], latents), good[1]!], texts] as const),
      ...(['set: latents: must be [M, C, h, w], none of them 0: [3, 8]', FormatError] as const),
    ],
    [
      ...([
        'no samples',
        [floatTensor('latents', [0, 2, 2, 2], new Float32Array(0)), good[1]!],
        texts,
      ] as const),
      ...(['set: latents: must be [M, C, h, w], none of them 0: [0, 2, 2, 2]', FormatError] as const),
    ],
    [
      ...([
        'another dtype',
        [floatTensor('latents', [3, 2, 2, 2], latents, 'BF16'), good[1]!],
        texts,
      ] as const),
      ...(['set: latents: must be F16 or F32: BF16', FormatError] as const),
    ],
    [
      ...(['too few captions', [good[0]!, floatTensor('captions', [2, 3, 3], captions)], texts] as const),
      ...(['set: captions: must be as many as the 3 latents: 2', FormatError] as const),
    ],
    [
      ...(['NaN', [floatTensor('latents', [3, 2, 2, 2], withNaN), good[1]!], texts] as const),
      ...(['set: latents: every value must be finite: value 5 of sample 1 is not', FormatError] as const),
    ],
    [
      ...(['infinity', [good[0]!, floatTensor('captions', [3, 2, 3], withInfinity, 'F16')], texts] as const),
      ...(['set: captions: every value must be finite: value 1 of sample 1 is not', FormatError] as const),
    ],
    ['no texts', good, {}, 'set: texts: must be in the metadata or in a .json', NotFoundError],
    ['broken texts', good, { texts: '["a"' }, 'set: texts: must be JSON: "[\\"a\\""', FormatError],
    ['texts that are no list', good, { texts: '7' }, 'set: texts: must be a list: number', FormatError],
    [
      ...(['a number among them', good, { texts: '["a",2,"c"]' }] as const),
      ...(['set: texts: must be texts: number 1 is number', FormatError] as const),
    ],
    [
      ...(['too few texts', good, { texts: '["a"]' }] as const),
      ...(['set: texts: must be as many as the 3 latents: 1', FormatError] as const),
    ],
  ])('%s', async (_, tensors, metadata, message, kind) => {
    const opened = read(tensors, metadata);
    await expect(opened).rejects.toThrow(message);
    await expect(opened).rejects.toBeInstanceOf(kind);
  });

  test('texts may lie beside the file; its own come first', async () => {
    const bare = encodeSafetensors(good);
    const own = encodeSafetensors(good, texts);
    const open = (files: Parameters<typeof dropFolder>[0]): Promise<Dataset> =>
      openLatentsFile(dropFolder(files), 'a/set.safetensors');
    const textsOf = async (set: Promise<Dataset>): Promise<readonly string[]> =>
      (await (await set).get([0, 1, 2])).texts;
    const file = 'a/set.safetensors';
    expect(await textsOf(open({ [file]: bare, 'a/set.json': { json: ['x', 'y', 'z'] } }))).toEqual([
      ...['x', 'y', 'z'],
    ]);
    expect(await textsOf(open({ [file]: bare, 'a/set.json': { json: { texts: ['x', 'y', 'z'] } } }))).toEqual(
      [...['x', 'y', 'z']],
    );
    expect(await textsOf(open({ [file]: own, 'a/set.json': { json: ['x', 'y', 'z'] } }))).toEqual([
      ...['a', 'b', 'ü'],
    ]);
    await expect(open({ [file]: bare, 'a/set.json': { json: { names: [] } } })).rejects.toThrow(
      'a/set.json: texts: must be a list: object',
    );
    await expect(open({ [file]: bare, 'set.json': { json: ['x', 'y', 'z'] } })).rejects.toThrow(
      NotFoundError,
    );
  });
});

const builtIn = fileURLToPath(new URL('../../public/data/emoji-64', import.meta.url));

test('the built-in set can be read, and is small and as noisy as latents should be', async () => {
  const folder = await nodeFolder(builtIn);
  const sizes: number[] = [];
  for (const part of ['train', 'eval']) {
    const set = await openLatentsFile(folder, `${part}.safetensors`);
    expect(set).toMatchObject({ latentShape: [4, 16, 16], captionShape: [16, 96] });
    sizes.push(set.size);
    const all = await set.get(allIds(set));
    const squares = all.latents.reduce((sum, value) => sum + value * value, 0);
    expect(Math.sqrt(squares / all.latents.length)).toBeCloseTo(0.9, 0); // sigma_data of the loss
    expect(new Set(all.texts).size).toBe(set.size);
  }
  expect(sizes).toEqual([415, 47]);
});

test("the list of emoji is the built-in set's, every tenth held out", async () => {
  const texts = async (part: string): Promise<readonly string[]> => {
    const set = await openLatentsFile(await nodeFolder(builtIn), `${part}.safetensors`);
    return (await set.get(allIds(set))).texts;
  };
  const names = namedEmoji.map(({ name }) => name);
  expect(names.filter((_, at) => at % 10 !== 0)).toEqual(await texts('train'));
  expect(names.filter((_, at) => at % 10 === 0)).toEqual(await texts('eval'));
  expect(new Set(namedEmoji.map(({ emoji }) => emoji)).size).toBe(names.length);
  const recommended = new RegExp('^\\p{RGI_Emoji}$', 'v');
  expect(namedEmoji.filter(({ emoji }) => !recommended.test(emoji))).toEqual([]);
  expect(namedEmoji.find(({ name }) => name === 'crying cat')?.emoji).toBe('\u{1f63f}');
});

describeFixtures('the built-in set against its MDS form', () => {
  /** Samples of the shards, in order: [caption, caption_latents, latents_64] as bytes. */
  function samplesOf(part: string): Buffer[][] {
    const path = (name: string): string => fixturePath(`demo/emoji-64-mds/${part}/${name}`);
    const index = JSON.parse(readFileSync(path('index.json'), 'utf8')) as {
      shards: { raw_data: { basename: string }; samples: number }[];
    };
    return index.shards.flatMap(({ raw_data, samples }) => {
      const shard = readFileSync(path(raw_data.basename));
      const table = new Uint32Array(
        shard.buffer.slice(shard.byteOffset + 4, shard.byteOffset + 8 + 4 * samples),
      );
      return Array.from({ length: samples }, (_, i) => {
        const [a, b, c] = [0, 4, 8].map((at) => shard.readUInt32LE(table[i]! + at)) as [
          number,
          number,
          number,
        ];
        const first = table[i]! + 12;
        expect(first + a + b + c).toBe(table[i + 1]);
        return [
          shard.subarray(first, first + a),
          shard.subarray(first + a, first + a + b),
          shard.subarray(first + a + b, table[i + 1]),
        ];
      });
    });
  }

  test.each(['train', 'eval'])('%s: every byte', async (part) => {
    const samples = samplesOf(part);
    const set = await openLatentsFile(await nodeFolder(builtIn), `${part}.safetensors`);
    const all = await set.get(allIds(set));
    expect(all.texts).toEqual(samples.map(([caption]) => caption!.toString('utf8')));
    const bytes = (values: Float32Array): Buffer => Buffer.from(floatsToHalves(values).buffer);
    expect(bytes(all.captions).equals(Buffer.concat(samples.map(([, column]) => column!)))).toBe(true);
    expect(bytes(all.latents).equals(Buffer.concat(samples.map(([, , column]) => column!)))).toBe(true);
  });
});
