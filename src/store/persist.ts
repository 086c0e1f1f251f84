/**
 * Whether what is stored stays, and whether there is room, in sentences for the user. A refusal is normal: browsers
 * decide by how much a site is used, and most keep its data anyway.
 */
import { messageOf } from '../core/errors';
import { formatBytes } from '../core/units';

/** The part of navigator.storage that is used here. */
export interface StorageManagerPort {
  persisted(): Promise<boolean>;
  /** Missing in workers: only the page may ask. */
  persist?(): Promise<boolean>;
  estimate(): Promise<{ readonly usage?: number; readonly quota?: number }>;
}

/** The browser's; null where there is none (an address that is not secure). */
export function browserStorageManager(): StorageManagerPort | null {
  return globalThis.navigator?.storage ?? null;
}

export interface Persistence {
  /** `ask`: not persistent yet, and the page has to ask; `unknown`: the browser does not tell. */
  readonly state: 'persistent' | 'refused' | 'ask' | 'unknown';
  readonly text: string;
}

/** Asks the browser not to clear this site's data by itself. Never throws. */
export async function askToPersist(manager: StorageManagerPort | null): Promise<Persistence> {
  if (!manager) {
    return { state: 'unknown', text: 'This browser does not tell whether it keeps data of this site.' };
  }
  const persistent: Persistence = {
    state: 'persistent',
    text: 'Runs stay in this browser until you delete them or clear the data of this site.',
  };
  try {
    if (await manager.persisted()) return persistent;
    if (!manager.persist) {
      return {
        state: 'ask',
        text: 'The browser has not been asked yet to keep the runs: the page must ask.',
      };
    }
    if (await manager.persist()) return persistent;
    return {
      state: 'refused',
      text: 'The browser may clear runs by itself when the disk is nearly full or this site is not visited for a while: it did not promise to keep them. Save a run that matters as a file.',
    };
  } catch (thrown) {
    return {
      state: 'unknown',
      text: `The browser did not answer whether it keeps data of this site: ${messageOf(thrown)}`,
    };
  }
}

export interface Room {
  /** Bytes that the browser still grants this site; null when it does not tell. */
  readonly free: number | null;
  /** Null when the browser does not tell. */
  readonly fits: boolean | null;
  readonly text: string;
}

/**
 * Whether `bytes` more fit into this site's quota. Browsers estimate: what was deleted a moment ago may still count. So
 * this is for telling people, not for refusing to try. Never throws.
 *
 * @param what subject of the sentence, such as `The next checkpoint`
 */
export async function roomFor(
  manager: Pick<StorageManagerPort, 'estimate'> | null,
  bytes: number,
  what: string,
): Promise<Room> {
  const need = `${what} takes ${formatBytes(bytes)}`;
  const unknown: Room = {
    free: null,
    fits: null,
    text: `${need}; this browser does not tell how much room there is.`,
  };
  let estimate: { readonly usage?: number; readonly quota?: number };
  try {
    estimate = manager ? await manager.estimate() : {};
  } catch {
    return unknown;
  }
  const { usage, quota } = estimate;
  if (usage === undefined || quota === undefined) return unknown;
  const free = Math.max(0, quota - usage);
  const fits = bytes <= free;
  const left = `${formatBytes(free)} of the ${formatBytes(quota)} that the browser grants this site`;
  const text = fits
    ? `${need}; ${left} are free.`
    : `${need} and will not fit: only ${left} are free. Delete runs that are done, or free space on the disk.`;
  return { free, fits, text };
}
