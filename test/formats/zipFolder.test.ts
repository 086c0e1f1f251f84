/** ZIP archives as folders: stored and deflated members, names that lead outside, damage. */
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { isTorchArchive, openZip, zipFolder } from '../../src/formats/zipFolder';
import type { ByteSource, SourceFolder } from '../../src/sources/byteSource';
import { memorySource } from '../../src/sources/memory';
import { zipFile, type ZipEntry } from '../helpers/droppedFiles';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
/** Bytes that deflate badly, and differ everywhere. */
const noise = (length: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(length);
  for (let i = 0, state = 1; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
};
const open = async (entries: readonly ZipEntry[]): Promise<SourceFolder> =>
  zipFolder(await openZip(memorySource('a.zip', zipFile(entries))));
const whole = (source: ByteSource): Promise<Uint8Array> => source.read(0, source.size);

describe('zipFolder', () => {
  test('members stored and deflated, in folders, read in any order', async () => {
    const large = noise(5 * 1024 * 1024);
    const folder = await open([
      { name: 'model/', data: new Uint8Array(0) },
      { name: 'model/a.txt', data: text('hello') },
      { name: 'model/b.bin', data: large, deflate: true },
      { name: 'c.bin', data: large },
      { name: 'empty', data: new Uint8Array(0) },
    ]);
    expect(await folder.list()).toEqual(['c.bin', 'empty', 'model/a.txt', 'model/b.bin']);
    expect(await whole(await folder.open('model/a.txt'))).toEqual(text('hello'));
    expect(await whole(await folder.open('empty'))).toEqual(new Uint8Array(0));
    for (const name of ['model/b.bin', 'c.bin']) {
      const source = await folder.open(name);
      expect(source).toMatchObject({ name: `a.zip/${name}`, size: large.length });
      // beginning, end, middle, across what is held of the beginning
      for (const [at, length] of [
        [0, 100],
        [large.length - 50, 50],
        [4_194_300, 10],
      ] as const) {
        expect(await source.read(at, length), `${name} ${at}`).toEqual(large.slice(at, at + length));
      }
      await expect(source.read(large.length - 1, 2)).rejects.toThrow(FormatError);
    }
    await expect(folder.open('model')).rejects.toThrow('a.zip: the file must be in the archive: "model"');
  });

  test.each(['../evil.txt', '/etc/passwd', 'a/../../b', 'C:/x', 'a\\b', 'a//b'])(
    'a name that leads out of the folder refuses the archive: %s',
    async (name) => {
      await expect(open([{ name, data: text('x') }])).rejects.toThrow(
        `a.zip: ZIP archive: a file's path must be relative, with forward slashes and inside the folder: ${JSON.stringify(name)}`,
      );
    },
  );

  test('a name that comes twice refuses the archive', async () => {
    const twice = [1, 2].map((value) => ({ name: 'a', data: Uint8Array.of(value) }));
    await expect(open(twice)).rejects.toThrow(
      'a.zip: ZIP archive: ZIP member "a" must come once: it comes twice',
    );
  });

  test('too large to inflate, or larger than it can be', async () => {
    const zeros = new Uint8Array(3 * 1024 * 1024);
    const claimed = await open([{ name: 'a', data: zeros, deflate: true, claim: 2 ** 31 + 1 }]);
    await expect(claimed.open('a')).rejects.toThrow(/compressed bytes cannot|at most 2\.15 GB: it has/);
    const more = await open([{ name: 'a', data: zeros, deflate: true, claim: zeros.length + 1 }]);
    await expect(whole(await more.open('a'))).rejects.toThrow(FormatError);
  });

  test('damage is found', async () => {
    const bytes = zipFile([{ name: 'a', data: noise(1000), deflate: true }]);
    await expect(openZip(memorySource('a.zip', bytes.subarray(0, 900)))).rejects.toThrow(
      'a.zip: ZIP archive: a ZIP archive must end with its directory: there is none (is the file cut short?)',
    );
    bytes[200] = bytes[200]! ^ 0xff;
    const folder = zipFolder(await openZip(memorySource('a.zip', bytes)));
    await expect(whole(await folder.open('a'))).rejects.toThrow(FormatError);
  });

  test('files of torch.save are told apart', async () => {
    const torch = await openZip(memorySource('a', zipFile([{ name: 'archive/data.pkl', data: text('x') }])));
    const other = await openZip(memorySource('a', zipFile([{ name: 'a/b.txt', data: text('x') }])));
    expect([isTorchArchive(torch), isTorchArchive(other)]).toEqual([true, false]);
  });
});
