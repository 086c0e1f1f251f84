/**
 * Hugging Face tokenizer.json: what it asks for, checked field by field. The forms read here are those of byte-level
 * BPE tokenizers (CLIP's and its like); anything else is refused by name rather than silently tokenized otherwise.
 */
import { FormatError } from '../../core/errors';
import { issueText } from '../../core/schemaIssue';
import { z } from '../../protocol/schema';

const pattern = z.union([z.strictObject({ Regex: z.string() }), z.strictObject({ String: z.string() })]);

const addedToken = z.strictObject({
  id: z.int().min(0),
  content: z.string().min(1),
  single_word: z.literal(false),
  lstrip: z.literal(false),
  rstrip: z.literal(false),
  normalized: z.boolean(),
  special: z.boolean(),
});

const normalizerStep = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal(['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase']) }),
  z.strictObject({ type: z.literal('Replace'), pattern, content: z.string() }),
  z.strictObject({ type: z.literal('Strip'), strip_left: z.boolean(), strip_right: z.boolean() }),
]);

const preTokenizerStep = z.discriminatedUnion('type', [
  z
    .strictObject({
      type: z.literal('Split'),
      pattern,
      behavior: z.literal(['Removed', 'Isolated']),
      invert: z.boolean(),
    })
    .refine((split) => split.invert === (split.behavior === 'Removed'), {
      error: 'must be Removed with invert, or Isolated without',
    }),
  z.strictObject({
    type: z.literal('ByteLevel'),
    add_prefix_space: z.literal(false),
    trim_offsets: z.boolean().optional(),
    use_regex: z.boolean().optional(),
  }),
]);

const templatePart = z.union([
  z.strictObject({ SpecialToken: z.strictObject({ id: z.string(), type_id: z.literal(0) }) }),
  z.strictObject({ Sequence: z.strictObject({ id: z.literal('A'), type_id: z.literal(0) }) }),
]);

const noText = z.literal('').nullish();

