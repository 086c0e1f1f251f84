/** The store behind `kept.ts`: reads once, writes on every change, and says when the browser keeps nothing. */
import { createStore, type StoreApi } from 'zustand/vanilla';
import { keptKey, restoreKept, serializeKept, type Draft, type Kept, type Loading, type View } from './kept';

/** The part of Storage that is used. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface KeptState extends Kept {
  /** False once the browser refused to keep something. */
  readonly keeps: boolean;
  readonly setDraft: (change: Partial<Draft>) => void;
  readonly setLoading: (change: Partial<Loading>) => void;
  readonly setView: (change: Partial<View>) => void;
}

/** `storage` null, or one that throws: the page works, and forgets. */
export function createKeptStore(storage: TextStorage | null): StoreApi<KeptState> {
  let text: string | null = null;
  let readable = storage !== null;
  try {
    text = storage?.getItem(keptKey) ?? null;
  } catch {
    readable = false;
  }
  const store = createStore<KeptState>()((set) => ({
    ...restoreKept(text),
    keeps: readable,
    setDraft: (change) => set((state) => ({ draft: { ...state.draft, ...change } })),
    setLoading: (change) => set((state) => ({ loading: { ...state.loading, ...change } })),
    setView: (change) => set((state) => ({ view: { ...state.view, ...change } })),
  }));
  store.subscribe((state, before) => {
    const { draft, loading, view } = state;
    if (draft === before.draft && loading === before.loading && view === before.view) return;
    const kept = writeTo(storage, serializeKept(state));
    if (kept !== state.keeps) store.setState({ keeps: kept });
  });
  return store;
}

function writeTo(storage: TextStorage | null, text: string): boolean {
  try {
    storage?.setItem(keptKey, text);
    return storage !== null;
  } catch {
    return false;
  }
}

/** The page's localStorage; null where the browser forbids even the asking. */
export function pageStorage(): TextStorage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
