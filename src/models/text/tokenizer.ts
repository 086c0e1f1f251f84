/**
 * Tokenizers: text to the ids that a text tower takes. Which one a tokenizer.json asks for is decided here: the merges
 * of OpenAI's CLIP mean the reference's own tokenizer (clipTokenizer.ts, exact to it), anything else is run as its file
 * says (jsonTokenizer.ts).
 *
 * Length is always handled the reference's way: beyond the context the first `context` ids are kept and the last of
 * them becomes the end token; shorter lists are padded on the right.
 */
import { clipTokenizer, isClipMerges } from './clipTokenizer';
import type { ContextOptions, Tokenizer } from './context';
import { jsonTokenizer } from './jsonTokenizer';
import { parseTokenizerJson } from './tokenizerJson';

/**
 * The tokenizer of a parsed tokenizer.json.
 * @param what names the file in messages
 * @param options context and padding id, where they should differ from the file's
 * @throws FormatError naming the field when the file asks for something that this program does not do
 */
export function loadTokenizer(what: string, json: unknown, options: ContextOptions = {}): Tokenizer {
  const spec = parseTokenizerJson(what, json);
  return isClipMerges(spec.merges)
    ? clipTokenizer(spec.merges, { context: options.context ?? spec.context ?? 77, pad: options.pad ?? 0 })
    : jsonTokenizer(what, spec, options);
}
