/**
 * When the exponential moving average of the weights is taken, as Composer's algorithm does it. Upstream's 512 px stages
 * configure it, but its trainer knows no such algorithm and runs without.
 */

/** A moving average counted in batches. */
export interface EmaTiming {
  readonly smoothing: number;
  /** The weights are copied at the end of the batch that brings the count to this. */
  readonly start: number;
  /** Afterwards averaged in whenever the count is a multiple of this; default 1. */
  readonly every?: number;
}

/** Weight of the current values in the moving average after step `step` (from 0): 1 copies, 0 does nothing. */
export function emaRate(ema: EmaTiming | null, step: number): number {
  if (!ema) return 0;
  const count = step + 1;
  const start = Math.max(1, ema.start); // at 0 too the first copy is taken when the first batch ends
  if (count < start) return 0;
  if (count === start) return 1;
  return count % (ema.every ?? 1) === 0 ? 1 - ema.smoothing : 0;
}

/** Smoothing whose weight of a value halves in `halfLife` batches when averaged in every `every` batches. */
export function smoothingOfHalfLife(halfLife: number, every: number): number {
  return Math.exp(-Math.LN2 / (halfLife / every));
}
