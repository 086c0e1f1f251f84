/**
 * Learning-rate schedules, as Composer computes them, with its off-by-one: the scheduler steps before the batch counter
 * does, so batch 0 uses f(0) and batch b >= 1 uses f(b - 1).
 */
import { InputError } from '../core/errors';

export type Schedule =
  | { readonly kind: 'cosine'; readonly warmup: number; readonly tMax: number; readonly alphaF: number }
  | { readonly kind: 'constant'; readonly warmup: number; readonly alpha: number };

/** Factor f(b) of the base learning rate. @throws InputError */
export function scheduleFactor(schedule: Schedule, batch: number): number {
  const { warmup } = schedule;
  if (!(batch >= 0)) throw new InputError(`schedule: batches are counted from 0: ${batch}`);
  if (schedule.kind === 'constant')
    return batch < warmup ? (batch / warmup) * schedule.alpha : schedule.alpha;
  if (batch < warmup) return batch / warmup;
  const { tMax, alphaF } = schedule;
  if (tMax <= warmup) throw new InputError(`schedule: t_max is more than the warm-up: ${tMax} and ${warmup}`);
  const x = Math.min(1, (batch - warmup) / (tMax - warmup));
  return alphaF + ((1 - alphaF) * (1 + Math.cos(Math.PI * x))) / 2;
}

/** Factor that optimizer step `batch` (from 0) really runs at; `lag` false leaves Composer's off-by-one out. */
export function usedFactor(schedule: Schedule, batch: number, lag = true): number {
  return scheduleFactor(schedule, lag ? Math.max(0, batch - 1) : batch);
}
