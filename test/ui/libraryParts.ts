/** Library items and plans for tests, complete from what a test says. */
import type { LibraryItem, LibraryPart, LibraryView, MemoryPlan, Role } from '../../src/protocol/library';

export function part(role: Role, change: Partial<LibraryPart> = {}): LibraryPart {
  const kinds = { dit: 'dit', vae: 'autoencoder-kl', text: 'clip-text', tokenizer: 'tokenizer' } as const;
  return {
    ...{ role, kind: kinds[role], words: `the ${role}`, prefix: '', config: {}, configFrom: 'its shapes' },
    ...{ parameters: 10, dtypes: { F32: 10 }, bytes: 40, problem: null },
    ...change,
  };
}

export function item(path: string, change: Partial<LibraryItem> = {}): LibraryItem {
  return {
    ...{ id: `id of ${path}`, path, kind: 'model', format: 'safetensors', words: 'A model.', bytes: 40 },
    ...{ parts: [], tensors: 0, notes: [], problem: null },
    ...change,
  };
}

export function plan(weights: MemoryPlan['weights'], change: Partial<MemoryPlan> = {}): MemoryPlan {
  return { weights, parts: [], total: 4e9, staged: 3e9, fit: 'resident', problem: null, ...change };
}

export function library(change: Partial<LibraryView> = {}): LibraryView {
  const chosen = { dit: null, vae: null, text: null, tokenizer: null };
  return { items: [], chosen, missing: [], conflicts: [], plans: [], budget: 4e9, ...change };
}
