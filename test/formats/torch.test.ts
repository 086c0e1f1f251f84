/** The torch reader on files made here: both containers, every way to describe a tensor, and what is read of a file. */
import { describe, expect, it } from 'vitest';
import { findTensor, loadBytes, loadFloats } from '../../src/formats/tensorFile';
import { readTorch } from '../../src/formats/torch/reader';
import { valueAt } from '../../src/formats/torch/values';
import { memorySource } from '../../src/sources/memory';
import type { Sparse } from './torchCases';
import {
  buildZip,
  f32,
  join,
  pk,
  refusal,
  sparseSource,
  storagePickle,
  tensorArgs,
  tensorPickle,
  torchLegacy,
  torchZip,
} from './torchCases';

const open = (file: Sparse, reads: [number, number][] = []) => readTorch(sparseSource('x.pt', file, reads));
const floats = async (file: Awaited<ReturnType<typeof readTorch>>, name: string) => [
  ...(await loadFloats(file.source, findTensor(file, name))),
];
const four = { key: '0', count: 4, shape: [4] } as const;
const fourBytes = { '0': f32(1, 2, 3, 4) };
describe('ZIP form', () => {
  it('reads only the end, the directory and the pickle, also beyond 4 GiB', async () => {
    const GiB = 2 ** 30;
    const count = 300;
    const names = Array.from({ length: count }, (_, i) => `layers.${i}.weight`);
    const tensors = names.map((_, i) =>
      tensorPickle({ key: String(i), count: GiB / 64, shape: [1024, GiB / 65536] }),
    );
    const value = join(
      pk.dict,
      pk.mark,
      ...names.flatMap((name, i) => [pk.text(name), tensors[i] ?? []]),
      [0x75],
    );
    const file = torchZip(
      join(value.subarray(0, -1), pk.text('last'), tensorPickle({ ...four, key: 'z' }), [0x75]),
      { ...Object.fromEntries(names.map((_, i) => [i, GiB / 16])), z: f32(1, 2, 3, 4) },
    );
    expect(file.size).toBeGreaterThan(18 * GiB);
    const reads: [number, number][] = [];
    const read = await open(file, reads);
    expect(read.tensors.size).toBe(count + 1);
    expect(reads.length).toBeLessThanOrEqual(5); // head, end, byteorder, pickle, and the directory if it is long
    expect(reads.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(200_000);
    expect(await floats(read, 'last')).toEqual([1, 2, 3, 4]);
    expect(await loadBytes(read.source, findTensor(read, 'layers.299.weight'))).toHaveLength(GiB / 16);
    expect(Math.max(...reads.map(([, length]) => length))).toBeLessThanOrEqual(16 * 2 ** 20);
  });

  it('inflates packed storages in any order of reading', async () => {
    const numbers = Float32Array.from({ length: 300_000 }, (_, i) => i % 1000);
    const data = new Uint8Array(numbers.buffer);
    const whole = { key: '0', count: 300_000, shape: [300_000] };
    const value = pk.dictOf({
      tail: tensorPickle({ ...whole, shape: [3], offset: 299_997 }),
      head: tensorPickle({ ...whole, shape: [3] }),
      all: tensorPickle(whole),
    });
    const parts = [
      { name: 'm/data.pkl', data: pk.whole(value), deflate: true },
      { name: 'm/version', data: Uint8Array.of(0x33), deflate: true },
    ];
    const read = await open(buildZip([...parts, { name: 'm/data/0', data, deflate: true }]));
    const [tail, head, all] = await Promise.all([
      floats(read, 'tail'),
      floats(read, 'head'),
      loadBytes(read.source, findTensor(read, 'all')),
    ]);
    expect([tail, head]).toEqual([
      [997, 998, 999],
      [0, 1, 2],
    ]);
    expect(Buffer.from(all).equals(data)).toBe(true);

    const says = buildZip([...parts, { name: 'm/data/0', data: f32(1, 2), deflate: true, says: 1_200_000 }]);
    expect(await refusal(open(says))).toMatch(/must hold 1200000 bytes: its \d+ compressed bytes cannot/);
    const short = buildZip([
      ...parts,
      { name: 'm/data/0', data: data.subarray(0, 600_000), deflate: true, says: 1_200_000 },
    ]);
    const opened = await open(short);
    expect(await floats(opened, 'head')).toEqual([0, 1, 2]);
    expect(await refusal(floats(opened, 'all'))).toMatch(/must hold 1200000 bytes: it holds 600000/);
    const damaged = buildZip([...parts, { name: 'm/data/0', data: new Uint8Array(1_200_000).fill(0xa5) }]);
    const lying = damaged.pieces.map(
      ([at, bytes]) => [at, bytes[0] === 0x50 && bytes[3] === 2 ? asDeflated(bytes) : bytes] as const,
    );
    expect(await refusal(floats(await open({ ...damaged, pieces: lying }), 'head'))).toMatch(
      /must be soundly deflated/,
    );
  });

  function asDeflated(entry: Uint8Array): Uint8Array {
    const out = entry.slice();
    if (String.fromCharCode(...entry).endsWith('/data/0')) out[10] = 8;
    return out;
  }

  it('checks local headers: at once where they are at hand, else when read', async () => {
    const members = (size: number) => [
      { name: 'm/data.pkl', data: pk.whole(pk.dictOf({ w: tensorPickle(four) })) },
      { name: 'm/version', data: Uint8Array.of(0x33) },
      { name: 'm/data/0', data: f32(1, 2, 3, 4), localName: 'm/data/9' },
      { name: 'm/other', data: size },
    ];
    expect(await refusal(open(buildZip(members(0))))).toMatch(/must have a local header of its name/);
    const far = await open(buildZip(members(100_000)));
    expect(await refusal(floats(far, 'w'))).toMatch(/must have a local header of its name/);
  });

  it('finds damage in the pickle by its checksum, unless there is none', async () => {
    const value = pk.whole(pk.dictOf({ w: tensorPickle(four) }));
    const members = (crc: number) => [
      { name: 'm/data.pkl', data: value, crc },
      { name: 'm/version', data: Uint8Array.of(0x33) },
      { name: 'm/data/0', data: f32(1, 2, 3, 4) },
    ];
    expect(await refusal(open(buildZip(members(7))))).toMatch(/must have checksum 7: it has/);
    expect(await floats(await open(buildZip(members(0))), 'w')).toEqual([1, 2, 3, 4]);
  });

  it.each([
    ['m/data.pkl twice', [{ name: 'm/data.pkl', data: 0 }], /must come once: it comes twice/],
    ['TorchScript', [{ name: 'm/constants.pkl', data: 0 }], /it is a TorchScript program/],
  ])('refuses %s', async (_, more, pattern) => {
    expect(await refusal(open(torchZip(pk.dict, {}, more)))).toMatch(pattern);
  });

  it('says what other archives hold', async () => {
    expect(await refusal(open(buildZip([{ name: 'a.npy', data: 1 }])))).toMatch(/NumPy arrays/);
    expect(await refusal(open(buildZip([{ name: 'm/x', data: 1 }])))).toMatch(/it has "m\/x"/);
    const noVersion = buildZip([{ name: 'm/data.pkl', data: pk.whole(pk.dict) }]);
    expect(await refusal(open(noVersion))).toMatch(/must have "m\/version": it has not/);
  });

  it('stops when asked to', async () => {
    const source = sparseSource('x.pt', torchZip(pk.dictOf({ w: tensorPickle(four) }), fourBytes));
    await expect(readTorch(source, AbortSignal.abort())).rejects.toThrow(/abort/i);
    const file = await readTorch(source);
    const entry = findTensor(file, 'w');
    await expect(loadBytes(file.source, entry, AbortSignal.abort())).rejects.toThrow(/abort/i);
    expect(await floats(file, 'w')).toEqual([1, 2, 3, 4]);
  });

  it('gives nothing across storages', async () => {
    const value = pk.dictOf({ a: tensorPickle(four), b: tensorPickle({ ...four, key: '1' }) });
    const file = await open(torchZip(value, { ...fourBytes, '1': f32(5, 6, 7, 8) }));
    await expect(file.source.read(0, 80)).rejects.toThrow(/must lie inside one storage/);
    expect(findTensor(file, 'b').offset).toBe(64);
  });
});

describe('legacy form', () => {
  it('reads views of storages, and pickles of any length', async () => {
    const view = pk.tuple(pk.text('7-view'), pk.int(2), pk.int(4));
    const value = pk.dictOf({
      note: pk.text('x'.repeat(700_000)),
      whole: tensorPickle({ key: '7', count: 8, shape: [8] }),
      part: tensorPickle({ key: '7', count: 8, shape: [2, 2], strides: [1, 2], view }),
    });
    const bytes = torchLegacy(value, [['7', 8, f32(0, 1, 2, 3, 4, 5, 6, 7)]]);
    const file = await readTorch(memorySource('old.pt', bytes));
    expect(file.container).toBe('legacy');
    expect(await floats(file, 'whole')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await floats(file, 'part')).toEqual([2, 4, 3, 5]);
  });

  it.each([
    ['a storage that is cut', [['0', 4, f32(1, 2, 3)]], /must lie inside the file/],
    ['another count', [['0', 3, f32(1, 2, 3, 4)]], /must have 4 elements: it has 3/],
    ['an absent storage', [], /storage 0 must be in the file/],
    ['an unknown storage', [['9', 1, f32(1)]], /storages must be those of the object/],
  ] as const)('refuses %s', async (_, storages, pattern) => {
    const bytes = torchLegacy(pk.dictOf({ w: tensorPickle(four) }), storages);
    expect(await refusal(readTorch(memorySource('old.pt', bytes)))).toMatch(pattern);
  });

  it('refuses plain pickles', async () => {
    const bytes = pk.whole(pk.dictOf({ a: pk.int(1) }));
    expect(await refusal(readTorch(memorySource('a.pkl', bytes)))).toMatch(
      /must begin with torch.save's mark: .* a dict/,
    );
  });
});

describe('tensors', () => {
  it('knows the older ways to describe them', async () => {
    const plain = tensorArgs(four).slice(0, 4);
    const parameter = pk.global('torch.nn.parameter', 'Parameter');
    const value = pk.dictOf({
      v1: pk.call('torch._utils', '_rebuild_tensor', ...plain),
      cuda: tensorPickle({ ...four, storage: ['torch.cuda', 'FloatStorage'] }),
      built: join(parameter, [0x29, 0x81], pk.tuple(tensorPickle(four), [0x88]), [0x62]),
      called: join(parameter, pk.tuple(tensorPickle(four), [0x88]), pk.reduce),
    });
    const file = await open(torchZip(value, fourBytes));
    for (const name of ['v1', 'cuda', 'built', 'called'])
      expect(await floats(file, name)).toEqual([1, 2, 3, 4]);
    expect(valueAt(file.root, 'called')).toMatchObject({ isParameter: true, requiresGrad: true });
  });

  it('tells apart what it does not read', async () => {
    const wide = tensorPickle({ key: '1', count: 2, shape: [2], storage: ['torch', 'ComplexDoubleStorage'] });
    const conj = pk.call(
      'torch._utils',
      '_rebuild_tensor_v2',
      ...tensorArgs(four),
      pk.dictOf({ conj: [0x88] }),
    );
    const sparse = pk.call('torch._utils', '_rebuild_sparse_tensor', pk.none);
    const more = { wide, conj, sparse };
    const storages = { ...fourBytes, '1': new Uint8Array(32) };
    const file = await open(torchZip(pk.dictOf({ w: tensorPickle(four), ...more }), storages));
    expect([...file.tensors.keys()]).toEqual(['w']);
    expect(Object.fromEntries(file.unread)).toEqual({
      wide: 'elements of ComplexDoubleStorage are not read',
      conj: 'a conjugated or negated view is not read',
      sparse: 'torch._utils._rebuild_sparse_tensor is not read',
    });
    expect(await refusal(open(torchZip(pk.dictOf(more), storages)))).toMatch(
      /"wide": elements of ComplexDouble/,
    );
    expect(await refusal(open(torchZip(wide, storages)))).toMatch(/must be a tensor in a form that is read/);
  });

  it('does not look into objects, and says so when nothing is left', async () => {
    const module = join(
      pk.global('yolo.model', 'Net'),
      [0x29, 0x81],
      pk.dictOf({ w: tensorPickle(four) }),
      [0x62],
    );
    expect(await refusal(open(torchZip(module, fourBytes)))).toMatch(/a whole object of yolo\.model\.Net/);
    expect(await refusal(open(torchZip(pk.dictOf({ model: module }), fourBytes)))).toMatch(
      /its 1 tensors lie inside objects of yolo\.model\.Net/,
    );
    const file = await open(torchZip(pk.dictOf({ model: module, w: tensorPickle(four) }), fourBytes));
    expect([...file.tensors.keys()]).toEqual(['w']);
    expect(file.globals).toContain('yolo.model.Net');
    expect(await refusal(open(torchZip(storagePickle(four), fourBytes)))).toMatch(
      /it is a bare FloatStorage/,
    );
  });

  it('refuses two tensors of one path, takes a key given twice', async () => {
    const value = pk.dictOf({ 'a.b': tensorPickle(four), a: pk.dictOf({ b: tensorPickle(four) }) });
    expect(await refusal(open(torchZip(value, fourBytes)))).toMatch(/different paths: "a\.b" comes twice/);
    const twice = join(pk.dict, pk.mark, pk.text('w'), pk.none, pk.text('w'), tensorPickle(four), [0x75]);
    expect((await open(torchZip(twice, fourBytes))).tensors.size).toBe(1);
  });

  it.each([
    ['a rank of 65', { shape: new Array<number>(65).fill(1) }, /a tuple of at most 64 numbers/],
    [
      'a shape beyond 2^53',
      { shape: [2 ** 40, 2 ** 40], strides: [0, 0] },
      /element count.* must be below 2\^53/,
    ],
    ['a stride beyond 2^53', { shape: [3, 3], strides: [2 ** 52, 1] }, /span.* must be below 2\^53/],
    ['an offset outside', { shape: [0], offset: 5 }, /must lie inside its 4 elements/],
    ['an expanded terabyte', { shape: [2 ** 40], strides: [0] }, /expanded tensors must have at most/],
    ['a size that is not whole', { count: 2 ** 60 }, /must be a whole number below 2\^53/],
  ])('refuses %s', async (_, fault, pattern) => {
    expect(
      await refusal(open(torchZip(pk.dictOf({ w: tensorPickle({ ...four, ...fault }) }), fourBytes))),
    ).toMatch(pattern);
  });

  it('refuses a strided gigabyte in a file that has it', async () => {
    const count = 2 ** 30;
    const value = pk.dictOf({ w: tensorPickle({ key: '0', count, shape: [2], strides: [count - 1] }) });
    expect(await refusal(open(torchZip(value, { '0': 4 * count })))).toMatch(
      /a strided tensor must span at most 1\.07 GB/,
    );
  });
});
