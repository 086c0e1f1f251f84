/**
 * Runs a tokenizer.json: added tokens, cleaning, splitting, byte-level BPE, template. The same ids as Hugging Face's
 * tokenizers library, except for the length rule (context.ts), where the reference's holds.
 */
import { FormatError, messageOf } from '../../core/errors';
import { trimmer, whiteSpace } from '../../core/whitespace';
import { bpeEncoder, toByteAlphabet } from './bpe';
import type { ContextOptions, Tokenizer } from './context';
import { fitContext } from './context';
import type { AddedToken, NormalizerStep, PreTokenizerStep, TokenizerSpec } from './tokenizerJson';

/** How ByteLevel splits when asked to: GPT-2's pattern. */
const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Builds the tokenizer.
 * @throws FormatError when the file says no context and none is given, or holds a pattern that cannot be run
 */
export function jsonTokenizer(what: string, spec: TokenizerSpec, options: ContextOptions = {}): Tokenizer {
  const context = options.context ?? spec.context;
  if (context === undefined) {
    throw new FormatError(
      `${what}: tokenizer.json: must say a length (fixed padding or truncation): it says none`,
    );
  }
  const pad = options.pad ?? spec.pad ?? 0;
  const end = spec.template.after.at(-1);
  const normalize = chain(spec.normalizer.map((step) => normalizer(what, step)));
  const split = splitter(what, spec.preTokenizer);
  const encodeWord = bpeEncoder(spec);
  const rawTokens = finder(
    spec.addedTokens.filter((token) => !token.normalized),
    (content) => content,
  );
  const cleanTokens = finder(
    spec.addedTokens.filter((token) => token.normalized),
    normalize,
  );

  const encode = (text: string): number[] => {
    const ids = [...spec.template.before];
    for (const raw of rawTokens(text)) {
      if (typeof raw === 'number') {
        ids.push(raw);
        continue;
      }
      for (const clean of cleanTokens(normalize(raw))) {
        if (typeof clean === 'number') ids.push(clean);
        else for (const word of split(clean)) for (const id of encodeWord(word)) ids.push(id);
      }
    }
    ids.push(...spec.template.after);
    return ids;
  };
  let largest = -1;
  for (const id of spec.vocab.values()) largest = Math.max(largest, id);
  for (const { id } of spec.addedTokens) largest = Math.max(largest, id);
  return {
    context,
    vocabSize: largest + 1,
    tokenize: (text) => fitContext(encode(text), context, pad, end),
  };
}

type TextStep = (text: string) => string;

function chain(textSteps: readonly TextStep[]): TextStep {
  return (text) => textSteps.reduce((result, step) => step(result), text);
}

function normalizer(what: string, step: NormalizerStep): TextStep {
  switch (step.type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(step.type);
    case 'Lowercase':
      // Character by character: the library knows no context, so a final sigma becomes an ordinary one.
      return (text) => [...text].map((character) => character.toLowerCase()).join('');
    case 'Replace': {
      const pattern = toRegExp(what, step.pattern);
      return (text) => text.replace(pattern, () => step.content);
    }
    case 'Strip': {
      const strip = trimmer(whiteSpace);
      return (text) => strip(text, step.strip_left, step.strip_right);
    }
  }
}

/** Text to words in the byte alphabet. */
function splitter(what: string, splitSteps: readonly PreTokenizerStep[]): (text: string) => string[] {
  const functions = splitSteps.map((step): ((words: string[]) => string[]) => {
    if (step.type === 'Split') {
      const pattern = toRegExp(what, step.pattern);
      return step.behavior === 'Removed'
        ? (words) => words.flatMap((word) => word.match(pattern) ?? [])
        : (words) => words.flatMap((word) => isolate(word, pattern));
    }
    const pattern = toRegExp(what, { Regex: gpt2Pattern });
    const cut = step.use_regex ?? true;
    return (words) =>
      words.flatMap((word) => (cut ? isolate(word, pattern) : [word])).map((word) => toByteAlphabet(word));
  });
  if (!splitSteps.some((step) => step.type === 'ByteLevel')) {
    throw new FormatError(
      `${what}: tokenizer.json: pre_tokenizer must be byte-level: it has no ByteLevel step`,
    );
  }
  return (text) => functions.reduce((words, step) => step(words), [text]);
}

/** Matches and what lies between them, each by itself. */
function isolate(word: string, pattern: RegExp): string[] {
  const parts: string[] = [];
  let at = 0;
  for (const match of word.matchAll(pattern)) {
    if (match.index > at) parts.push(word.slice(at, match.index));
    if (match[0] !== '') parts.push(match[0]);
    at = match.index + match[0].length;
  }
  if (at < word.length) parts.push(word.slice(at));
  return parts;
}

/** Cuts text at added tokens (leftmost, longest): pieces of text and ids of tokens. */
function finder(tokens: readonly AddedToken[], prepare: TextStep): (text: string) => (string | number)[] {
  const ids = new Map(tokens.map((token) => [prepare(token.content), token.id]));
  ids.delete('');
  if (ids.size === 0) return (text) => [text];
  const contents = [...ids.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(contents.map(escapeRegExp).join('|'), 'gu');
  return (text) => isolate(text, pattern).map((part) => ids.get(part) ?? part);
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/**
 * A pattern of the library's regex dialect (Oniguruma) as a JavaScript one. The dialects agree on what tokenizers use
 * except for the classes: \s, \S and \d are Unicode's there. Others that differ are refused.
 * @throws FormatError
 */
function toRegExp(what: string, pattern: { Regex: string } | { String: string }): RegExp {
  if ('String' in pattern) return new RegExp(escapeRegExp(pattern.String), 'gu');
  const source = pattern.Regex;
  let inClass = false;
  const translated = source.replace(/\\(.)|[[\]]/gsu, (token, escaped: string | undefined) => {
    if (token === '[') inClass = true;
    if (token === ']') inClass = false;
    if (escaped === 's') return inClass ? whiteSpace : `[${whiteSpace}]`;
    if (escaped === 'S' && !inClass) return `[^${whiteSpace}]`;
    if (escaped === 'd') return '\\p{Nd}';
    if (escaped !== undefined && /[SDwWbBhHXRKGAzZQE]/.test(escaped)) {
      throw new FormatError(
        `${what}: tokenizer.json: pattern must not use ${token}${inClass ? ' in a class' : ''}: ${source}`,
      );
    }
    return token;
  });
  try {
    return new RegExp(translated, 'gu');
  } catch (error) {
    throw new FormatError(
      `${what}: tokenizer.json: pattern must be a regular expression: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}
