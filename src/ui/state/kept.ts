/**
 * What the page keeps over reloads in localStorage: everything typed, and how the page was arranged. One key, one
 * version, one door: `restoreKept` takes whatever was ever saved, or anything else, and gives valid present data. A field
 * that does not hold is set back alone; the others stay.
 */
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
export const keptVersion = 1;

export type Theme = 'auto' | 'light' | 'dark';

/** The Generate panel's fields. null: not touched, the model's default holds. */
export interface Draft {
  readonly prompt: string | null;
  readonly steps: number | null;
  readonly guidance: number | null;
  readonly seed: string;
  readonly count: number;
  readonly noiseLayout: 'cuda' | 'cpu';
  readonly weights: 'f32' | 'f16';
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
  readonly view: View;
}

export const initialKept: Kept = {
  draft: {
    prompt: null,
    steps: null,
    guidance: null,
    seed: '0',
    count: 1,
    noiseLayout: 'cuda',
    weights: 'f16',
  },
  view: { theme: 'auto', pixels: false, singleKeys: true, moreOpen: false },
};

const { draft, view } = initialKept;

const draftSchema = z.object({
  prompt: z.string().max(maxPromptLength).nullable().catch(draft.prompt),
  steps: z.int().min(minSteps).max(maxSteps).nullable().catch(draft.steps),
  guidance: z.number().min(1).max(maxGuidance).nullable().catch(draft.guidance),
  // kept even where it is no seed: it was typed, and its field says what is wrong with it
  seed: z.string().max(100).catch(draft.seed),
  count: z.int().min(1).max(maxCount).catch(draft.count),
  noiseLayout: z.enum(['cuda', 'cpu']).catch(draft.noiseLayout),
  weights: z.enum(['f32', 'f16']).catch(draft.weights),
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
  view: viewSchema.catch(view),
});

/** Valid data from whatever the storage held: text of this version, of another, or nothing. */
export function restoreKept(text: string | null): Kept {
  if (text === null) return initialKept;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return initialKept;
  }
  const parsed = keptSchema.safeParse(value);
  return parsed.success ? { draft: parsed.data.draft, view: parsed.data.view } : initialKept;
}

/** The text that is stored. */
export function serializeKept(kept: Kept): string {
  return JSON.stringify({ version: keptVersion, draft: kept.draft, view: kept.view });
}

/** What is wrong with a seed as typed, or null. */
export function seedProblem(seed: string): string | null {
  return isSeed(seed.trim()) ? null : 'A seed is a whole number of at most 64 bits.';
}
