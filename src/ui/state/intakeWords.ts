/** What the page says after files were added: what each was, and what happens next. */
import { roles, type LibraryItem, type LibraryView } from '../../protocol/library';
import { roleNames } from './roles';

/** More things than this are counted, not named. */
const namedItems = 2;

export interface IntakeWords {
  readonly text: string;
  /** Nothing of it could be used. */
  readonly problem: boolean;
  /** Everything for a model is there. */
  readonly complete: boolean;
}

/** The last name of a path, cut in the middle where it is long: what tells files apart stands at both ends. */
export function shortName(path: string, limit = 36): string {
  const name = path.split('/').at(-1) ?? path;
  if (name.length <= limit) return name;
  const dot = name.lastIndexOf('.');
  const tail = dot > 0 && name.length - dot <= 12 ? name.slice(dot) : name.slice(-8);
  return `${name.slice(0, limit - tail.length - 1)}…${tail}`;
}

/** Files that only say something about others, or are passed over, are no news of their own. */
const quiet = (item: LibraryItem): boolean => item.kind === 'config' || item.kind === 'other';

/** What became of added files, given the library that they are in now. */
export function intakeWords(items: readonly LibraryItem[], library: LibraryView | null): IntakeWords {
  const told = items.filter((item) => !quiet(item));
  const useful = told.filter(({ kind }) => kind === 'model' || kind === 'bundle');
  const sentences: string[] = [];
  if (items.length === 0) sentences.push('There was nothing in it.');
  else if (told.length === 0) {
    const configs = items.filter(({ kind }) => kind === 'config').length;
    sentences.push(
      configs > 0
        ? `${count(configs, 'configuration')} taken. The weights that belong to it are still to come.`
        : items.length === 1
          ? itemSentence(items[0]!)
          : `None of the ${items.length} files is anything that tabdit uses.`,
    );
  } else if (told.length <= namedItems) {
    sentences.push(...told.map(itemSentence));
  } else {
    sentences.push(`${count(told.length, 'file')} added: ${kindCounts(told)}.`);
  }
  if (useful.length > 0 && library) sentences.push(nextSentence(library));
  return {
    text: sentences.filter(Boolean).join(' '),
    problem: items.every(({ kind }) => kind === 'refused' || kind === 'other'),
    complete: useful.length > 0 && library !== null && isComplete(library),
  };
}

/** `“dit.pt” is MicroDiT_XL_2 for 512 px, 4 latent channels.` */
export function itemSentence(item: LibraryItem): string {
  const name = `“${shortName(item.path)}”`;
  if (item.problem !== null)
    return `${name} cannot be used: ${withStop(withoutName(item.problem, item.path))}`;
  if (item.parts.length === 0) return `${name}: ${withStop(item.words)}`;
  const parts = item.parts.map(({ words }) => words).join(' and ');
  const holds = item.kind === 'bundle' || item.parts.length > 1 ? 'holds' : 'is';
  return `${name} ${holds} ${withStop(parts)}`;
}

/** Why something is refused, without the file's name in front: that stands beside it already. */
export function withoutName(problem: string, path: string): string {
  const name = path.split('/').at(-1) ?? path;
  const front = [path, name].find((start) => problem.startsWith(`${start}: `));
  return front === undefined ? problem : problem.slice(front.length + 2);
}

function nextSentence(library: LibraryView): string {
  const { missing, conflicts, chosen } = library;
  if (conflicts.length > 0) return conflicts.map(withStop).join(' ');
  if (missing.length > 0)
    return `Still missing: ${withStop(missing.map(({ words }) => inner(words)).join('; '))}`;
  return chosen.dit ? 'That is everything for a model.' : '';
}

/** Whether the next model can be loaded, as far as its parts go. */
export function isComplete({ chosen, missing, conflicts }: LibraryView): boolean {
  return chosen.dit !== null && missing.length === 0 && conflicts.length === 0;
}

/** Kinds of which nothing more is to be said, after a number. */
const kindNames: Readonly<Record<LibraryItem['kind'], readonly [one: string, many: string]>> = {
  model: ['model', 'models'],
  bundle: ['whole model', 'whole models'],
  config: ['configuration', 'configurations'],
  mds: ['dataset', 'datasets'],
  picture: ['picture', 'pictures'],
  tensors: ['file of no known model', 'files of no known model'],
  refused: ['not usable', 'not usable'],
  other: ['not used', 'not used'],
};

/** `1 transformer, 2 autoencoders, 1 not usable`. */
function kindCounts(items: readonly LibraryItem[]): string {
  const counts = new Map<string, number>();
  const add = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { kind, parts } of items) {
    if (kind === 'model') for (const { role } of parts) add(role);
    else add(kind);
  }
  const words = (name: string, n: number): string => {
    const role = roles.find((candidate) => candidate === name);
    if (role) return count(n, roleNames[role].title.toLowerCase());
    return `${n} ${kindNames[name as LibraryItem['kind']][n === 1 ? 0 : 1]}`;
  };
  return [...counts].map(([name, n]) => words(name, n)).join(', ');
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** A sentence as a part of another one. */
const inner = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, '');

const withStop = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);
