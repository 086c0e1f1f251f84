import { describe, expect, test } from 'vitest';
import type { PictureSettings } from '../../src/protocol/generate';
import type { GenerateResult } from '../../src/protocol/messages';
import { Gallery, galleryLimit } from '../../src/ui/state/gallery';
import { restorePicture, type PictureStorage, type StoredPicture } from '../../src/ui/state/pictureStorage';

const settings: PictureSettings = {
  program: 'tabdit',
  model: 'm',
  prompt: 'fox',
  steps: 2,
  guidance: 3,
  seed: '0',
  noiseLayout: 'cuda',
  index: 0,
  count: 1,
};
const result = (count: number): GenerateResult => ({
  pictures: Array.from({ length: count }, (_, index) => ({
    png: Uint8Array.of(index),
    width: 1,
    height: 1,
    settings: { ...settings, index, count },
  })),
  timings: { textMs: 1, sampleMs: 2, decodeMs: 3, totalMs: 6 },
});

function memoryStorage(): PictureStorage & { held: Map<string, StoredPicture> } {
  const held = new Map<string, StoredPicture>();
  return {
    held,
    load: async () => [...held.values()],
    save: async (picture) => void held.set(picture.id, picture),
    remove: async (id) => void held.delete(id),
  };
}

/** Object URLs that tell which of them are open. */
function fakeUrls() {
  const open = new Set<string>();
  let next = 0;
  return {
    open,
    create: () => {
      const url = `blob:${next++}`;
      open.add(url);
      return url;
    },
    revoke: (url: string) => void open.delete(url),
  };
}

describe('gallery', () => {
  test('newest first, kept, and back after a reload', async () => {
    const storage = memoryStorage();
    const gallery = new Gallery(storage, fakeUrls());
    await gallery.add(1, result(2), 1000);
    await gallery.add(2, result(1), 2000);
    const order = (of: Gallery) =>
      of.store.getState().pictures.map(({ createdAt, settings: s }) => [createdAt, s.index]);
    expect(order(gallery)).toEqual([
      [2000, 0],
      [1000, 0],
      [1000, 1],
    ]);
    const again = new Gallery(storage, fakeUrls());
    // made while the old ones were still being read
    await again.add(1, result(1), 3000);
    await again.restore();
    expect(order(again)).toEqual([[3000, 0], ...order(gallery)]);
    expect(again.store.getState().latestBatch).toBe('3000-1');
  });

  test('the oldest fall off the end, their addresses and records too', async () => {
    const storage = memoryStorage();
    const urls = fakeUrls();
    const gallery = new Gallery(storage, urls);
    for (let i = 0; i < galleryLimit + 3; i++) await gallery.add(i, result(1), i);
    expect(gallery.store.getState().pictures).toHaveLength(galleryLimit);
    expect(urls.open.size).toBe(galleryLimit);
    expect(storage.held.size).toBe(galleryLimit);
  });

  test('removing can be undone', async () => {
    const storage = memoryStorage();
    const gallery = new Gallery(storage, fakeUrls());
    await gallery.add(1, result(2), 1000);
    const [first] = gallery.store.getState().pictures;
    gallery.open(first!.id);
    const undo = await gallery.remove(first!.id);
    expect(gallery.store.getState()).toMatchObject({ open: null, pictures: [{ id: '1000-1-1' }] });
    expect(storage.held.has(first!.id)).toBe(false);
    await undo();
    expect(gallery.store.getState().pictures).toHaveLength(2);
    expect(storage.held.has(first!.id)).toBe(true);
  });

  test('a browser that stores nothing is said, and pictures show all the same', async () => {
    const refuse = async (): Promise<never> => {
      throw new DOMException('The quota is used up', 'QuotaExceededError');
    };
    const gallery = new Gallery({ load: refuse, save: refuse, remove: refuse }, fakeUrls());
    await gallery.restore();
    await gallery.add(1, result(1), 1000);
    expect(gallery.store.getState()).toMatchObject({
      problem: 'The quota is used up',
      pictures: [{ width: 1 }],
    });
  });
});

test('stored records are checked', () => {
  const record = {
    png: Uint8Array.of(1),
    width: 1,
    height: 1,
    settings,
    batch: 'b',
    createdAt: 1,
    totalMs: 2,
  };
  expect(restorePicture('id', record)).toEqual({ id: 'id', ...record });
  expect(restorePicture(7, record)).toBeNull();
  expect(restorePicture('id', { ...record, png: 'text' })).toBeNull();
  expect(restorePicture('id', { ...record, settings: {} })).toBeNull();
  expect(restorePicture('id', undefined)).toBeNull();
});
