/** Which generations of a run stay. */
import { InputError } from '../core/errors';

export interface Retention {
  /** The newest ones that are complete; at least two, so that one damaged on disk loses little. */
  readonly last: number;
  /** Also those whose step is a multiple of it; null: none. */
  readonly everySteps: number | null;
  /** Also the one with the best evaluation. */
  readonly best: boolean;
}

export const defaultRetention: Retention = { last: 2, everySteps: null, best: true };

/** What matters of a generation here. */
export interface KeptGeneration {
  readonly generation: number;
  /** Null when its manifest cannot be read. */
  readonly step: number | null;
  readonly evaluation: number | null;
  /** `newer`: written by a newer version of the program, which alone may judge it. */
  readonly state: 'complete' | 'damaged' | 'newer';
}

/** @throws InputError */
export function checkRetention({ last, everySteps }: Retention): void {
  if (!Number.isInteger(last) || last < 2) {
    throw new InputError(`checkpoints kept: must be a whole number from 2: ${last}`);
  }
  if (everySteps !== null && (!Number.isInteger(everySteps) || everySteps < 1)) {
    throw new InputError(
      `checkpoints kept every so many steps: must be a whole number from 1: ${everySteps}`,
    );
  }
}

/**
 * The generations to remove, oldest first. A damaged one goes when `last` complete ones are newer: until then it may hold
 * something that a person could want back.
 */
export function generationsToRemove(generations: readonly KeptGeneration[], retention: Retention): number[] {
  checkRetention(retention);
  const newestFirst = [...generations].sort((a, b) => b.generation - a.generation);
  const complete = newestFirst.filter(({ state }) => state === 'complete');
  const last = complete.slice(0, retention.last);
  const kept = new Set(last.map(({ generation }) => generation));

  const { everySteps } = retention;
  const milestones = new Set<number>();
  for (const { generation, step } of complete) {
    if (everySteps === null || step === null || step === 0 || step % everySteps !== 0) continue;
    // a step that was reached twice, after going back, stays once
    if (!milestones.has(step)) kept.add(generation);
    milestones.add(step);
  }

  if (retention.best) {
    let best: KeptGeneration | null = null;
    for (const one of complete) {
      if (one.evaluation !== null && (best?.evaluation == null || one.evaluation < best.evaluation))
        best = one;
    }
    if (best) kept.add(best.generation);
  }

  const oldestOfLast = last.length === retention.last ? (last.at(-1)?.generation ?? 0) : -1;
  return newestFirst
    .filter(({ generation, state }) => {
      if (state === 'newer') return false;
      return state === 'damaged' ? generation < oldestOfLast : !kept.has(generation);
    })
    .map(({ generation }) => generation)
    .reverse();
}
