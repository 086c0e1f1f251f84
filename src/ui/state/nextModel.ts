/**
 * The next model, worked out from what the engine says of the library: what fills each place and what else could, which
 * weights fit the budget and what to change where none do, and why it cannot be loaded yet.
 */
import { formatBytes } from '../../core/units';
import type { WeightChoice } from '../../protocol/generate';
import {
  roles,
  type LibraryItem,
  type LibraryPart,
  type LibraryView,
  type MemoryPlan,
  type MissingPart,
  type PartChoice,
  type Role,
} from '../../protocol/library';

/** A part that could fill a place. */
export interface Candidate {
  readonly choice: PartChoice;
  readonly item: LibraryItem;
  readonly part: LibraryPart;
  /** Tells it from the others in a list of options. */
  readonly value: string;
}

/** A place of the next model. */
export interface Slot {
  readonly role: Role;
  readonly chosen: Candidate | null;
  /** What could fill it as it is. */
  readonly candidates: readonly Candidate[];
  /** What has its role and cannot be used; each part's `problem` says why. */
  readonly unusable: readonly Candidate[];
  readonly missing: MissingPart | null;
}

/** The places in the order in which a picture needs them. */
export function slotsOf(library: LibraryView): readonly Slot[] {
  const all = library.items.flatMap((item) =>
    item.parts.map((part, index): Candidate => {
      const choice = { item: item.id, part: index };
      return { choice, item, part, value: choiceValue(choice) };
    }),
  );
  return roles.map((role) => {
    const mine = all.filter(({ part }) => part.role === role);
    const chosen = library.chosen[role];
    return {
      role,
      chosen: (chosen && mine.find(({ value }) => value === choiceValue(chosen))) ?? null,
      candidates: mine.filter(({ part }) => part.problem === null),
      unusable: mine.filter(({ part }) => part.problem !== null),
      missing: library.missing.find((missing) => missing.role === role) ?? null,
    };
  });
}

/** A choice as the value of an option; '' is no choice. */
export function choiceValue(choice: PartChoice | null): string {
  return choice ? `${choice.part} ${choice.item}` : '';
}

/** The choice behind the value of an option. */
export function valueChoice(value: string): PartChoice | null {
  const space = value.indexOf(' ');
  return space < 0 ? null : { part: Number(value.slice(0, space)), item: value.slice(space + 1) };
}

/** The plan that a choice of weights comes to, as the engine chooses: 'auto' is f16 where it fits, else int8. */
export function planFor(plans: readonly MemoryPlan[], weights: WeightChoice): MemoryPlan | null {
  const plan = (storage: WeightChoice): MemoryPlan | null =>
    plans.find((candidate) => candidate.weights === storage) ?? null;
  if (weights !== 'auto') return plan(weights);
  const [f16, int8] = [plan('f16'), plan('int8')];
  return f16 && f16.fit !== 'none' ? f16 : (int8 ?? f16);
}

/** Whether a plan fits, in a few words. */
export function fitWords(plan: MemoryPlan, budget: number): string {
  if (plan.problem !== null) return 'cannot run here';
  switch (plan.fit) {
    case 'resident':
      return 'fits, all parts stay on the device';
    case 'staged':
      return `fits, parts come and go: ${formatBytes(plan.staged)} at a time`;
    case 'none':
      return `${formatBytes(plan.staged - budget)} too much, even part by part`;
    default:
      plan.fit satisfies never;
      return '';
  }
}

/** What to change where the chosen weights do not fit; null where they do, or where nothing is planned yet. */
export function fitAdvice(
  plans: readonly MemoryPlan[],
  weights: WeightChoice,
  budget: number,
): string | null {
  const plan = planFor(plans, weights);
  if (!plan || plan.fit !== 'none') return null;
  const fits = plans.find((other) => other.fit !== 'none' && other.problem === null);
  if (plan.problem !== null) {
    return `${plan.problem}.${fits ? ` ${fits.weights} weights can run here.` : ''}`.replace(/\.\./g, '.');
  }
  if (fits) {
    return `${plan.weights} weights do not fit a budget of ${formatBytes(budget)}; ${fits.weights} weights do.`;
  }
  const smallest = plans
    .filter(({ problem }) => problem === null)
    .reduce((least, other) => (other.staged < least.staged ? other : least), plan);
  return (
    `Nothing fits a budget of ${formatBytes(budget)}. If this device has more memory, allow at least ` +
    `${formatBytes(smallest.staged)}, which is enough for ${smallest.weights} weights, part by part.`
  );
}

/** Why the chosen model cannot be loaded; '' when it can. */
export function loadProblem(library: LibraryView | null, weights: WeightChoice): string {
  if (!library?.chosen.dit) return 'A transformer is needed first.';
  if (library.missing.length > 0) return 'Parts are missing.';
  if (library.conflicts.length > 0) return 'The parts do not fit each other.';
  const plan = planFor(library.plans, weights);
  if (plan?.fit === 'none') return 'It does not fit the budget with these weights.';
  return '';
}

/** Weights in people's words. */
export const weightWords: Readonly<Record<WeightChoice, { readonly name: string; readonly what: string }>> = {
  auto: { name: 'Auto', what: 'the finest that fits' },
  f32: { name: 'f32', what: '32 bits a number' },
  f16: { name: 'f16', what: '16 bits a number' },
  int8: { name: 'int8', what: '8 bits a number, one scale a row' },
};
