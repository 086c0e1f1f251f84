/**
 * Offsets in a scratch arena: values whose lifetimes do not overlap share memory.
 *
 * Greedy by size (largest first, lowest fitting offset), which is within a few percent of optimal for networks. The
 * arena is cut into pages because a buffer has a size limit; a value never crosses a page.
 */
import { LimitError } from '../core/errors';

/** A value to place: `first` and `last` are the dispatches between which its bytes must survive, both included. */
export interface ArenaRequest {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /** For messages. */
  readonly label: string;
}

export interface ArenaSlot {
  readonly page: number;
  readonly offset: number;
}

export interface ArenaLayout {
  readonly slots: readonly ArenaSlot[];
  /** Bytes of each page. */
  readonly pages: readonly number[];
}

const align = (value: number, step: number): number => Math.ceil(value / step) * step;

/**
 * Places every request.
 * @throws LimitError when one value is larger than a page may be.
 */
export function planArena(
  requests: readonly ArenaRequest[],
  limits: { pageBytes: number; alignment: number },
): ArenaLayout {
  const order = requests.map((_, index) => index);
  order.sort((a, b) => requests[b]!.bytes - requests[a]!.bytes || a - b);
  const slots = new Array<ArenaSlot>(requests.length);
  const pages: number[] = [];
  const placed: { page: number; offset: number; end: number; first: number; last: number }[] = [];

  for (const index of order) {
    const request = requests[index]!;
    const bytes = align(Math.max(request.bytes, 4), limits.alignment);
    if (bytes > limits.pageBytes) {
      throw new LimitError(
        `${request.label}: one value may take at most ${limits.pageBytes} bytes on this device: ${bytes} bytes`,
      );
    }
    const alive = placed.filter((other) => other.first <= request.last && request.first <= other.last);
    let slot: ArenaSlot | null = null;
    for (let page = 0; slot === null; page++) {
      const taken = alive.filter((other) => other.page === page).sort((a, b) => a.offset - b.offset);
      let offset = 0;
      for (const other of taken) {
        if (offset + bytes <= other.offset) break;
        offset = Math.max(offset, other.end);
      }
      if (offset + bytes <= limits.pageBytes) slot = { page, offset };
    }
    slots[index] = slot;
    placed.push({ ...slot, end: slot.offset + bytes, first: request.first, last: request.last });
    pages[slot.page] = Math.max(pages[slot.page] ?? 0, slot.offset + bytes);
  }
  return { slots, pages };
}
