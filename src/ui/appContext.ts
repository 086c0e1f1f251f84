/** How components reach the app: one context, and a hook per store that selects a slice of it. */
import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import { InternalError } from '../core/errors';
import type { App } from './app';
import type { EngineView } from './state/engineView';
import type { GalleryState } from './state/gallery';
import type { KeptState } from './state/keptStore';
import type { NoticesState } from './state/notices';

const AppContext = createContext<App | null>(null);

export const AppProvider = AppContext.Provider;

/** @throws InternalError outside of an AppProvider */
export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new InternalError('page: components must stand inside an AppProvider: this one does not');
  return app;
}

export function useEngine<T>(select: (view: EngineView) => T): T {
  return useStore(useApp().engine, select);
}

export function useKept<T>(select: (state: KeptState) => T): T {
  return useStore(useApp().kept, select);
}

export function useGallery<T>(select: (state: GalleryState) => T): T {
  return useStore(useApp().gallery.store, select);
}

export function useNotices<T>(select: (state: NoticesState) => T): T {
  return useStore(useApp().notices.store, select);
}
