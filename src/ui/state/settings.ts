/**
 * From the Generate panel's fields to settings and back. A value given > the bundle's default > 30 steps, guidance 5; a
 * field that was never touched follows the model.
 */
import type { GenerateSettings, PictureSettings } from '../../protocol/generate';
import type { ModelDescription } from '../../protocol/messages';
import { maxCount } from '../../protocol/pictureSettings';
import { loadingJob, modelChanges, type EngineView } from './engineView';
import { seedProblem, type Draft } from './kept';

/** What holds where neither the user nor the model says anything. */
export const fallback = { prompt: '', steps: 30, guidance: 5 } as const;

/** Values of the fields as they stand on the page. */
export interface FieldValues {
  readonly prompt: string;
  readonly steps: number;
  readonly guidance: number;
}

export function defaultsOf(model: ModelDescription | null): FieldValues {
  if (!model) return fallback;
  const { steps, guidance, prompts } = model.defaults;
  return { prompt: prompts[0] ?? fallback.prompt, steps, guidance };
}

export function valuesOf(draft: Draft, model: ModelDescription | null): FieldValues {
  const defaults = defaultsOf(model);
  return {
    prompt: draft.prompt ?? defaults.prompt,
    steps: draft.steps ?? defaults.steps,
    guidance: draft.guidance ?? defaults.guidance,
  };
}

/** The settings of the generation that the fields describe. */
export function settingsOf(draft: Draft, model: ModelDescription): GenerateSettings {
  const { prompt, steps, guidance } = valuesOf(draft, model);
  return {
    prompts: Array.from({ length: draft.count }, () => prompt),
    steps,
    guidance,
    seed: draft.seed.trim(),
    noiseLayout: draft.noiseLayout,
  };
}

/**
 * Why nothing can be made now; '' when something can. While another model waits to be loaded nothing is queued behind
 * it: the fields still show the present one's defaults.
 */
export function generateProblem(view: EngineView, seed: string): string {
  const { state, model } = view;
  if (state.name === 'starting') return 'Looking for the graphics chip';
  if (state.name === 'device-lost') return 'Waiting for the graphics chip';
  if (state.name !== 'ready') return 'No graphics chip';
  if (loadingJob(view)) return model ? 'Another model is to be loaded' : 'The model is being loaded';
  if (!model) return 'No model is loaded';
  if (modelChanges(view)) return 'The model is being taken off';
  return seedProblem(seed) === null ? '' : 'The seed is not a number';
}

/** The fields that make a picture again. Values equal to the model's defaults follow the model again. */
export function draftFrom(settings: PictureSettings, draft: Draft, model: ModelDescription | null): Draft {
  const defaults = defaultsOf(model);
  return {
    ...draft,
    prompt: settings.prompt,
    steps: settings.steps === defaults.steps ? null : settings.steps,
    guidance: settings.guidance === defaults.guidance ? null : settings.guidance,
    seed: settings.seed,
    count: Math.min(settings.count, maxCount),
    noiseLayout: settings.noiseLayout,
  };
}

/** What taking over `settings` cannot bring back, as a sentence; null when everything can. */
export function restoreDoubt(settings: PictureSettings, model: ModelDescription | null): string | null {
  if (model && settings.model !== model.name) {
    return `It was made with the model “${settings.model}”; “${model.name}” is loaded, so the picture will differ.`;
  }
  if (settings.count > maxCount) {
    return `It comes from a batch of ${settings.count}; at most ${maxCount} are made here, so the picture will differ.`;
  }
  return null;
}

/** A seed of 32 bits. `random` gives numbers from 0 up to but not including 1. */
export function randomSeed(random: () => number = Math.random): string {
  return String(Math.floor(random() * 2 ** 32));
}
