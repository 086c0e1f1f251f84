import { describe, expect, test } from 'vitest';
import { collectFiles, fileLimit, gather, gatherFiles, isHidden } from '../../src/ui/collectFiles';

/** A folder's content: folders as objects, files as their size, what cannot be opened as null. */
interface Tree {
  readonly [name: string]: Tree | number | null;
}

/** An entry as a browser gives it: at most 100 of a folder at a time, an empty list at its end. */
function entry(name: string, content: Tree | number | null, above = ''): FileSystemEntry {
  const fullPath = `${above}/${name}`;
  if (typeof content === 'number' || content === null) {
    const file = (give: (file: File) => void, refuse: (error: unknown) => void): void =>
      content === null
        ? refuse(new DOMException('gone', 'NotFoundError'))
        : give(new File([new Uint8Array(content)], name));
    return { isFile: true, isDirectory: false, name, fullPath, file } as unknown as FileSystemEntry;
  }
  const createReader = () => {
    const waiting = Object.entries(content).map(([child, its]) => entry(child, its, fullPath));
    return {
      readEntries: (give: (entries: FileSystemEntry[]) => void) => give(waiting.splice(0, 100)),
    };
  };
  return { isFile: false, isDirectory: true, name, fullPath, createReader } as unknown as FileSystemEntry;
}

const walk = (tree: Tree, onFile?: (count: number) => void) =>
  collectFiles({ entries: Object.entries(tree).map(([name, its]) => entry(name, its)), files: [] }, onFile);

describe('walking folders', () => {
  test('files keep the folders that they came in', async () => {
    const { files, tooMany, unreadable } = await walk({
      MicroDiT: { 'dit.pt': 5, vae: { 'config.json': 1, 'model.safetensors': 3 } },
      'clip.bin': 2,
    });
    expect(files.map(({ path, file }) => [path, file.size])).toEqual([
      ['MicroDiT/dit.pt', 5],
      ['MicroDiT/vae/config.json', 1],
      ['MicroDiT/vae/model.safetensors', 3],
      ['clip.bin', 2],
    ]);
    expect({ tooMany, unreadable }).toEqual({ tooMany: false, unreadable: [] });
  });

  test('a folder with more than one reading gives', async () => {
    const many = Object.fromEntries(Array.from({ length: 250 }, (_, i) => [`${i}.npy`, 1]));
    const counts: number[] = [];
    const { files } = await walk({ many }, (count) => counts.push(count));
    expect(files).toHaveLength(250);
    expect(counts.at(-1)).toBe(250);
  });

  test('hidden files are passed over, and what cannot be opened is named', async () => {
    const { files, unreadable } = await walk({
      model: {
        '.git': { config: 1 },
        '.DS_Store': 1,
        'Thumbs.db': 1,
        __MACOSX: { 'dit.pt': 1 },
        'dit.pt': 1,
        'locked.pt': null,
      },
    });
    expect(files.map(({ path }) => path)).toEqual(['model/dit.pt']);
    expect(unreadable).toEqual(['model/locked.pt']);
    expect(isHidden('a/b.c/d')).toBe(false);
  });

  test('an enormous tree is given up', async () => {
    const folder = Object.fromEntries(Array.from({ length: 5001 }, (_, i) => [`${i}`, 1]));
    const { files, tooMany } = await walk({ a: folder, b: folder, c: folder, d: folder });
    expect(tooMany).toBe(true);
    expect(files).toHaveLength(fileLimit);
    const { tooMany: fits } = await walk({ a: folder, b: folder, c: folder });
    expect(fits).toBe(false);
  });
});

test('a drop gives entries where the browser has them, files where not', () => {
  const folder = entry('folder', {});
  const file = new File([], 'x.pt');
  const items = [
    { kind: 'string', webkitGetAsEntry: () => null, getAsFile: () => null },
    { kind: 'file', webkitGetAsEntry: () => folder, getAsFile: () => null },
    { kind: 'file', webkitGetAsEntry: () => null, getAsFile: () => file },
  ];
  expect(gather({ items } as unknown as DataTransfer)).toEqual({ entries: [folder], files: [file] });
});

test('a picked folder tells its paths by itself', async () => {
  const file = new File([], 'dit.pt');
  Object.defineProperty(file, 'webkitRelativePath', { value: 'MicroDiT/ckpts/dit.pt' });
  const hidden = new File([], '.DS_Store');
  const { files } = await collectFiles(gatherFiles([file, hidden]));
  expect(files.map(({ path }) => path)).toEqual(['MicroDiT/ckpts/dit.pt']);
});
