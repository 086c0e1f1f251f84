/** What every tokenizer gives, and how a list of ids is fitted to a text tower's context. */

/** Ids ready for the tower. */
export interface Tokens {
  /** `context` ids, padded. */
  readonly ids: Int32Array<ArrayBuffer>;
  /** How many of them are not padding; at most `context`. */
  readonly count: number;
  /** The text had more ids than the context holds. */
  readonly truncated: boolean;
}

/** Text to ids. */
export interface Tokenizer {
  /** Ids per text. */
  readonly context: number;
  /** Number of ids that the vocabulary has: one more than the largest. */
  readonly vocabSize: number;
  tokenize(text: string): Tokens;
}

/** Where a bundle or the user overrules a tokenizer's file. */
export interface ContextOptions {
  readonly context?: number;
  /** Id that fills up short texts. */
  readonly pad?: number;
}

/** Cuts to `context`, the end token last, or pads on the right. */
export function fitContext(
  ids: readonly number[],
  context: number,
  pad: number,
  end: number | undefined,
): Tokens {
  const out = new Int32Array(context).fill(pad);
  const truncated = ids.length > context;
  out.set(truncated ? ids.slice(0, context) : ids);
  if (truncated && end !== undefined) out[context - 1] = end;
  return { ids: out, count: Math.min(ids.length, context), truncated };
}
