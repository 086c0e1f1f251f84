/** A tokenizer.json as a part of a model. */
import { parseTokenizerJson } from '../models/text/tokenizerJson';
import type { IdentifiedPart } from './identifyTypes';

/**
 * Checks a parsed tokenizer.json.
 * @param manifest what a bundle says of its tokenizer
 * @throws FormatError when it is none, or asks for something that this program does not do
 */
export function identifyTokenizer(
  name: string,
  json: unknown,
  bytes: number,
  manifest?: { readonly context: number; readonly pad: number },
): IdentifiedPart {
  const spec = parseTokenizerJson(name, json);
  let vocab = 0;
  for (const id of spec.vocab.values()) vocab = Math.max(vocab, id + 1);
  for (const { id } of spec.addedTokens) vocab = Math.max(vocab, id + 1);
  const context = manifest?.context ?? spec.context ?? null;
  const pad = manifest?.pad ?? spec.pad ?? null;
  return {
    facts: {
      role: 'tokenizer',
      kind: 'tokenizer',
      words: `Tokenizer with ${vocab.toLocaleString('en')} ids`,
      prefix: '',
      config: { vocab, merges: spec.merges.length, context, pad },
      configFrom: name,
      parameters: 0,
      dtypes: {},
      bytes,
      problem: null,
    },
    content: { role: 'tokenizer', name, json, vocab, context, pad: manifest?.pad ?? null },
    notes: [],
  };
}

/** Whether a JSON object is a tokenizer.json. */
export function isTokenizerJson(json: object): boolean {
  return 'model' in json && ('added_tokens' in json || 'pre_tokenizer' in json);
}
