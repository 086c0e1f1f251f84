/**
 * The tokenizer of OpenAI's CLIP as the reference runs it (open_clip's SimpleTokenizer with lower-casing): from the
 * merges alone, since its ids follow from them.
 *
 * Ids: 0-255 the byte alphabet (printable bytes first), 256-511 the same with `</w>`, then one per merge, then start and
 * end. A Hugging Face tokenizer.json with these merges differs from it in corners (special strings after punctuation,
 * the long s, final sigma, U+0345), which is why this exists beside jsonTokenizer.ts.
 */
import { fixText } from '../../core/fixText';
import { unescapeHtml } from '../../core/html';
import { repairMojibake } from '../../core/mojibake';
import { pythonSpace, trimmer, whiteSpace } from '../../core/whitespace';
import { bpeEncoder, byteAlphabet, toByteAlphabet } from './bpe';
import type { ContextOptions, Tokenizer } from './context';
import { fitContext } from './context';

const spaceRun = new RegExp(`[${whiteSpace}]+`, 'g');
const strip = trimmer(pythonSpace);

/**
 * Pieces of lower-case text. The reference's pattern ignores case, which lets the long s stand for s and makes U+0345
 * match nothing, so that it vanishes and parts its neighbours.
 */
const pieces = new RegExp(
  `<[sſ]tart_of_text>|<end_of_text>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^${whiteSpace}\\p{L}\\p{N}\\u0345]+`,
  'gu',
);

const mergeCount = 48894;
const startText = '<start_of_text>';
const endText = '<end_of_text>';

/** Whether these are CLIP's merges: their number, the first and the last. */
export function isClipMerges(merges: readonly (readonly [string, string])[]): boolean {
  return (
    merges.length === mergeCount &&
    merges[0]?.join(' ') === 'i n' &&
    merges.at(-1)?.join(' ') === 'jeky ll</w>'
  );
}

/** The steps before splitting: text repair with that of its encoding, HTML references twice, white space, case. */
export function cleanClipText(text: string): string {
  const plain = strip(unescapeHtml(unescapeHtml(fixText(text, repairMojibake))));
  return strip(plain.replace(spaceRun, ' ')).toLowerCase();
}

/** The tokenizer, and its second half for text that is clean already. */
export interface ClipTokenizer extends Tokenizer {
  /** Ids of cleaned text, with start and end, not cut and not padded. */
  encodeClean(text: string): number[];
}

/**
 * Builds the tokenizer; default context 77, padded with 0 as the reference does.
 * @throws FormatError when the merges do not follow from each other
 */
export function clipTokenizer(
  merges: readonly (readonly [string, string])[],
  options: ContextOptions = {},
): ClipTokenizer {
  const { context = 77, pad = 0 } = options;
  const vocab = new Map<string, number>();
  // Printable bytes stand for themselves, so their characters sort before those of the other 68.
  const alphabet = [...byteAlphabet].sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0));
  for (const character of alphabet) vocab.set(character, vocab.size);
  for (const character of alphabet) vocab.set(`${character}</w>`, vocab.size);
  let id = vocab.size;
  for (const [left, right] of merges) vocab.set(left + right, id++);
  const start = id;
  const end = id + 1;
  const encodeWord = bpeEncoder({ vocab, merges, endOfWord: '</w>' });

  const encodeClean = (text: string): number[] => {
    const ids = [start];
    for (const [piece] of text.matchAll(pieces)) {
      if (piece === startText) ids.push(start);
      else if (piece === endText) ids.push(end);
      else for (const wordId of encodeWord(toByteAlphabet(piece))) ids.push(wordId);
    }
    ids.push(end);
    return ids;
  };
  return {
    context,
    vocabSize: end + 1,
    encodeClean,
    tokenize: (text) => fitContext(encodeClean(cleanClipText(text)), context, pad, end),
  };
}

/** The merges of a `bpe_simple_vocab_16e6.txt`: a header line, one merge per line; what follows CLIP's is not used. */
export function parseClipMerges(text: string): [string, string][] {
  return text
    .split('\n')
    .slice(1, 1 + mergeCount)
    .map((line) => {
      const [left = '', right = ''] = line.split(' ');
      return [left, right];
    });
}
