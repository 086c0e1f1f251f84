/**
 * The filmstrip: pictures made here, newest first, kept in the browser up to a limit. Pictures show at once; keeping them
 * happens behind, and a refusal becomes visible state instead of an exception.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import { messageOf } from '../../core/errors';
import type { FinishedPicture, GenerateResult, RequestId } from '../../protocol/messages';
import { sortPictures, type PictureStorage, type StoredPicture } from './pictureStorage';

/** How many pictures are kept; older ones go. */
export const galleryLimit = 120;

export interface GalleryPicture extends StoredPicture {
  /** Object URL of the PNG. */
  readonly url: string;
}

export interface GalleryState {
  readonly pictures: readonly GalleryPicture[];
  /** Pictures of the last generation that ended in this visit; '' before the first. */
  readonly latestBatch: string;
  /** The picture open in full view; null when closed. */
  readonly open: string | null;
  /** Why pictures are not kept; null when they are. */
  readonly problem: string | null;
}

export interface Urls {
  create(png: Uint8Array<ArrayBuffer>): string;
  revoke(url: string): void;
}

export const objectUrls: Urls = {
  create: (png) => URL.createObjectURL(new Blob([png], { type: 'image/png' })),
  revoke: (url) => URL.revokeObjectURL(url),
};

export class Gallery {
  readonly store: StoreApi<GalleryState>;
  readonly #storage: PictureStorage;
  readonly #urls: Urls;

  constructor(storage: PictureStorage, urls: Urls = objectUrls) {
    this.#storage = storage;
    this.#urls = urls;
    this.store = createStore<GalleryState>()(() => ({
      pictures: [],
      latestBatch: '',
      open: null,
      problem: null,
    }));
  }

  /** Brings back what earlier visits kept, behind what was made since this one began. */
  async restore(): Promise<void> {
    try {
      const stored = await this.#storage.load();
      const present = new Set(this.store.getState().pictures.map((picture) => picture.id));
      const older = stored
        .filter((picture) => !present.has(picture.id))
        .map((picture) => ({ ...picture, url: this.#urls.create(picture.png) }));
      this.#show([...this.store.getState().pictures, ...older]);
    } catch (thrown) {
      this.#report(thrown);
    }
  }

  /** Adds a generation's pictures. `createdAt`: milliseconds since 1970. */
  async add(job: RequestId, result: GenerateResult, createdAt: number): Promise<void> {
    const batch = `${createdAt}-${job}`;
    const added = result.pictures.map((picture: FinishedPicture, index): GalleryPicture => {
      const { png, width, height, settings } = picture;
      const url = this.#urls.create(png);
      const totalMs = result.timings.totalMs;
      return { id: `${batch}-${index}`, png, width, height, settings, batch, createdAt, totalMs, url };
    });
    this.store.setState({ latestBatch: batch });
    const dropped = this.#show([...added, ...this.store.getState().pictures]);
    try {
      for (const picture of added) await this.#save(picture);
      for (const picture of dropped) await this.#storage.remove(picture.id);
      this.store.setState({ problem: null });
    } catch (thrown) {
      this.#report(thrown);
    }
  }

  /** Takes a picture out, and gives the function that puts it back. */
  async remove(id: string): Promise<() => Promise<void>> {
    const picture = this.store.getState().pictures.find((candidate) => candidate.id === id);
    if (!picture) return async () => {};
    this.store.setState((state) => ({
      pictures: state.pictures.filter((candidate) => candidate.id !== id),
      open: state.open === id ? null : state.open,
    }));
    await this.#storage.remove(id).catch((thrown: unknown) => this.#report(thrown));
    return async () => {
      this.#show([...this.store.getState().pictures, picture]);
      await this.#save(picture).catch((thrown: unknown) => this.#report(thrown));
    };
  }

  /** Opens a picture in full view; null closes it. */
  open(id: string | null): void {
    this.store.setState({ open: id });
  }

  /** Sorts, cuts to the limit, shows; gives what fell off the end. */
  #show(pictures: readonly GalleryPicture[]): readonly GalleryPicture[] {
    const sorted = sortPictures(pictures);
    const dropped = sorted.slice(galleryLimit);
    for (const picture of dropped) this.#urls.revoke(picture.url);
    this.store.setState({ pictures: sorted.slice(0, galleryLimit) });
    return dropped;
  }

  async #save({ url: _url, ...picture }: GalleryPicture): Promise<void> {
    await this.#storage.save(picture);
  }

  #report(thrown: unknown): void {
    this.store.setState({ problem: messageOf(thrown) });
  }
}
