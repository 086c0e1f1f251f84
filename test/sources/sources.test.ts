import { mkdtemp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError, InputError, NotFoundError } from '../../src/core/errors';
import { blobFolder, blobSource, fileListFolder, fileSource } from '../../src/sources/blob';
import { memorySink } from '../../src/sources/byteSink';
import type { ByteSource, SourceFolder } from '../../src/sources/byteSource';
import { memoryFolder, memorySource } from '../../src/sources/memory';
import { nodeFile, nodeFileSink, nodeFolder, nodePath } from '../../src/sources/node';
import { checkRelativePath } from '../../src/sources/range';

const content = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabdit-sources-'));
  await mkdir(join(folder, 'sub/deep'), { recursive: true });
  await writeFile(join(folder, 'a.bin'), content);
  await writeFile(join(folder, 'sub/deep/b.txt'), 'b');
  await symlink(join(folder, 'a.bin'), join(folder, 'sub/link.bin'));
  await symlink(join(folder, 'nowhere'), join(folder, 'sub/broken'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('sources', () => {
  const kinds: [string, () => Promise<ByteSource>][] = [
    ['memory', async () => memorySource('a.bin', content)],
    ['blob', async () => blobSource('a.bin', new Blob([content]))],
    ['File', async () => fileSource(new File([content], 'a.bin'))],
    ['node file', () => nodeFile(join(folder, 'a.bin'), 'a.bin')],
  ];
  it.each(kinds)('%s: reads ranges and nothing outside', async (_, open) => {
    const source = await open();
    expect([source.name, source.size]).toEqual(['a.bin', 1000]);
    expect(await source.read(0, 1000)).toEqual(content);
    expect(await source.read(990, 10)).toEqual(content.slice(990));
    expect(await source.read(1000, 0)).toEqual(new Uint8Array(0));
    const bytes = await source.read(3, 4);
    bytes.fill(0); // the caller owns what it got
    expect(await source.read(3, 4)).toEqual(content.slice(3, 7));
    for (const [offset, length] of [
      [990, 11],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [NaN, 1],
      [0, 2 ** 60],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toThrow(FormatError);
    }
    await expect(source.read(990, 11)).rejects.toThrow(
      'a.bin: bytes 990 to 1001 must lie inside the file: it has 1000 bytes',
    );
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toThrow(/abort/i);
  });

  it('says when a file changes while in use', async () => {
    const path = join(folder, 'shrinks.bin');
    await writeFile(path, content);
    const source = await nodeFile(path);
    await writeFile(path, content.subarray(0, 10));
    await expect(source.read(0, 20)).rejects.toThrow(
      'must not change while it is read: it ends at byte 10 of 1000',
    );
    await rm(path);
    const unreadable = { size: 5, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('gone')) }) };
    await expect(blobSource('f', unreadable as unknown as Blob).read(0, 1)).rejects.toThrow(
      'f: must stay readable and unchanged while in use: gone',
    );
  });

  it('says what is not a file', async () => {
    await expect(nodeFile(join(folder, 'none'), 'none')).rejects.toThrow(
      'none: must exist and be readable: there is no such file',
    );
    await expect(nodeFile(join(folder, 'sub'), 'sub')).rejects.toThrow('sub: must be a file: it is a folder');
    await expect(nodeFolder(join(folder, 'a.bin'))).rejects.toThrow('must be a folder: it is a file');
    expect(Object.keys(await nodePath(folder))).toEqual(['folder']);
    expect(Object.keys(await nodePath(join(folder, 'a.bin')))).toEqual(['file']);
    await expect(nodePath(join(folder, 'none'))).rejects.toThrow(NotFoundError);
  });
});

describe('folders', () => {
  const picked = (path: string, text: string): File => {
    const file = new File([text], path.split('/').at(-1) ?? '');
    Object.defineProperty(file, 'webkitRelativePath', { value: path });
    return file;
  };
  const kinds: [string, () => Promise<SourceFolder>][] = [
    [
      'memory',
      async () =>
        memoryFolder('m', [
          ['a.bin', content],
          ['sub/deep/b.txt', Uint8Array.of(98)],
          ['sub/link.bin', content],
        ]),
    ],
    [
      'blobs',
      async () =>
        blobFolder('m', [
          ['sub/deep/b.txt', new Blob(['b'])],
          ['a.bin', new Blob([content])],
          ['sub/link.bin', new Blob()],
        ]),
    ],
    [
      'picked files',
      async () =>
        fileListFolder('m', [
          picked('m/sub/link.bin', ''),
          picked('m/sub/deep/b.txt', 'b'),
          new File([content], 'a.bin'),
        ]),
    ],
    ['node folder', () => nodeFolder(folder)],
  ];
  it.each(kinds)('%s: lists and opens', async (_, open) => {
    const it = await open();
    expect(await it.list()).toEqual(['a.bin', 'sub/deep/b.txt', 'sub/link.bin']);
    const source = await it.open('sub/deep/b.txt');
    expect(await source.read(0, source.size)).toEqual(Uint8Array.of(98));
    await expect(it.open('none.txt')).rejects.toThrow(NotFoundError);
  });

  it('refuses paths that leave the folder', async () => {
    const it = await nodeFolder(folder);
    for (const path of [
      '../x',
      'sub/../../x',
      '/etc/passwd',
      'sub\\b',
      'C:/x',
      '',
      'a//b',
      './a.bin',
      'a\0b',
    ]) {
      await expect(it.open(path)).rejects.toThrow(FormatError);
    }
    expect(() => checkRelativePath('m', '../x')).toThrow('inside the folder: "../x"');
    expect(() => checkRelativePath('m', 'a..b/..c')).not.toThrow();
  });

  it('refuses a file given twice', () => {
    expect(() => fileListFolder('m', [new File([], 'a'), new File([], 'a')])).toThrow(InputError);
  });
});

describe('sinks', () => {
  it('node: leaves a whole file or none', async () => {
    const path = join(folder, 'out.bin');
    const sink = await nodeFileSink(path);
    await sink.write(content.subarray(0, 600));
    await sink.write(content.subarray(600));
    expect((await readdir(folder)).filter((name) => name.startsWith('out'))).toEqual(['out.bin.part']);
    await sink.close();
    expect(new Uint8Array(await readFile(path))).toEqual(content);
    const abandoned = await nodeFileSink(path);
    await abandoned.write(content.subarray(0, 10));
    await abandoned.abort();
    expect((await readdir(folder)).filter((name) => name.startsWith('out'))).toEqual(['out.bin']);
    expect((await readFile(path)).length).toBe(1000);
    await rm(path);
  });

  it('memory: copies what it is given', async () => {
    const sink = memorySink('m');
    const piece = Uint8Array.of(1, 2);
    await sink.write(piece);
    piece.fill(9);
    await sink.write(Uint8Array.of(3));
    expect(sink.bytes()).toEqual(Uint8Array.of(1, 2, 3));
    await sink.abort();
    expect(sink.bytes().length).toBe(0);
  });
});
