/**
 * Which parts fill the roles of the next model when files come: the newest that fit each other, without breaking up a
 * model that is whole.
 *
 * - A new bundle fills every role.
 * - A chosen bundle stays until other parts make a whole model with a new one among them.
 * - Otherwise new parts fill empty roles, and replace others where they fit the rest.
 */
import { roles, type PartChoice, type Role } from '../protocol/library';
import type { Identified, PartContent } from './identifyTypes';
import { conflictsOf, missingParts, type PartSet } from './modelSet';

/** What fills each role. */
export type Choices = Readonly<Record<Role, PartChoice | null>>;

export const noChoices: Choices = { dit: null, vae: null, text: null, tokenizer: null };

type Items = ReadonlyMap<string, Identified>;

/** The contents of chosen parts. */
export function chosenParts(items: Items, choices: Choices): PartSet {
  const content = (role: Role): PartContent | null => {
    const choice = choices[role];
    return (choice && items.get(choice.item)?.parts[choice.part]?.content) ?? null;
  };
  return Object.fromEntries(roles.map((role) => [role, content(role)])) as unknown as PartSet;
}

/** A part that may be chosen without being asked for. */
interface Offer {
  readonly role: Role;
  readonly choice: PartChoice;
  readonly isNew: boolean;
  /** Lower is better. */
  readonly rank: number;
}

/** Tiny autoencoders and files with half of what is needed come last, safetensors before others. */
function rankOf({ facts }: Identified, content: PartContent): number {
  let rank = facts.format === 'safetensors' ? 0 : 1;
  if (content.role === 'vae') {
    if (content.model.kind === 'taesd') rank += 10;
    if (content.half === 'encoder') rank += 100;
  }
  return rank;
}

/** A tiny autoencoder of 16 channels is for other latents than the released model's: only who asks for it gets it. */
function isOffered(content: PartContent): boolean {
  return (
    content.role !== 'vae' || content.model.kind !== 'taesd' || content.model.config.latent_channels === 4
  );
}

/** Loose parts by role: new ones first, of these the better ones, then older ones from the newest on. */
function offersOf(items: Items, isNew: (id: string) => boolean): Offer[] {
  const offers: Offer[] = [];
  let age = items.size;
  for (const [id, item] of items) {
    age--;
    if (item.bundle) continue;
    for (const [part, { content }] of item.parts.entries()) {
      if (!content || !isOffered(content)) continue;
      const order = isNew(id) ? rankOf(item, content) : 1000 * (age + 1) + rankOf(item, content);
      offers.push({ role: content.role, choice: { item: id, part }, isNew: isNew(id), rank: order });
    }
  }
  return offers.sort((a, b) => a.rank - b.rank);
}

/**
 * The choices after files came.
 * @param items every item, the newest last
 * @param added ids of those that are new, or newly of use
 */
export function chooseParts(items: Items, current: Choices, added: readonly string[]): Choices {
  const bundle = added.findLast((id) => items.get(id)?.bundle);
  if (bundle !== undefined) {
    const parts = items.get(bundle)!.parts;
    const choices = roles.map((role) => {
      const part = parts.findIndex(({ facts }) => facts.role === role);
      return [role, part < 0 ? null : { item: bundle, part }] as const;
    });
    return Object.fromEntries(choices) as unknown as Choices;
  }
  const news = new Set(added);
  const offers = offersOf(items, (id) => news.has(id));
  if (!offers.some(({ isNew }) => isNew)) return current;
  const whole = wholeModel(items, offers);
  const fits = (choices: Choices): boolean => conflictsOf(chosenParts(items, choices)).length === 0;
  const isWhole = (choices: Choices): boolean =>
    fits(choices) && missingParts(chosenParts(items, choices)).length === 0;
  const newRoles = roles.filter((role) => offers.some((offer) => offer.isNew && offer.role === role));
  if (whole && newRoles.every((role) => news.has(whole[role]?.item ?? ''))) return whole;
  const bundled = roles.some((role) => current[role] && items.get(current[role].item)?.bundle);
  if (bundled && isWhole(current)) return whole ?? current;

  let choices = current;
  for (const role of roles) {
    const own = offers.filter((offer) => offer.role === role && offer.isNew);
    const best = own.find(({ choice }) => fits({ ...choices, [role]: choice }));
    if (best) choices = { ...choices, [role]: best.choice };
    else if (own[0] && choices[role] === null) choices = { ...choices, [role]: own[0].choice };
  }
  return isWhole(choices) ? choices : (whole ?? choices);
}

/** Parts of a role that are tried with the others. */
const maxTried = 12;

/** The first set of loose parts that lacks nothing, fits, and has a new part in it; null: there is none. */
function wholeModel(items: Items, offers: readonly Offer[]): Choices | null {
  const of = (role: Role): readonly Offer[] =>
    offers.filter((offer) => offer.role === role).slice(0, maxTried);
  const tokenizers = [...of('tokenizer'), null];
  for (const dit of of('dit')) {
    for (const text of of('text')) {
      for (const vae of of('vae')) {
        for (const tokenizer of tokenizers) {
          const picked = [dit, text, vae, ...(tokenizer ? [tokenizer] : [])];
          if (!picked.some(({ isNew }) => isNew)) continue;
          const choices = picked.reduce<Choices>(
            (chosen, { role, choice }) => ({ ...chosen, [role]: choice }),
            noChoices,
          );
          const parts = chosenParts(items, choices);
          if (conflictsOf(parts).length === 0 && missingParts(parts).length === 0) return choices;
        }
      }
    }
  }
  return null;
}
