/**
 * What the page keeps over reloads in localStorage: everything typed, how models are to be loaded, and how the page was
 * arranged. One key, one version, one door: `restoreKept` takes whatever was ever saved, or anything else, and gives
 * valid present data. A field that does not hold is set back alone; the others stay.
 */
import type { WeightChoice } from '../../protocol/generate';
import {
  isSeed,
  maxCount,
  maxGuidance,
  maxPromptLength,
  maxSteps,
  minSteps,
} from '../../protocol/pictureSettings';
import { z } from '../../protocol/schema';

export const keptKey = 'tabdit.page';
export const keptVersion = 2;

export type Theme = 'auto' | 'light' | 'dark';

/** The Generate panel's fields. null: not touched, the model's default holds. */
export interface Draft {
  readonly prompt: string | null;
  readonly steps: number | null;
  readonly guidance: number | null;
  readonly seed: string;
  readonly count: number;
  readonly noiseLayout: 'cuda' | 'cpu';
}

/** How the next model is loaded. */
export interface Loading {
  readonly weights: WeightChoice;
  /** Bytes that a model may take on the device; null: what the adapter suggests. */
  readonly budget: number | null;
}

export interface View {
  readonly theme: Theme;
  /** Show small pictures with hard pixels instead of smoothed. */
  readonly pixels: boolean;
  /** Keys without Ctrl or Cmd act. */
  readonly singleKeys: boolean;
  readonly moreOpen: boolean;
}

export interface Kept {
  readonly draft: Draft;
  readonly loading: Loading;
  readonly view: View;
}

/** Every choice of weights, in the order in which they are shown. */
export const weightChoices: readonly WeightChoice[] = ['auto', 'f32', 'f16', 'int8'];

/** Budgets that can be asked for, in bytes. */
export const minBudget = 100e6;
export const maxBudget = 1024e9;

export const initialKept: Kept = {
  draft: {
    prompt: null,
    steps: null,
    guidance: null,
    seed: '0',
    count: 1,
    noiseLayout: 'cuda',
  },
  loading: { weights: 'auto', budget: null },
  view: { theme: 'auto', pixels: false, singleKeys: true, moreOpen: false },
};

const { draft, loading, view } = initialKept;

const draftSchema = z.object({
  prompt: z.string().max(maxPromptLength).nullable().catch(draft.prompt),
  steps: z.int().min(minSteps).max(maxSteps).nullable().catch(draft.steps),
  guidance: z.number().min(1).max(maxGuidance).nullable().catch(draft.guidance),
  // kept even where it is no seed: it was typed, and its field says what is wrong with it
  seed: z.string().max(100).catch(draft.seed),
  count: z.int().min(1).max(maxCount).catch(draft.count),
  noiseLayout: z.enum(['cuda', 'cpu']).catch(draft.noiseLayout),
});

const loadingSchema = z.object({
  weights: z.enum(['auto', 'f32', 'f16', 'int8']).catch(loading.weights),
  budget: z.number().min(minBudget).max(maxBudget).nullable().catch(loading.budget),
});

const viewSchema = z.object({
  theme: z.enum(['auto', 'light', 'dark']).catch(view.theme),
  pixels: z.boolean().catch(view.pixels),
  singleKeys: z.boolean().catch(view.singleKeys),
  moreOpen: z.boolean().catch(view.moreOpen),
});

const keptSchema = z.object({
  version: z.literal(keptVersion),
  draft: draftSchema.catch(draft),
  loading: loadingSchema.catch(loading),
  view: viewSchema.catch(view),
});

const firstVersion = z.looseObject({
  version: z.literal(1),
  draft: z.looseObject({ weights: z.unknown() }).catch({ weights: undefined }),
});

/**
 * Version 1 kept the weights among the fields, f16 where nothing had been chosen: that is today's automatic choice, f32
 * was meant.
 */
function migrate(value: unknown): unknown {
  const first = firstVersion.safeParse(value);
  if (!first.success) return value;
  const weights = first.data.draft.weights === 'f32' ? 'f32' : loading.weights;
  return { ...first.data, version: keptVersion, loading: { ...loading, weights } };
}

/** Valid data from whatever the storage held: text of this version, of another, or nothing. */
export function restoreKept(text: string | null): Kept {
  if (text === null) return initialKept;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return initialKept;
  }
  const parsed = keptSchema.safeParse(migrate(value));
  if (!parsed.success) return initialKept;
  const { version: _version, ...kept } = parsed.data;
  return kept;
}

/** The text that is stored. */
export function serializeKept({ draft, loading, view }: Kept): string {
  return JSON.stringify({ version: keptVersion, draft, loading, view });
}

/** What is wrong with a seed as typed, or null. */
export function seedProblem(seed: string): string | null {
  return isSeed(seed.trim()) ? null : 'A seed is a whole number of at most 64 bits.';
}
