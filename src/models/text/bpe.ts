/**
 * Byte-pair encoding over a byte alphabet, as GPT-2 and CLIP use it.
 *
 * A word's UTF-8 bytes become printable characters of the byte alphabet; the last one may carry a suffix (`</w>`). Then
 * the adjacent pair of lowest rank is merged, leftmost first, until no pair has a rank. Words are remembered, since
 * captions repeat them.
 */
import { FormatError } from '../../core/errors';

/**
 * Character of each byte: printable ones stand for themselves (33-126, 161-172, 174-255), the other 68, in increasing
 * order, are code points 256, 257, ...
 */
export const byteAlphabet: readonly string[] = makeByteAlphabet();

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

function makeByteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** Text as characters of the byte alphabet, one per UTF-8 byte. A lone surrogate counts as U+FFFD. */
export function toByteAlphabet(text: string): string {
  let out = '';
  for (const byte of new TextEncoder().encode(text)) out += byteAlphabet[byte] as string;
  return out;
}

/** A vocabulary with its merges. */
export interface BpeModel {
  /** Id of each token. */
  readonly vocab: ReadonlyMap<string, number>;
  /** Pairs of tokens to merge, best first; each pair and what it makes are in the vocabulary. */
  readonly merges: readonly (readonly [string, string])[];
  /** Appended to a word's last character, or ''. */
  readonly endOfWord: string;
  /** Id for a character that the vocabulary lacks; undefined: it is left out. */
  readonly unknown?: number;
}

/** Encodes one word, given as characters of the byte alphabet, to ids. */
export type BpeEncoder = (word: string) => readonly number[];

interface Merge {
  readonly rank: number;
  readonly id: number;
}

const cacheLimit = 20_000;
const longestCached = 100;

/**
 * Prepares an encoder.
 * @throws FormatError when a merge names a token that is not in the vocabulary
 */
export function bpeEncoder(model: BpeModel): BpeEncoder {
  const merges = new Map<number, Merge>();
  model.merges.forEach(([left, right], rank) => {
    const idOf = (token: string): number => {
      const id = model.vocab.get(token);
      if (id === undefined) {
        throw new FormatError(
          `tokenizer: merge ${rank} (${left} ${right}) must be of tokens in the vocabulary: ${JSON.stringify(token)} is not`,
        );
      }
      return id;
    };
    const key = pairKey(idOf(left), idOf(right));
    if (!merges.has(key)) merges.set(key, { rank, id: idOf(left + right) });
  });
  const cache = new Map<string, readonly number[]>();
  return (word) => {
    const known = cache.get(word);
    if (known) return known;
    const ids = mergeAll(symbolsOf(word, model), merges);
    if (word.length <= longestCached) {
      if (cache.size >= cacheLimit) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  };
}

/** Ids are below 2^26, so the key is an exact number. */
function pairKey(left: number, right: number): number {
  return left * 0x4000000 + right;
}

function symbolsOf(word: string, model: BpeModel): number[] {
  const characters = [...word];
  const symbols: number[] = [];
  characters.forEach((character, i) => {
    const id =
      model.vocab.get(i === characters.length - 1 ? character + model.endOfWord : character) ?? model.unknown;
    if (id !== undefined) symbols.push(id);
  });
  return symbols;
}

/**
 * Merges until no pair has a rank, by rank and then from the left. A heap of candidate pairs over a linked list of
 * symbols keeps this n log n, so that a word of a million characters is no trap.
 */
function mergeAll(symbols: number[], merges: ReadonlyMap<number, Merge>): number[] {
  const count = symbols.length;
  const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
  const gone = -1;
  const heap = new CandidateHeap();
  const offer = (left: number): void => {
    const right = left < 0 ? -1 : (next[left] as number);
    if (right < 0) return;
    const merge = merges.get(pairKey(symbols[left] as number, symbols[right] as number));
    if (merge) heap.push({ rank: merge.rank, left, id: merge.id });
  };
  for (let i = 0; i + 1 < count; i++) offer(i);
  for (let top = heap.pop(); top; top = heap.pop()) {
    const { left } = top;
    const right = symbols[left] === gone ? -1 : (next[left] as number);
    if (right < 0) continue;
    // A candidate is stale when one of its symbols was merged since it was offered.
    const merge = merges.get(pairKey(symbols[left] as number, symbols[right] as number));
    if (merge?.rank !== top.rank) continue;
    symbols[left] = merge.id;
    symbols[right] = gone;
    const after = next[right] as number;
    next[left] = after;
    if (after >= 0) previous[after] = left;
    offer(previous[left] as number);
    offer(left);
  }
  return symbols.filter((symbol) => symbol !== gone);
}

interface Candidate {
  readonly rank: number;
  /** Index of the pair's left symbol. */
  readonly left: number;
  readonly id: number;
}

/** Binary heap: lowest rank first, then leftmost. */
class CandidateHeap {
  private readonly items: Candidate[] = [];

  push(item: Candidate): void {
    const items = this.items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(item, items[parent] as Candidate)) break;
      items[at] = items[parent] as Candidate;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Candidate | undefined {
    const items = this.items;
    const top = items[0];
    const last = items.pop();
    if (!last || items.length === 0) return top;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && before(items[child + 1] as Candidate, items[child] as Candidate))
        child++;
      if (!before(items[child] as Candidate, last)) break;
      items[at] = items[child] as Candidate;
      at = child;
    }
    items[at] = last;
    return top;
  }
}

function before(a: Candidate, b: Candidate): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.left < b.left);
}
