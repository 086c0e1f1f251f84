/** Scratch memory: values alive together never share bytes, and values that are not do. */
import { describe, expect, test } from 'vitest';
import { LimitError } from '../../src/core/errors';
import { planArena, type ArenaRequest } from '../../src/graph/arena';
import { randomBelow } from '../helpers/randomGraph';

const limits = { pageBytes: 1 << 20, alignment: 256 };

function randomRequests(seed: number): ArenaRequest[] {
  const below = randomBelow(seed);
  return Array.from({ length: 1 + below(80) }, (_, index) => {
    const first = below(100);
    return {
      bytes: 1 + below(1 << (4 + below(14))),
      first,
      last: first + below(1 << below(6)),
      label: `value ${index}`,
    };
  });
}

/** Most bytes alive at once, each rounded up to the alignment: no layout in one page can be smaller. */
function peakBytes(requests: readonly ArenaRequest[]): number {
  let peak = 0;
  for (let time = 0; time < 200; time++) {
    let alive = 0;
    for (const { bytes, first, last } of requests) {
      if (first <= time && time <= last) alive += Math.ceil(Math.max(bytes, 4) / 256) * 256;
    }
    peak = Math.max(peak, alive);
  }
  return peak;
}

describe('arena', () => {
  test('values alive at the same time never share bytes', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const requests = randomRequests(seed);
      // small pages in every second round, so that several are needed
      const pageBytes = seed % 2 === 0 ? limits.pageBytes : 1 << 17;
      const { slots, pages } = planArena(requests, { ...limits, pageBytes });
      requests.forEach((a, i) => {
        const slot = slots[i]!;
        expect(slot.offset % 256).toBe(0);
        expect(slot.offset + a.bytes).toBeLessThanOrEqual(pages[slot.page]!);
        requests.slice(0, i).forEach((b, j) => {
          const other = slots[j]!;
          const together = a.first <= b.last && b.first <= a.last && slot.page === other.page;
          if (!together) return;
          const apart = slot.offset >= other.offset + b.bytes || other.offset >= slot.offset + a.bytes;
          expect(apart, `seed ${seed}: ${a.label} and ${b.label} share bytes while both are alive`).toBe(
            true,
          );
        });
      });
      for (const bytes of pages) expect(bytes).toBeLessThanOrEqual(pageBytes);
    }
  });

  test('memory is close to the most that is alive at once', () => {
    let used = 0;
    let needed = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const requests = randomRequests(seed);
      const { pages } = planArena(requests, { pageBytes: 1 << 30, alignment: 256 });
      expect(pages).toHaveLength(1);
      used += pages[0]!;
      needed += peakBytes(requests);
    }
    expect(used / needed).toBeGreaterThanOrEqual(1);
    expect(used / needed).toBeLessThan(1.1);
  });

  test('a chain of equal values takes two of them', () => {
    const requests = Array.from({ length: 50 }, (_, i) => ({
      bytes: 1000,
      first: i,
      last: i + 1,
      label: `${i}`,
    }));
    expect(planArena(requests, limits).pages).toEqual([2048]);
  });

  test('the same requests give the same layout', () => {
    const requests = randomRequests(7);
    expect(planArena(requests, limits)).toEqual(planArena(requests, limits));
  });

  test('nothing to place takes nothing', () => {
    expect(planArena([], limits)).toEqual({ slots: [], pages: [] });
  });

  test('a value larger than a page is named', () => {
    const request = { bytes: (1 << 20) + 1, first: 0, last: 1, label: 'blocks.3/attn' };
    expect(() => planArena([request], limits)).toThrow(LimitError);
    expect(() => planArena([request], limits)).toThrow(
      'blocks.3/attn: one value may take at most 1048576 bytes on this device: 1048832 bytes',
    );
  });
});
