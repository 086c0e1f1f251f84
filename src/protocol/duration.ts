/**
 * Durations as Composer writes them: a number and a unit, "2500ba". Units that need a clock or a tokenizer (sec, tok,
 * iter) are not known here.
 */
import { z } from './schema';

/** ba: batches (optimizer steps); ep: epochs; sp: samples; dur: share of the whole run, from 0 to 1. */
export type DurationUnit = 'ba' | 'ep' | 'sp' | 'dur';

/** A parsed duration. */
export interface Duration {
  readonly value: number;
  readonly unit: DurationUnit;
}

const pattern = /^(\d+(?:\.\d+)?(?:e[+-]?\d+)?)(ba|ep|sp|dur)$/;

/** The duration that `text` is, or null. Shares may be fractions, everything else is whole. */
export function parseDuration(text: string): Duration | null {
  const match = pattern.exec(text.trim());
  if (!match) return null;
  const value = Number(match[1]);
  const unit = match[2] as DurationUnit;
  const fits = unit === 'dur' ? value <= 1 : Number.isSafeInteger(value);
  return fits ? { value, unit } : null;
}

const rule =
  'must be a number with a unit: ba (batches), ep (epochs), sp (samples) or dur (0 to 1 of the run)';

/** Schema of a duration's text, zero included. */
export const durationSchema = z
  .string({ error: rule })
  .refine((text) => parseDuration(text) !== null, { error: rule });

/** Schema of a duration that something takes or happens after: above zero. */
export const intervalSchema = durationSchema.refine((text) => parseDuration(text)?.value !== 0, {
  error: 'must be above zero (null: never)',
  abort: true,
});
