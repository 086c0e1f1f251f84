/** Short notes about what just happened, with at most one thing to do about it. They go by themselves or when closed. */
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { WireError } from '../../protocol/messages';

export interface Notice {
  readonly id: number;
  readonly tone: 'info' | 'problem';
  readonly text: string;
  readonly action: { readonly label: string; readonly run: () => void } | null;
  readonly error: WireError | null;
}

export interface NoticesState {
  readonly notices: readonly Notice[];
}

/** At most this many at a time; the oldest goes first. */
const limit = 3;

export class Notices {
  readonly store: StoreApi<NoticesState> = createStore<NoticesState>()(() => ({ notices: [] }));
  #next = 1;

  /** Shows a note. */
  say(text: string, action: Notice['action'] = null): void {
    this.#add({ tone: 'info', text, action, error: null });
  }

  /** Shows a problem; it stays until closed. */
  complain(text: string, error: WireError | null = null, action: Notice['action'] = null): void {
    this.#add({ tone: 'problem', text, action, error });
  }

  close(id: number): void {
    this.store.setState(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
  }

  #add(notice: Omit<Notice, 'id'>): void {
    const added = { ...notice, id: this.#next++ };
    this.store.setState(({ notices }) => ({ notices: [...notices, added].slice(-limit) }));
  }
}
