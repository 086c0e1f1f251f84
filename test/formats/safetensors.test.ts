import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FormatError, InputError, NotFoundError } from '../../src/core/errors';
import { decodeInts, decodeNumbers } from '../../src/formats/elements';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import type { TensorData } from '../../src/formats/safetensors/writer';
import {
  encodeSafetensors,
  floatTensor,
  planSafetensors,
  writeSafetensors,
} from '../../src/formats/safetensors/writer';
import {
  findTensor,
  loadBytes,
  loadFloats,
  loadInts,
  streamFloats,
  streamTensor,
} from '../../src/formats/tensorFile';
import { memorySink } from '../../src/sources/byteSink';
import type { ByteSource } from '../../src/sources/byteSource';
import { memorySource } from '../../src/sources/memory';

/** A file from header text and data, with any length field. */
function fileOf(header: string, data: Uint8Array = new Uint8Array(0), headerBytes?: bigint): ByteSource {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return memorySource('x.safetensors', bytes);
}

const a = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';

describe('safetensors reader', () => {
  it('gives entries in the order of their data, with absolute places', async () => {
    const header = `{"10":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},"__metadata__":{"k":"v","é":"\\n"},${a}}  `;
    const file = await readSafetensors(fileOf(header, new Uint8Array(11)));
    const start = 8 + new TextEncoder().encode(header).length;
    expect([...file.tensors.values()]).toEqual([
      { name: 'a', dtype: 'F32', shape: [2], offset: start, bytes: 8 },
      { name: '10', dtype: 'U8', shape: [3], offset: start + 8, bytes: 3 },
    ]);
    expect([...file.metadata]).toEqual([
      ['k', 'v'],
      ['é', '\n'],
    ]);
    expect(file.dataOffset).toBe(start);
  });

  it('reads names that plain objects treat specially', async () => {
    const entry = (at: number) => `{"dtype":"U8","shape":[],"data_offsets":[${at},${at + 1}]}`;
    const names = ['__proto__', 'constructor', 'toString', '', '日本', '\u0000'];
    const header = names.map((name, i) => `${JSON.stringify(name)}:${entry(i)}`).join(',');
    const file = await readSafetensors(fileOf(`{${header}}`, new Uint8Array(6)));
    expect([...file.tensors.keys()]).toEqual(names);
  });

  it('asks a source for the header only, however long the data', async () => {
    const text = '{"w":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}';
    const small = fileOf(text);
    const reads: number[] = [];
    const source: ByteSource = {
      name: 'big',
      size: 8 + text.length + 4e9,
      read: (offset, length) => {
        reads.push(offset + length);
        return small.read(offset, Math.min(length, small.size - offset));
      },
    };
    const file = await readSafetensors(source);
    expect(file.tensors.get('w')?.bytes).toBe(4e9);
    expect(Math.max(...reads)).toBeLessThanOrEqual(256);
  });

  const refused: [string, ByteSource, RegExp][] = [
    ['empty file', memorySource('e', new Uint8Array(0)), /at least 8 bytes: 0/],
    [
      'header above 100 MB',
      fileOf(`{${a}}`, new Uint8Array(8), 100_000_001n),
      /at most 100000000 bytes: .* 100000001/,
    ],
    [
      'header past the end',
      fileOf(`{${a}}`, new Uint8Array(8), 5000n),
      /must end inside the file of 70 bytes: it has 5000/,
    ],
    ['zero header', fileOf('', new Uint8Array(8)), /must be JSON/],
    [
      'LFS pointer',
      memorySource('p', new TextEncoder().encode('version https://git-lfs.github.com/spec/v1')),
      /Git LFS/,
    ],
    ['web page', memorySource('p', new TextEncoder().encode('<!DOCTYPE html><html>')), /web page/],
    ['ZIP', memorySource('p', Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 1, 0)), /ZIP archive/],
    ['list', fileOf('[1]'), /must be a JSON object: it is a list/],
    ['not JSON', fileOf('{"a": }'), /must be JSON/],
    ['byte-order mark', fileOf('\ufeff{}'), /must be JSON/],
    [
      'hole',
      fileOf(`{${a},"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`, new Uint8Array(10)),
      /"b" must begin where .* at data byte 8: it begins at 9/,
    ],
    [
      'overlap',
      fileOf(`{${a},"b":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}}`, new Uint8Array(8)),
      /at data byte 8: it begins at 7/,
    ],
    ['tail', fileOf(`{${a}}`, new Uint8Array(9)), /must end with the file, at byte 71: they end at 70/],
    ['cut short', fileOf(`{${a}}`, new Uint8Array(7)), /cut short/],
    [
      'unknown dtype',
      fileOf('{"a":{"dtype":"F33","shape":[],"data_offsets":[0,4]}}', new Uint8Array(4)),
      /"a": dtype .*"F33"/,
    ],
    [
      'no shape',
      fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', new Uint8Array(4)),
      /shape must be a list of whole numbers: it is missing/,
    ],
    [
      'fraction',
      fileOf('{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}'),
      /whole numbers: \[1.5\]/,
    ],
    [
      'size',
      fileOf('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', new Uint8Array(8)),
      /F32 of shape \[3\] must take 12 bytes: data_offsets are 0 to 8/,
    ],
    [
      'overflow',
      fileOf('{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}'),
      /below 2\^53 bytes/,
    ],
    ['metadata', fileOf('{"__metadata__":{"k":1}}'), /"k" is a number/],
    ['entry is a number', fileOf('{"a":1}'), /must be an object: it is a number/],
    ['depth', fileOf(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), /dtype must be/],
  ];
  it.each(refused)('refuses: %s', async (_, source, message) => {
    const thrown: unknown = await readSafetensors(source).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(FormatError);
    expect((thrown as FormatError).message).toMatch(message);
    expect((thrown as FormatError).message.length).toBeLessThan(400);
  });
});

