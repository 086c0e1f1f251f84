/** Which panel is open: part of the address (`?panel=device`), so that reload, back and links work. */
import { createStore, type StoreApi } from 'zustand/vanilla';

export const panels = ['generate', 'models', 'device'] as const;

export type Panel = (typeof panels)[number];

export interface PanelState {
  readonly panel: Panel;
}

/** The panel that an address names; Generate where it names none that exists. */
export function panelOf(search: string): Panel {
  const named = new URLSearchParams(search).get('panel');
  return panels.find((panel) => panel === named) ?? 'generate';
}

/** The query string for a panel, other parameters kept. */
export function searchFor(panel: Panel, search: string): string {
  const parameters = new URLSearchParams(search);
  if (panel === 'generate') parameters.delete('panel');
  else parameters.set('panel', panel);
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

export const panelStore: StoreApi<PanelState> = createStore<PanelState>()(() => ({ panel: 'generate' }));

/** Opens a panel and adds it to the history. */
export function goTo(panel: Panel): void {
  if (panelStore.getState().panel === panel) return;
  const { pathname, search, hash } = window.location;
  window.history.pushState(null, '', pathname + searchFor(panel, search) + hash);
  panelStore.setState({ panel });
}

/** Opens the panel that the address names, now and on going back and forward. Call once, before the first drawing. */
export function followHistory(): void {
  const follow = (): void => panelStore.setState({ panel: panelOf(window.location.search) });
  follow();
  window.addEventListener('popstate', follow);
}
