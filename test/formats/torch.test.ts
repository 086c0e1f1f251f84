/** The torch reader on files made here: every form, every bound, and what is read of a file. */
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { openTensorFile, tensorFormat } from '../../src/formats/openTensorFile';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { findTensor, loadBytes, loadFloats } from '../../src/formats/tensorFile';
import { isRefused } from '../../src/formats/torch/globals';
import { readTorch } from '../../src/formats/torch/reader';
import type { PyObject, PySet, PyTuple } from '../../src/formats/torch/values';
import { PyDict, valueAt } from '../../src/formats/torch/values';
import { memorySource } from '../../src/sources/memory';
import type { Sparse } from './torchCases';
import {
  buildZip,
  f32,
  join,
  le,
  pk,
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
const message = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(FormatError);
  return (error as FormatError).message;
};

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
    expect(await message(open(says))).toMatch(/must hold 1200000 bytes: its \d+ compressed bytes cannot/);
    const short = buildZip([
      ...parts,
      { name: 'm/data/0', data: data.subarray(0, 600_000), deflate: true, says: 1_200_000 },
    ]);
    const opened = await open(short);
    expect(await floats(opened, 'head')).toEqual([0, 1, 2]);
    expect(await message(floats(opened, 'all'))).toMatch(/must hold 1200000 bytes: it holds 600000/);
    const damaged = buildZip([...parts, { name: 'm/data/0', data: new Uint8Array(1_200_000).fill(0xa5) }]);
    const lying = damaged.pieces.map(
      ([at, bytes]) => [at, bytes[0] === 0x50 && bytes[3] === 2 ? asDeflated(bytes) : bytes] as const,
    );
    expect(await message(floats(await open({ ...damaged, pieces: lying }), 'head'))).toMatch(
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
    expect(await message(open(buildZip(members(0))))).toMatch(/must have a local header of its name/);
    const far = await open(buildZip(members(100_000)));
    expect(await message(floats(far, 'w'))).toMatch(/must have a local header of its name/);
  });

  it('finds damage in the pickle by its checksum, unless there is none', async () => {
    const value = pk.whole(pk.dictOf({ w: tensorPickle(four) }));
    const members = (crc: number) => [
      { name: 'm/data.pkl', data: value, crc },
      { name: 'm/version', data: Uint8Array.of(0x33) },
      { name: 'm/data/0', data: f32(1, 2, 3, 4) },
    ];
    expect(await message(open(buildZip(members(7))))).toMatch(/must have checksum 7: it has/);
    expect(await floats(await open(buildZip(members(0))), 'w')).toEqual([1, 2, 3, 4]);
  });

  it.each([
    ['m/data.pkl twice', [{ name: 'm/data.pkl', data: 0 }], /must come once: it comes twice/],
    ['TorchScript', [{ name: 'm/constants.pkl', data: 0 }], /it is a TorchScript program/],
  ])('refuses %s', async (_, more, pattern) => {
    expect(await message(open(torchZip(pk.dict, {}, more)))).toMatch(pattern);
  });

  it('says what other archives hold', async () => {
    expect(await message(open(buildZip([{ name: 'a.npy', data: 1 }])))).toMatch(/NumPy arrays/);
    expect(await message(open(buildZip([{ name: 'm/x', data: 1 }])))).toMatch(/it has "m\/x"/);
    const noVersion = buildZip([{ name: 'm/data.pkl', data: pk.whole(pk.dict) }]);
    expect(await message(open(noVersion))).toMatch(/must have "m\/version": it has not/);
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
    expect(await message(readTorch(memorySource('old.pt', bytes)))).toMatch(pattern);
  });

  it('refuses plain pickles', async () => {
    const bytes = pk.whole(pk.dictOf({ a: pk.int(1) }));
    expect(await message(readTorch(memorySource('a.pkl', bytes)))).toMatch(
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
    expect(await message(open(torchZip(pk.dictOf(more), storages)))).toMatch(
      /"wide": elements of ComplexDouble/,
    );
    expect(await message(open(torchZip(wide, storages)))).toMatch(/must be a tensor in a form that is read/);
  });

  it('does not look into objects, and says so when nothing is left', async () => {
    const module = join(
      pk.global('yolo.model', 'Net'),
      [0x29, 0x81],
      pk.dictOf({ w: tensorPickle(four) }),
      [0x62],
    );
    expect(await message(open(torchZip(module, fourBytes)))).toMatch(/a whole object of yolo\.model\.Net/);
    expect(await message(open(torchZip(pk.dictOf({ model: module }), fourBytes)))).toMatch(
      /its 1 tensors lie inside objects of yolo\.model\.Net/,
    );
    const file = await open(torchZip(pk.dictOf({ model: module, w: tensorPickle(four) }), fourBytes));
    expect([...file.tensors.keys()]).toEqual(['w']);
    expect(file.globals).toContain('yolo.model.Net');
    expect(await message(open(torchZip(storagePickle(four), fourBytes)))).toMatch(
      /it is a bare FloatStorage/,
    );
  });

  it('refuses two tensors of one path, takes a key given twice', async () => {
    const value = pk.dictOf({ 'a.b': tensorPickle(four), a: pk.dictOf({ b: tensorPickle(four) }) });
    expect(await message(open(torchZip(value, fourBytes)))).toMatch(/different paths: "a\.b" comes twice/);
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
      await message(open(torchZip(pk.dictOf({ w: tensorPickle({ ...four, ...fault }) }), fourBytes))),
    ).toMatch(pattern);
  });

  it('refuses a strided gigabyte in a file that has it', async () => {
    const count = 2 ** 30;
    const value = pk.dictOf({ w: tensorPickle({ key: '0', count, shape: [2], strides: [count - 1] }) });
    expect(await message(open(torchZip(value, { '0': 4 * count })))).toMatch(
      /a strided tensor must span at most 1\.07 GB/,
    );
  });
});