const mixed: TensorData[] = [
  floatTensor('z', [2], Float32Array.of(1, -2)),
  floatTensor('half', [3], Float32Array.of(0.1, 1e9, -0), 'F16'),
  floatTensor('brain', [1], Float32Array.of(3.14159), 'BF16'),
  { name: 'wide', dtype: 'I64', shape: [2], data: BigInt64Array.of(-5n, 2n ** 31n - 1n) },
  { name: 'b', dtype: 'I32', shape: [1, 2], data: Int32Array.of(7, -8) },
  { name: 'flag', dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
  { name: 'é', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
  { name: '\uffee', dtype: 'F32', shape: [], data: Float32Array.of(5) },
  { name: '\u{1F600}', dtype: 'F32', shape: [1], data: Float32Array.of(6) },
];

describe('safetensors writer', () => {
  it('writes the bytes that the library writes', () => {
    const bytes = encodeSafetensors(mixed, { note: 'é "quoted" \\ \u001f\n' });
    // From safetensors 0.8.0, serialize() of the same tensors and metadata.
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      'aefd6c4f90e12019a4a4a47ce7c515300f552bb9109dd06324fc6e3e9eff7f1e',
    );
  });

  it('reads back what it wrote', async () => {
    const source = memorySource('m', encodeSafetensors(mixed, { format: 'pt' }));
    const file = await readSafetensors(source);
    expect(file.metadata.get('format')).toBe('pt');
    expect(file.dataOffset % 8).toBe(0);
    for (const { name, dtype, shape, data } of mixed) {
      const entry = findTensor(file, name, shape);
      expect(entry.dtype).toBe(dtype);
      expect(await loadBytes(source, entry)).toEqual(
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      );
    }
    expect([...(await loadFloats(source, findTensor(file, 'half')))]).toEqual([
      0.0999755859375,
      Infinity,
      -0,
    ]);
    expect([...(await loadFloats(source, findTensor(file, 'brain')))]).toEqual([3.140625]);
    expect([...(await loadInts(source, findTensor(file, 'wide')))]).toEqual([-5, 2147483647]);
    expect([...(await loadInts(source, findTensor(file, 'flag')))]).toEqual([1, 0]);
  });

  it('writes the same through a sink, from pieces', async () => {
    const whole = encodeSafetensors(mixed, { a: 'b' });
    const sink = memorySink('s');
    const byName = new Map(mixed.map((tensor) => [tensor.name, tensor.data]));
    await writeSafetensors(
      sink,
      mixed,
      function* (entry) {
        const data = byName.get(entry.name) as ArrayBufferView;
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        for (let at = 0; at < bytes.length; at += 3) yield bytes.subarray(at, at + 3);
      },
      new Map([['a', 'b']]),
    );
    expect(sink.bytes()).toEqual(whole);
    expect(planSafetensors(mixed, { a: 'b' }).size).toBe(whole.length);
  });

  it('makes an empty file', async () => {
    const file = await readSafetensors(memorySource('m', encodeSafetensors([])));
    expect(file.tensors.size).toBe(0);
  });

  it('refuses what cannot be written', async () => {
    const one = floatTensor('a', [2], Float32Array.of(1, 2));
    expect(() => encodeSafetensors([one, one])).toThrow(InputError);
    expect(() => encodeSafetensors([{ ...one, shape: [3] }])).toThrow(
      'F32 of shape [3], must have 12 bytes of data: 8',
    );
    expect(() => encodeSafetensors([{ ...one, name: '__metadata__' }])).toThrow(InputError);
    expect(() => planSafetensors([{ ...one, shape: [-1] }])).toThrow('whole extents: [-1]');
    const endless = function* () {
      while (true) yield new Uint8Array(5);
    };
    await expect(writeSafetensors(memorySink('s'), [one], endless)).rejects.toThrow(
      'must have 8 bytes of data: 10',
    );
  });
});

describe('tensor data', () => {
  const values = Float32Array.from({ length: 24 }, (_, i) => i);
  const source = memorySource('m', new Uint8Array(values.buffer));
  const base = { name: 't', dtype: 'F32', offset: 0 } as const;

  it('gathers strided tensors in any chunk size', async () => {
    const transposed = { ...base, shape: [4, 3, 2], bytes: 96, strides: [1, 4, 12] };
    const expected: number[] = [];
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 3; j++) for (let k = 0; k < 2; k++) expected.push(i + 4 * j + 12 * k);
    expect([...(await loadFloats(source, transposed))]).toEqual(expected);
    const pieces: number[] = [];
    await streamFloats(
      source,
      transposed,
      (floats, at) => {
        expect(at).toBe(pieces.length);
        expect(floats.length).toBeLessThanOrEqual(4);
        pieces.push(...floats);
      },
      { chunkBytes: 16 },
    );
    expect(pieces).toEqual(expected);
  });

  it('repeats expanded tensors and reads slices', async () => {
    const expanded = { ...base, offset: 4, shape: [3, 2], bytes: 24, strides: [0, 5] };
    expect([...(await loadFloats(source, expanded))]).toEqual([1, 6, 1, 6, 1, 6]);
    const row = { ...base, shape: [1, 4], bytes: 16, strides: [99, 1] };
    expect([...(await loadFloats(source, row))]).toEqual([0, 1, 2, 3]);
  });

  it('turns big-endian numbers around', async () => {
    const big = new Uint8Array(8);
    new DataView(big.buffer).setFloat32(0, 1.5);
    new DataView(big.buffer).setFloat32(4, -2);
    const entry = { ...base, shape: [2], bytes: 8, bigEndian: true };
    expect([...(await loadFloats(memorySource('m', big), entry))]).toEqual([1.5, -2]);
  });

  it('checks an entry against the file before it allocates', async () => {
    const huge = { ...base, shape: [2 ** 40], bytes: 2 ** 42 };
    await expect(loadFloats(source, huge)).rejects.toThrow('tensor "t" must lie inside the file of 96 bytes');
    await expect(
      loadBytes(source, { ...base, shape: [2, 2], bytes: 16, strides: [1000, 1] }),
    ).rejects.toThrow(FormatError);
  });

  it('stops when asked', async () => {
    const stop = new AbortController();
    const streaming = streamTensor(source, { ...base, shape: [24], bytes: 96 }, () => stop.abort(), {
      chunkBytes: 16,
      signal: stop.signal,
    });
    await expect(streaming).rejects.toThrow(/abort/i);
  });

  it('refuses the wrong kind of numbers', async () => {
    const entry = { ...base, shape: [24], bytes: 96 };
    await expect(loadInts(source, entry)).rejects.toThrow('must hold integers: it holds F32');
    await expect(loadFloats(source, { ...entry, dtype: 'I32' })).rejects.toThrow(
      'real floating-point numbers: I32',
    );
    const wide = new Uint8Array(BigInt64Array.of(1n, 2n ** 31n).buffer);
    expect(() => decodeInts('ids', wide, 'I64')).toThrow(
      'ids: every value must fit 32 bits: value 1 is 2147483648',
    );
    expect(() => decodeInts('ids', Uint8Array.of(0, 0, 0, 128), 'U32')).toThrow('value 0 is 2147483648');
    expect(() => decodeNumbers(Uint8Array.of(1, 2, 3), 'F16')).toThrow('multiple of the element size 2: 3');
  });

  it('finds tensors or says what is wrong', async () => {
    const file = await readSafetensors(memorySource('m', encodeSafetensors(mixed)));
    expect(() => findTensor(file, 'nope')).toThrow(NotFoundError);
    expect(() => findTensor(file, 'b', [2])).toThrow('tensor "b" must have shape [2]: it has [1, 2]');
  });
});
