/**
 * Everything the keyboard can do, as data: the listener and the `?` sheet read the same list. Keys without Ctrl or Cmd
 * can be switched off in the sheet, and never act while something is typed or a dialog is open.
 */
import type { App } from './app';
import { goTo } from './state/panel';
import { randomSeed } from './state/settings';
import { keysSheet } from './state/sheet';

export interface KeyAction {
  readonly what: string;
  /** `KeyboardEvent.key`, lower case. */
  readonly key: string;
  /** With Ctrl, or Cmd on a Mac. */
  readonly mod: boolean;
  readonly run: (app: App) => void;
}

/** The id of the prompt's text field. */
export const promptId = 'prompt';

export const keyActions: readonly KeyAction[] = [
  { what: 'Make the picture', key: 'enter', mod: true, run: (app) => app.generate() },
  { what: 'Cancel what is being made', key: '.', mod: true, run: (app) => app.cancelRunning() },
  {
    what: 'Write the prompt',
    key: '/',
    mod: false,
    run: () => {
      goTo('generate');
      // the panel is drawn first
      requestAnimationFrame(() => document.getElementById(promptId)?.focus());
    },
  },
  {
    what: 'Draw a new seed',
    key: 'r',
    mod: false,
    run: (app) => app.kept.getState().setDraft({ seed: randomSeed() }),
  },
  {
    what: 'Show pixels hard or smooth',
    key: 'p',
    mod: false,
    run: (app) => {
      const { view, setView } = app.kept.getState();
      setView({ pixels: !view.pixels });
    },
  },
  { what: 'Go to Generate', key: 'g', mod: false, run: () => goTo('generate') },
  { what: 'Go to Models', key: 'm', mod: false, run: () => goTo('models') },
  { what: 'Go to Device', key: 'd', mod: false, run: () => goTo('device') },
  { what: 'Show this sheet', key: '?', mod: false, run: () => keysSheet.setState({ open: true }) },
];

/** Keys that belong to what is open or focused; the sheet names them, the parts themselves act. */
export const localKeys: readonly { readonly what: string; readonly keys: readonly string[] }[] = [
  { what: 'Previous and next picture, in full view', keys: ['←', '→'] },
  { what: 'Close what is open', keys: ['Esc'] },
];

/** Whether the event's target takes text. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/** The action for a key press, or undefined. */
export function actionFor(
  event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>,
  context: { readonly singleKeys: boolean; readonly typing: boolean; readonly dialog: boolean },
): KeyAction | undefined {
  const mod = event.ctrlKey || event.metaKey;
  if (event.altKey || context.dialog || (!mod && (context.typing || !context.singleKeys))) return undefined;
  return keyActions.find((action) => action.mod === mod && action.key === event.key.toLowerCase());
}

/** Listens to the page's keys. Gives the function that ends it. */
export function listenToKeys(app: App): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.repeat) return;
    const action = actionFor(event, {
      singleKeys: app.kept.getState().view.singleKeys,
      typing: isTyping(event.target),
      dialog: document.querySelector('[role="dialog"][aria-modal="true"]') !== null,
    });
    if (!action) return;
    event.preventDefault();
    action.run(app);
  };
  window.addEventListener('keydown', onKey);
  return () => window.removeEventListener('keydown', onKey);
}

/** How a key is written on this machine's keyboard. */
export function keyLabels(action: KeyAction, mac: boolean): string[] {
  const name = action.key === 'enter' ? 'Enter' : action.key.toUpperCase();
  return action.mod ? [mac ? '⌘' : 'Ctrl', name] : [name];
}