describe('pickles', () => {
  it('reads what protocols 2 to 5 write', async () => {
    const value = pk.listOf(
      join([0x8b], le(2, 4), [0x00, 0x80]), // LONG4
      join([0x49], new TextEncoder().encode('4294967296\n')), // INT of Python 2
      join([0x55, 2, 0xff, 0x41]), // SHORT_BINSTRING, not UTF-8
      join([0x8e], le(2, 8), [1, 2]), // BINBYTES8
      join([0x96], le(1, 8), [9]), // BYTEARRAY8
      join([0x8d], le(2, 8), [0x68, 0x69]), // BINUNICODE8
      join([0x8f, 0x28, 0x4b, 1, 0x4b, 2, 0x90]), // EMPTY_SET, ADDITEMS
      join([0x28, 0x4b, 3, 0x91]), // FROZENSET
      join([0x4b, 5, 0x32, 0x30]), // DUP, POP
      join([0x28, 0x4b, 1, 0x4b, 2, 0x31], pk.none), // POP_MARK
      join(pk.text('lab'), pk.text('Thing'), [0x93], [0x29], pk.dictOf({ a: pk.int(1) }), [0x92]), // STACK_GLOBAL, NEWOBJ_EX
      join([0x47, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), // BINFLOAT
      pk.call('collections', 'OrderedDict', pk.listOf(pk.listOf(pk.text('k'), pk.int(7)))),
      join(
        pk.call('collections', 'defaultdict', pk.global('__builtin__', 'list')),
        pk.text('k'),
        pk.int(8),
        [0x73],
      ),
      tensorPickle(four),
    );
    const file = await open(torchZip(value, fourBytes));
    const items = file.root as unknown[];
    expect(items.slice(0, 6)).toEqual([
      -32768,
      4294967296,
      Uint8Array.of(255, 65),
      Uint8Array.of(1, 2),
      Uint8Array.of(9),
      'hi',
    ]);
    expect((items[6] as PySet).items).toEqual([1, 2]);
    expect((items[7] as PySet).items).toEqual([3]);
    expect(items.slice(8, 10)).toEqual([5, null]);
    expect((items[10] as PyObject).type).toBe('lab.Thing');
    expect((items[10] as PyObject).args[0]).toBeInstanceOf(PyDict);
    expect(items[11]).toBe(1.5);
    expect((items[12] as PyDict).get('k')).toBe(7);
    expect([(items[13] as PyDict).type, (items[13] as PyDict).get('k')]).toEqual(['defaultdict', 8]);
    expect([...file.tensors.keys()]).toEqual(['14']);
  });

  it.each([
    ['a value that holds itself', join(pk.list, pk.put(0), pk.get(0), [0x61]), /nest at most 100 deep/],
    ['lists of lists of lists', laughs(30), /at most 2000000 values/],
    ['five million instructions', new Uint8Array(5_100_000).fill(0x4e), /at most 5000000 instructions/],
    ['half a million objects', new Uint8Array(500_100).fill(0x5d), /at most 500000 objects/],
    ['a thousand marks', new Uint8Array(1001).fill(0x28), /at most 1000 deep/],
    ['copies of copies', copies(), /must not copy the same values over and over/],
    ['a rebuild in a rebuild', rebuilds(), /must not be called through itself/],
    ['protocol 6', [0x80, 6], /protocol must be at most 5: 6/],
    ['a long integer', join([0x8b], le(2000, 4), new Uint8Array(2000)), /at most 1024 bytes: it has 2000/],
    ['a line without end', join([0x63], new Uint8Array(5000).fill(0x61)), /shorter than 4096 bytes/],
    ['keys without values', join(pk.dict, pk.mark, pk.none, [0x75]), /keys must have values/],
    ['items for a number', join(pk.int(1), pk.none, [0x61]), /appended to a list: it is 1/],
    ['a call of text', join(pk.text('f'), pk.tuple(), pk.reduce), /must be a function: text/],
    [
      'arguments that are none',
      join(pk.global('lab', 'f'), pk.none, pk.reduce),
      /arguments must be a tuple: None/,
    ],
    ['a pop through a mark', join(pk.none, pk.mark, [0x85]), /must have 1 values: it has 0/],
    ['an out-of-band buffer', [0x97], /byte 2 is 0x97/],
    ['bytes after its end', join(pk.none, pk.stop, pk.none), /must end with its value: 2 bytes follow/],
  ])('refuses %s', async (_, value, pattern) => {
    const started = performance.now();
    expect(await message(open(torchZip(value)))).toMatch(pattern);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  /** Ten times the list before, again and again. */
  function laughs(depth: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < depth; i++) {
      const inner = i === 0 ? [0x4e] : pk.get(i - 1);
      parts.push(
        join(pk.list, pk.put(i), pk.mark, ...new Array<Uint8Array | number[]>(10).fill(inner), [0x65]),
      );
    }
    return join(...parts);
  }

  function copies(): Uint8Array {
    const items = Array.from({ length: 10_000 }, (_, i) => pk.tuple(pk.int(i), pk.none));
    const copy = join(pk.global('collections', 'OrderedDict'), pk.get(0), [0x85, 0x52]);
    return join(pk.listOf(...items), pk.put(0), ...new Array<Uint8Array>(1000).fill(copy));
  }

  function rebuilds(): Uint8Array {
    const again = pk.global('torch._tensor', '_rebuild_from_type_v2');
    return join(
      again,
      pk.tuple(again, pk.none, pk.tuple(again, pk.none, pk.tuple(), pk.none), pk.none),
      pk.reduce,
    );
  }

  it('names what a hostile file calls for', async () => {
    const value = pk.dictOf({ w: tensorPickle(four), x: pk.call('posix', 'system', pk.text('exit 3')) });
    expect(await message(open(torchZip(value, fourBytes)))).toBe(
      'x.pt: torch: must hold data only: it names posix.system, which can run programs (a hostile file)',
    );
  });

  it.each([
    ['os', 'system'],
    ['sys', 'exit'],
    ['subprocess', 'Popen'],
    ['builtins', 'getattr'],
    ['builtins', '__import__'],
    ['runpy', '_run_code'],
    ['operator', 'attrgetter'],
    ['torch', 'load'],
    ['torch.hub', 'load'],
    ['torch.serialization', 'os.system'],
    ['numpy.testing._private.utils', 'runstring'],
    ['lab', 'os'],
    ['lab', 'thing.__globals__'],
    ['types', 'CodeType'],
  ])('refuses %s.%s', (module, name) => expect(isRefused(module, name)).toBe(true));

  it.each([
    ['builtins', 'set'],
    ['builtins', 'ValueError'],
    ['pathlib', 'PosixPath'],
    ['argparse', 'Namespace'],
    ['datetime', 'timedelta'],
    ['functools', 'partial'],
    ['numpy', 'dtype'],
    ['numpy._core.multiarray', '_reconstruct'],
    ['torch.torch_version', 'TorchVersion'],
    ['torch._utils', '_rebuild_tensor_v2'],
    ['torch.nn.modules.linear', 'Linear'],
    ['omegaconf.dictconfig', 'DictConfig'],
    ['copyreg', '_reconstructor'],
    ['lab.train', 'test'],
  ])('takes %s.%s as a name', (module, name) => expect(isRefused(module, name)).toBe(false));
});

describe('openTensorFile', () => {
  const openBytes = (...parts: (Uint8Array | number[])[]) =>
    openTensorFile(memorySource('file', join(...parts)));
  const ascii = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

  it('tells the formats apart by content', async () => {
    const zip = sparseSource(
      'weights.safetensors',
      torchZip(pk.dictOf({ w: tensorPickle(four) }), fourBytes),
    );
    expect([...(await openTensorFile(zip)).tensors.keys()]).toEqual(['w']);
    // Headers whose length spells "PK" or the start of a pickle.
    for (const headerBytes of [0x4b50, 0x0280, 0x0580]) {
      const bytes = encodeSafetensors([floatTensor('w', [2], Float32Array.of(1, 2))]);
      const length = new DataView(bytes.buffer).getUint32(0, true);
      const padding = new Uint8Array(headerBytes - length).fill(0x20);
      const padded = join(
        le(headerBytes, 8),
        bytes.subarray(8, 8 + length),
        padding,
        bytes.subarray(8 + length),
      );
      expect(await tensorFormat(memorySource('model.pt', padded))).toBe('safetensors');
      expect((await openBytes(padded)).tensors.size).toBe(1);
      expect(await message(readTorch(memorySource('model.pt', padded)))).toMatch(/it is a safetensors file$/);
    }
  });

  it.each([
    ['', /it is empty$/],
    ['<!DOCTYPE html><html>', /it is a web page$/],
    ['\n<html>', /it is a web page$/],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /it is a Git LFS pointer, not the file/],
    ['{"config": {"dim": 3}}', /it is JSON$/],
    ['\x89PNG\r\n\x1a\n', /it is a PNG picture$/],
    ['\xff\xd8\xff\xe0', /it is a JPEG picture$/],
    ['RIFF\x00\x00\x00\x00WEBPVP8 ', /it is a WebP picture$/],
    ['GGUF\x03\x00\x00\x00', /it is a GGUF file/],
    ['\x89HDF\r\n\x1a\n', /it is an HDF5 file/],
    ['\x93NUMPY\x01\x00v\x00{', /it is a NumPy array$/],
    ['\x1f\x8b\x08\x00', /it is gzip-compressed$/],
    [`${'x\0'.repeat(128)}\0ustar`, /it is a tar archive$/],
    ['dim: 3\ndepth: 4\n', /it is text beginning "dim: 3\\ndepth: 4/],
    ['\xca\xfe\xba\xbe\x00\x00\x00\xff\x01', /its first bytes are ca fe ba be 00 00 00 ff$/],
  ])('says what %j is', async (text, pattern) => {
    expect(await message(openBytes(ascii(text)))).toMatch(pattern);
  });

  it('leaves damaged files to their readers', async () => {
    expect(await message(openBytes(le(20, 8), ascii('not json at all !!!!')))).toMatch(
      /safetensors: the header must be JSON/,
    );
    expect(await message(openBytes(ascii('PK\x03\x04')))).toMatch(/must end with its directory/);
  });
});

it('reads values by their keys', async () => {
  const value = pk.dictOf({
    groups: pk.listOf(pk.dictOf({ betas: pk.tuple(pk.int(9), pk.int(99)) })),
    w: tensorPickle(four),
  });
  const { root } = await open(torchZip(value, fourBytes));
  expect(valueAt(root, 'groups', 0, 'betas', 1)).toBe(99);
  expect((valueAt(root, 'groups', 0, 'betas') as PyTuple).items).toEqual([9, 99]);
  expect(valueAt(root, 'groups', 'x')).toBeUndefined();
  expect(valueAt(root, 'groups', 5, 'y')).toBeUndefined();
});
