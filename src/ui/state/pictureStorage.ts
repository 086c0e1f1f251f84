/**
 * Finished pictures in IndexedDB, so that the filmstrip survives a reload: one record per picture, its PNG and when it
 * was made. The settings are read from the record's own copy and checked like any foreign data; what does not hold is
 * left out. A write resolves when its transaction is complete.
 */
import { createStore, del, entries, set, type UseStore } from 'idb-keyval';
import type { PictureSettings } from '../../protocol/generate';
import { parsePictureSettings } from '../../protocol/pictureSettings';
import { z } from '../../protocol/schema';

export interface StoredPicture {
  readonly id: string;
  readonly png: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  readonly settings: PictureSettings;
  /** Pictures of one generation share it. */
  readonly batch: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Time the whole generation took, in milliseconds. */
  readonly totalMs: number;
}

export interface PictureStorage {
  load(): Promise<StoredPicture[]>;
  save(picture: StoredPicture): Promise<void>;
  remove(id: string): Promise<void>;
}

const recordSchema = z.object({
  png: z.instanceof(Uint8Array),
  width: z.int().min(1),
  height: z.int().min(1),
  settings: z.unknown(),
  batch: z.string(),
  createdAt: z.number(),
  totalMs: z.number(),
});

/** A picture from a stored record, or null. */
export function restorePicture(id: unknown, record: unknown): StoredPicture | null {
  const parsed = recordSchema.safeParse(record);
  if (typeof id !== 'string' || !parsed.success) return null;
  const settings = parsePictureSettings(parsed.data.settings);
  const { png, width, height, batch, createdAt, totalMs } = parsed.data;
  // a copy: the record's own bytes may be a view into something larger
  return settings && { id, png: new Uint8Array(png), width, height, settings, batch, createdAt, totalMs };
}

/** Newest first. */
export function sortPictures<P extends StoredPicture>(pictures: readonly P[]): P[] {
  return [...pictures].sort((a, b) => b.createdAt - a.createdAt || a.settings.index - b.settings.index);
}

/** The browser's own storage. Opens the database on first use. */
export function indexedDbPictures(): PictureStorage {
  let opened: UseStore | undefined;
  const database = (): UseStore => (opened ??= createStore('tabdit-pictures', 'pictures'));
  return {
    load: async () => {
      const records = await entries<IDBValidKey, unknown>(database());
      return sortPictures(records.flatMap(([id, record]) => restorePicture(id, record) ?? []));
    },
    save: async ({ id, ...record }) => set(id, record, database()),
    remove: async (id) => del(id, database()),
  };
}
