/** Folders of pictures with captions: both layouts, and what is passed over and why. */
import { describe, expect, test } from 'vitest';
import { indexImageFolder, skipSummary } from '../../src/data/imageFolder';
import { dropFolder, type Dropped } from '../helpers/droppedFiles';

const picture = Uint8Array.of(1);
const jsonl = (...rows: unknown[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
const index = (files: Record<string, Dropped>): ReturnType<typeof indexImageFolder> =>
  indexImageFolder(dropFolder(files));
const notUtf8 = Uint8Array.of(0x61, 0xff, 0x62);

describe('captions', () => {
  test('from .txt files beside the pictures', async () => {
    expect(
      await index({
        'b/two.JPG': picture,
        'b/two.TXT': '\ufeff  a dog\r\n  on a\tboat \n',
        'one.png': picture,
        'one.txt': 'a cat',
        'one.webp': picture,
        'v1.2.png': picture,
        'v1.2.txt': 'dots',
      }),
    ).toEqual({
      pictures: [
        { path: 'b/two.JPG', text: 'a dog on a boat' },
        { path: 'one.png', text: 'a cat' },
        { path: 'one.webp', text: 'a cat' },
        { path: 'v1.2.png', text: 'dots' },
      ],
      skipped: [],
    });
  });

  test('from metadata.jsonl, relative to where it lies; it comes before a .txt', async () => {
    expect(
      await index({
        'metadata.jsonl': jsonl(
          { file_name: 'a.png', text: 'first' },
          { file_name: 'x/b.png', text: 'second' },
        ),
        'a.png': picture,
        'a.txt': 'not this one',
        'x/b.png': picture,
        'x/metadata.jsonl': `${jsonl({ file_name: './c.png', text: 'dr\u00e4i\nlines', more: 1 })}\r\n\n`,
        'x/c.png': picture,
        'x/d.png': picture,
        'x/d.txt': 'fourth',
      }),
    ).toEqual({
      pictures: [
        { path: 'a.png', text: 'first' },
        { path: 'x/b.png', text: 'second' },
        { path: 'x/c.png', text: 'dr\u00e4i lines' },
        { path: 'x/d.png', text: 'fourth' },
      ],
      skipped: [],
    });
  });

  test('are not read where metadata has one, nor is any picture', async () => {
    const reads = new Map<string, number>();
    const files = {
      'a.png': picture,
      'a.txt': 'x',
      'metadata.jsonl': jsonl({ file_name: 'a.png', text: 'y' }),
    };
    await indexImageFolder(dropFolder(files, reads));
    expect([...reads.keys()]).toEqual(['metadata.jsonl']);
  });
});

describe('what is passed over', () => {
  test('pictures and captions that do not fit each other', async () => {
    const { pictures, skipped } = await index({
      'a.png': picture,
      'b.png': picture,
      'b.txt': ' \n',
      'c.png': picture,
      'c.txt': notUtf8,
      'd.png': picture,
      'd.txt': 'x'.repeat(20_000),
      'e.png': picture,
      'e.txt': 'good',
      'f.heic': picture,
      'readme.txt': 'about',
    });
    expect(pictures).toEqual([{ path: 'e.png', text: 'good' }]);
    expect(skipped.map(({ reason, message }) => [reason, message])).toEqual([
      ['no caption', 'a.png: must have a line in metadata.jsonl or a .txt beside it: it has neither'],
      ['empty caption', 'b.png: must have a caption: it is empty'],
      ['caption cannot be read', 'c.txt: must be UTF-8: it is not'],
      ['caption cannot be read', expect.stringMatching(/^d\.txt: must be at most 16.*: it has /)],
      ['not a picture or caption', 'f.heic: must be a picture or a caption: its name says it is neither'],
      [
        ...[
          'caption without a picture',
          'readme.txt: must lie beside a picture of the same name: there is none',
        ],
      ],
    ]);
  });

  test('lines of metadata, one by one', async () => {
    const lines = [
      '{"file_name": "a.png", "text": "kept"}',
      '{"file_name": "b.png"',
      '["b.png", "text"]',
      '{"text": "whose?"}',
      '{"file_name": "b.png", "text": 7}',
      '{"file_name": "../b.png", "text": "outside"}',
      '{"file_name": "z.png", "text": "nowhere"}',
      '{"file_name": "notes.txt", "text": "not a picture"}',
      '{"file_name": "a.png", "text": "again"}',
      '{"file_name": "c.png", "text": ""}',
    ];
    const { pictures, skipped } = await index({
      'metadata.jsonl': lines.join('\n'),
      'a.png': picture,
      'b.png': picture,
      'c.png': picture,
      'c.txt': 'unused: the metadata decide',
      'notes.txt': '',
    });
    expect(pictures).toEqual([{ path: 'a.png', text: 'kept' }]);
    const ofMetadata = skipped.filter(({ path }) => path === 'metadata.jsonl');
    expect(ofMetadata.map(({ reason, message }) => [reason.replace('metadata ', ''), message])).toEqual([
      ['line is not understood', 'metadata.jsonl: line 2: must be JSON: {"file_name": "b.png"'],
      [
        ...[
          'line is not understood',
          'metadata.jsonl: line 3: must be an object with file_name and text: ["b.png", "text"]',
        ],
      ],
      ['line is not understood', 'metadata.jsonl: line 4: file_name must be a text: it is missing'],
      ['line is not understood', 'metadata.jsonl: line 5: text must be a text: 7'],
      [
        'line is not understood',
        expect.stringMatching(/line 6: file_name: .*inside the folder: "\.\.\/b\.png"$/),
      ],
      [
        'names a file that is not there',
        'metadata.jsonl: line 7: file_name must be a file in the folder: "z.png"',
      ],
      [
        'names a file that is not a picture',
        'metadata.jsonl: line 8: file_name must be a picture: "notes.txt"',
      ],
      [
        ...[
          'names a file twice',
          'metadata.jsonl: line 9: file_name must come once, the first caption is kept: "a.png"',
        ],
      ],
    ]);
    expect(
      skipped.filter(({ path }) => path !== 'metadata.jsonl').map(({ path, reason }) => [path, reason]),
    ).toEqual([
      ['b.png', 'no caption'],
      ['c.png', 'empty caption'],
      ['notes.txt', 'caption without a picture'],
    ]);
    expect(skipSummary({ skipped })[0]).toBe('5 lines: metadata line is not understood: metadata.jsonl');
  });

  test('a metadata file that is no text leaves the .txt files', async () => {
    const { pictures, skipped } = await index({ 'metadata.jsonl': notUtf8, 'a.png': picture, 'a.txt': 'a' });
    expect(pictures).toEqual([{ path: 'a.png', text: 'a' }]);
    expect(skipped).toEqual([
      {
        path: 'metadata.jsonl',
        reason: 'metadata cannot be read',
        message: 'metadata.jsonl: must be UTF-8: it is not',
      },
    ]);
  });

  test("systems' litter without a word", async () => {
    expect(
      await index({
        '.DS_Store': picture,
        '__MACOSX/._a.png': picture,
        'x/._a.png': picture,
        'x/.cache/b.png': picture,
        'Thumbs.db': picture,
        'x/desktop.ini': 'x',
      }),
    ).toEqual({ pictures: [], skipped: [] });
  });

  test('summed up by reason, the most frequent first', async () => {
    const found = await index({ 'a.png': picture, 'b.png': picture, 'c.png': picture, 'd.mov': picture });
    expect(skipSummary(found)).toEqual([
      '3 files: no caption: a.png, b.png and 1 more',
      '1 file: not a picture or caption: d.mov',
    ]);
    expect(skipSummary({ skipped: [] })).toEqual([]);
  });
});

test('can be cancelled', async () => {
  const files = { 'a.png': picture, 'a.txt': 'a', 'metadata.jsonl': '' };
  const stopped = AbortSignal.abort(new Error('stopped'));
  await expect(indexImageFolder(dropFolder(files), stopped)).rejects.toThrow('stopped');
});