const schema = z.strictObject({
  version: z.literal('1.0'),
  truncation: z
    .strictObject({
      direction: z.literal('Right'),
      max_length: z.int().min(2),
      strategy: z.literal('LongestFirst'),
      stride: z.literal(0),
    })
    .nullish(),
  padding: z
    .strictObject({
      strategy: z.union([z.literal('BatchLongest'), z.strictObject({ Fixed: z.int().min(2) })]),
      direction: z.literal('Right'),
      pad_to_multiple_of: z.null(),
      pad_id: z.int().min(0),
      pad_type_id: z.literal(0),
      pad_token: z.string(),
    })
    .nullish(),
  added_tokens: z.array(addedToken).default([]),
  normalizer: z
    .union([
      z.strictObject({ type: z.literal('Sequence'), normalizers: z.array(normalizerStep) }),
      normalizerStep,
    ])
    .nullish(),
  pre_tokenizer: z
    .union([
      z.strictObject({ type: z.literal('Sequence'), pretokenizers: z.array(preTokenizerStep) }),
      preTokenizerStep,
    ])
    .nullish(),
  post_processor: z
    .strictObject({
      type: z.literal('TemplateProcessing'),
      single: z.array(templatePart),
      pair: z.unknown(), // for two texts at once: never used here
      special_tokens: z.record(
        z.string(),
        z.strictObject({ id: z.string(), ids: z.array(z.int().min(0)), tokens: z.array(z.string()) }),
      ),
    })
    .nullish(),
  decoder: z.unknown(), // ids to text: never used here
  model: z.strictObject({
    type: z.literal('BPE').default('BPE'),
    dropout: z.null().optional(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: noText,
    end_of_word_suffix: z.string().nullish(),
    fuse_unk: z.literal(false).optional(),
    byte_fallback: z.literal(false).optional(),
    ignore_merges: z.literal(false).optional(),
    vocab: z.record(z.string(), z.int().min(0).max(0x3ffffff)),
    merges: z.array(z.union([z.tuple([z.string(), z.string()]), z.string()])),
  }),
});

type Schema = z.infer<typeof schema>;
/** One step of text cleaning. */
export type NormalizerStep = z.infer<typeof normalizerStep>;
/** One step of splitting. */
export type PreTokenizerStep = z.infer<typeof preTokenizerStep>;
/** A token found as such in the text, before (or, `normalized`, after) cleaning. */
export type AddedToken = z.infer<typeof addedToken>;

/** A tokenizer.json in the program's terms. */
export interface TokenizerSpec {
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: readonly NormalizerStep[];
  readonly preTokenizer: readonly PreTokenizerStep[];
  /** Ids around the text's own: before and after it. */
  readonly template: { readonly before: readonly number[]; readonly after: readonly number[] };
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly endOfWord: string;
  readonly unknown?: number;
  /** From fixed padding, else from truncation. */
  readonly context?: number;
  readonly pad?: number;
}

/**
 * Reads a parsed tokenizer.json.
 * @throws FormatError naming the first field that is wrong or unknown
 */
export function parseTokenizerJson(what: string, json: unknown): TokenizerSpec {
  const parsed = schema.safeParse(json);
  if (!parsed.success)
    throw new FormatError(`${what}: tokenizer.json: ${issueText(parsed.error.issues, json)}`);
  const file = parsed.data;
  const vocab = new Map(Object.entries(file.model.vocab));
  const merges = file.model.merges.map((merge, rank): readonly [string, string] => {
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left, right] = parts;
    if (parts.length !== 2 || !left || !right) {
      throw new FormatError(
        `${what}: tokenizer.json: model.merges.${rank} must be two tokens: ${JSON.stringify(merge)}`,
      );
    }
    return [left, right];
  });
  const unknownToken = file.model.unk_token;
  const unknown = unknownToken == null ? undefined : vocab.get(unknownToken);
  if (unknownToken != null && unknown === undefined) {
    throw new FormatError(
      `${what}: tokenizer.json: model.unk_token must be in the vocabulary: ${JSON.stringify(unknownToken)}`,
    );
  }
  const fixed = typeof file.padding?.strategy === 'object' ? file.padding.strategy.Fixed : undefined;
  const context = fixed ?? file.truncation?.max_length;
  return {
    addedTokens: file.added_tokens,
    normalizer: steps(file.normalizer, 'normalizers'),
    preTokenizer: steps(file.pre_tokenizer, 'pretokenizers'),
    template: readTemplate(what, file.post_processor),
    vocab,
    merges,
    endOfWord: file.model.end_of_word_suffix ?? '',
    ...(unknown === undefined ? {} : { unknown }),
    ...(context === undefined ? {} : { context }),
    ...(file.padding ? { pad: file.padding.pad_id } : {}),
  };
}

/** The steps of a sequence, of a single step, or none. */
function steps<Step, Key extends string>(
  node: Step | Record<Key, Step[]> | null | undefined,
  key: Key,
): Step[] {
  if (node == null) return [];
  const sequence = (node as Partial<Record<Key, Step[]>>)[key];
  return sequence ?? [node as Step];
}

function readTemplate(what: string, post: Schema['post_processor']): TokenizerSpec['template'] {
  const before: number[] = [];
  const after: number[] = [];
  if (!post) return { before, after };
  let seen = false;
  for (const part of post.single) {
    if ('Sequence' in part) {
      if (seen)
        throw new FormatError(
          `${what}: tokenizer.json: post_processor.single must hold the text once: twice`,
        );
      seen = true;
      continue;
    }
    const ids = Object.hasOwn(post.special_tokens, part.SpecialToken.id)
      ? post.special_tokens[part.SpecialToken.id]?.ids
      : undefined;
    if (!ids) {
      const name = JSON.stringify(part.SpecialToken.id);
      throw new FormatError(
        `${what}: tokenizer.json: post_processor.special_tokens must have ${name}: it has not`,
      );
    }
    (seen ? after : before).push(...ids);
  }
  if (!seen)
    throw new FormatError(`${what}: tokenizer.json: post_processor.single must hold the text: it does not`);
  return { before, after };
}
