import { describe, expect, test, vi } from 'vitest';
import { initialKept, keptKey, restoreKept, seedProblem, serializeKept } from '../../src/ui/state/kept';
import { createKeptStore } from '../../src/ui/state/keptStore';

describe('the restore door', () => {
  test('what was stored comes back', () => {
    const kept = {
      draft: {
        ...initialKept.draft,
        prompt: 'a “fox”\n😀',
        steps: 12,
        seed: '-9223372036854775808',
        count: 4,
      },
      loading: { weights: 'int8' as const, budget: 8.25e9 },
      view: { ...initialKept.view, theme: 'dark' as const, pixels: true },
    };
    expect(restoreKept(serializeKept(kept))).toEqual(kept);
  });

  test('nothing, rubbish and other versions give the initial state', () => {
    for (const text of [
      null,
      '',
      'no json',
      'null',
      '[]',
      '7',
      '{"version":3,"draft":{"prompt":"x"}}',
      '{"draft":{"prompt":"x"}}',
    ]) {
      expect(restoreKept(text)).toEqual(initialKept);
    }
  });

  test('a field that does not hold is set back alone', () => {
    const text = JSON.stringify({
      version: 2,
      draft: {
        prompt: 'kept',
        steps: 1e9,
        guidance: 'much',
        seed: 'half typed',
        count: 0,
        noiseLayout: 'mps',
        more: 1,
      },
      loading: { weights: 'int4', budget: 12e9 },
      view: 'broken',
    });
    expect(restoreKept(text)).toEqual({
      draft: { ...initialKept.draft, prompt: 'kept', seed: 'half typed' },
      loading: { weights: 'auto', budget: 12e9 },
      view: initialKept.view,
    });
  });
});

describe('version 1', () => {
  const first = (draft: unknown): string =>
    JSON.stringify({ version: 1, draft, view: { theme: 'dark', moreOpen: true } });

  test('everything typed stays, and weights that were chosen are still chosen', () => {
    const kept = restoreKept(first({ prompt: 'fox', steps: 9, seed: '4', weights: 'f32' }));
    expect(kept).toEqual({
      draft: { ...initialKept.draft, prompt: 'fox', steps: 9, seed: '4' },
      loading: { weights: 'f32', budget: null },
      view: { ...initialKept.view, theme: 'dark', moreOpen: true },
    });
  });

  test('f16 was what nobody had chosen: it is automatic now', () => {
    expect(restoreKept(first({ prompt: 'fox', weights: 'f16' })).loading.weights).toBe('auto');
    expect(restoreKept(first('broken'))).toMatchObject({ draft: initialKept.draft, view: { theme: 'dark' } });
  });
});

describe('the store behind it', () => {
  const storage = (text: string | null = null) => {
    const held = new Map(text === null ? [] : [[keptKey, text]]);
    return {
      held,
      getItem: (key: string) => held.get(key) ?? null,
      setItem: vi.fn((key: string, value: string) => void held.set(key, value)),
    };
  };

  test('writes every change, and a new one reads it', () => {
    const shared = storage();
    createKeptStore(shared).getState().setDraft({ prompt: 'panda' });
    createKeptStore(shared).getState().setLoading({ budget: 6e9 });
    const again = createKeptStore(shared).getState();
    expect(again.draft.prompt).toBe('panda');
    expect(again.loading).toEqual({ weights: 'auto', budget: 6e9 });
    expect(again.keeps).toBe(true);
  });

  test('works without storage, and says that it keeps nothing', () => {
    const full = storage();
    full.setItem.mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    const store = createKeptStore(full);
    store.getState().setDraft({ prompt: 'panda' });
    expect(store.getState()).toMatchObject({ keeps: false, draft: { prompt: 'panda' } });
    expect(createKeptStore(null).getState().keeps).toBe(false);
    const forbidden = {
      getItem: (): string => {
        throw new DOMException('no', 'SecurityError');
      },
      setItem: () => {},
    };
    expect(createKeptStore(forbidden).getState()).toMatchObject({ keeps: false, draft: initialKept.draft });
  });
});

test('seeds: 64 bits, signed or unsigned', () => {
  for (const good of ['', '0', '7', ' 12 ', '+3', '-9223372036854775808', '18446744073709551615']) {
    expect(seedProblem(good), good).toBeNull();
  }
  for (const bad of ['x', '1.5', '1e3', '0x10', '-', '-9223372036854775809', '18446744073709551616']) {
    expect(seedProblem(bad), bad).toContain('whole number');
  }
});
