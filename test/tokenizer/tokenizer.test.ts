import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import { unescapeHtml } from '../../src/core/html';
import { trimmer, whiteSpace } from '../../src/core/whitespace';
import { bpeEncoder, byteAlphabet, toByteAlphabet } from '../../src/models/text/bpe';
import { fitContext } from '../../src/models/text/context';
import { loadTokenizer } from '../../src/models/text/tokenizer';

/** A tokenizer.json in the form of the bundled ones, over a tiny vocabulary. */
function tinyJson(): Record<string, unknown> {
  const merges = [
    ['a', 'b'],
    ['ab', 'c</w>'],
    ['c', 'a'],
  ];
  const tokens = [
    '<pad>',
    '<start>',
    '<end>',
    ..."abc!'s",
    'a</w>',
    'b</w>',
    'c</w>',
    '!</w>',
    's</w>',
    ...merges.map((m) => m.join('')),
  ];
  return {
    version: '1.0',
    truncation: { direction: 'Right', max_length: 6, strategy: 'LongestFirst', stride: 0 },
    padding: {
      strategy: { Fixed: 6 },
      direction: 'Right',
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: '<pad>',
    },
    added_tokens: [
      {
        id: 2,
        content: '<end>',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
      {
        id: 1,
        content: '<start>',
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: true,
        special: true,
      },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Strip', strip_left: true, strip_right: true },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '<start>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '<end>', type_id: 0 } },
      ],
      pair: [],
      special_tokens: {
        '<start>': { id: '<start>', ids: [1], tokens: ['<start>'] },
        '<end>': { id: '<end>', ids: [2], tokens: ['<end>'] },
      },
    },
    decoder: null,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<end>',
      continuing_subword_prefix: null,
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** The tiny tokenizer.json with one field changed; the path's parts are keys. */
function changed(path: string, value: unknown): unknown {
  const json = tinyJson();
  const keys = path.split('.');
  const last = keys.pop() as string;
  let node: unknown = json;
  for (const key of keys) node = (node as Record<string, unknown>)[key];
  (node as Record<string, unknown>)[last] = value;
  return json;
}

const tokens = (text: string, json: unknown = tinyJson()): number[] => [
  ...loadTokenizer('t', json).tokenize(text).ids,
];

describe('tokenizer.json', () => {
  // Ids: a 3, b 4, c 5, ! 6, ' 7, s 8, a</w> 9, b</w> 10, c</w> 11, !</w> 12, s</w> 13, ab 14, abc</w> 15, ca 16
  it('cleans, splits, merges, frames and pads', () => {
    expect(tokens('abc')).toEqual([1, 15, 2, 0, 0, 0]);
    expect(tokens('  ABC\t\u3000a ')).toEqual([1, 15, 9, 2, 0, 0]);
    expect(tokens("ab's")).toEqual([1, 3, 10, 7, 13, 2]);
    expect(tokens('cab')).toEqual([1, 16, 10, 2, 0, 0]); // "ab" ranks first, but this b carries </w>
    expect(tokens('')).toEqual([1, 2, 0, 0, 0, 0]);
    expect(loadTokenizer('t', tinyJson())).toMatchObject({ context: 6, vocabSize: 17 });
  });

  it('finds added tokens: those not normalized before cleaning, the others after', () => {
    expect(tokens('a<end>a<START>a')).toEqual([1, 9, 2, 9, 1, 2]);
    expect(tokens('<END>')).toEqual([1, 2, 2, 2, 2, 2]); // < e n d > are unknown: one <end> each
  });

  it('keeps the first ids of a long text and makes the last the end token', () => {
    const tokenizer = loadTokenizer('t', tinyJson());
    expect(tokenizer.tokenize('a b c')).toEqual({
      ids: Int32Array.of(1, 9, 10, 11, 2, 0),
      count: 5,
      truncated: false,
    });
    expect(tokenizer.tokenize('a b c a b')).toEqual({
      ids: Int32Array.of(1, 9, 10, 11, 9, 2),
      count: 6,
      truncated: true,
    });
    expect([...loadTokenizer('t', tinyJson(), { context: 3, pad: 9 }).tokenize('a b').ids]).toEqual([
      1, 9, 2,
    ]);
    expect([...loadTokenizer('t', tinyJson(), { context: 8, pad: 7 }).tokenize('a').ids]).toEqual([
      1, 9, 2, 7, 7, 7, 7, 7,
    ]);
    expect(fitContext([1, 2, 3], 2, 0, undefined).ids).toEqual(Int32Array.of(1, 2));
  });

  it('takes merges as text, a single step, isolating splits and no template', () => {
    expect(tokens('abc', changed('model.merges', ['a b', 'ab c</w>']))).toEqual([1, 15, 2, 0, 0, 0]);
    expect(tokens('ABC', changed('normalizer', { type: 'Lowercase' }))).toEqual([1, 15, 2, 0, 0, 0]);
    expect(tokens('abc', changed('post_processor', null))).toEqual([15, 0, 0, 0, 0, 0]);
    const isolate = { type: 'Split', pattern: { String: 'b' }, behavior: 'Isolated', invert: false };
    expect(tokens('abc', changed('pre_tokenizer.pretokenizers.0', isolate))).toEqual([1, 9, 10, 11, 2, 0]);
    const literal = { type: 'Replace', pattern: { String: '.' }, content: '$&' };
    expect(tokens('c.', changed('normalizer', literal))).toEqual([1, 11, 2, 2, 2, 0]);
    const tokenizer = loadTokenizer('t', changed('model.unk_token', null));
    expect([...tokenizer.tokenize('axa').ids]).toEqual([1, 3, 9, 2, 0, 0]); // without one, x is left out
  });

  it('lower-cases each character by itself', () => {
    const json = changed('normalizer', { type: 'Lowercase' });
    const withSigma = json as { model: { vocab: Record<string, number>; merges: unknown[] } };
    const [first = '', second = ''] = toByteAlphabet('σ');
    Object.assign(withSigma.model.vocab, { [first]: 20, [`${second}</w>`]: 21 });
    expect(tokens('Σ', json)).toEqual([1, 20, 21, 2, 0, 0]);
  });

  const refused: [string, unknown, string][] = [
    ['version', '2.0', 'version: '],
    ['truncation.direction', 'Left', 'truncation.direction: '],
    ['truncation.stride', 2, 'truncation.stride: '],
    ['padding.direction', 'Left', 'padding.direction: '],
    ['padding.strategy', 'Longest', 'padding.strategy: '],
    ['added_tokens.0.lstrip', true, 'added_tokens.0.lstrip: expected false: true'],
    ['normalizer.normalizers.0', { type: 'BertNormalizer' }, 'normalizer.normalizers.0.type: '],
    [
      'normalizer.normalizers.1',
      { type: 'Replace', pattern: { Regex: '(' }, content: '' },
      'pattern must be a regular expression',
    ],
    ['pre_tokenizer.pretokenizers.0.behavior', 'MergedWithNext', 'pre_tokenizer.pretokenizers.0.behavior: '],
    [
      'pre_tokenizer.pretokenizers.0.invert',
      false,
      'pre_tokenizer.pretokenizers.0: must be Removed with invert',
    ],
    ['pre_tokenizer.pretokenizers.0.pattern', { Regex: '\\w+' }, 'pattern must not use \\w: \\w+'],
    ['pre_tokenizer', { type: 'Whitespace' }, 'pre_tokenizer.type: '],
    ['pre_tokenizer', null, 'pre_tokenizer must be byte-level'],
    ['post_processor', { type: 'BertProcessing' }, 'post_processor.type: '],
    [
      'post_processor.single',
      [{ SpecialToken: { id: '<x>', type_id: 0 } }],
      'special_tokens must have "<x>"',
    ],
    ['post_processor.single', [], 'post_processor.single must hold the text: it does not'],
    ['model.type', 'Unigram', 'model.type: expected "BPE": "Unigram"'],
    ['model.dropout', 0.1, 'model.dropout: '],
    ['model.byte_fallback', true, 'model.byte_fallback: '],
    ['model.ignore_merges', true, 'model.ignore_merges: '],
    ['model.continuing_subword_prefix', '##', 'model.continuing_subword_prefix: '],
    ['model.unk_token', '<none>', 'model.unk_token must be in the vocabulary: "<none>"'],
    ['model.vocab.a', -1, 'model.vocab.a: '],
    ['model.merges', [['a', 'z']], 'merge 0 (a z) must be of tokens in the vocabulary: "z" is not'],
    ['model.merges', ['a b c'], 'model.merges.0 must be two tokens: "a b c"'],
    ['extra', 1, 'Unrecognized key: "extra"'],
  ];
  it.each(refused)('refuses %s = %o', (path, value, message) => {
    expect(() => loadTokenizer('t.json', changed(path, value))).toThrow(FormatError);
    expect(() => loadTokenizer('t.json', changed(path, value))).toThrow(message);
  });

  it('refuses what is no tokenizer at all, and a missing length', () => {
    expect(() => loadTokenizer('t', null)).toThrow('t: tokenizer.json: the file: ');
    expect(() => loadTokenizer('t', {})).toThrow('version: ');
    const json = changed('padding', null) as Record<string, unknown>;
    json.truncation = null;
    expect(() => loadTokenizer('t', json)).toThrow('must say a length');
    expect(loadTokenizer('t', json, { context: 4 }).context).toBe(4);
  });
});

describe('byte-pair encoding', () => {
  it('has 256 different printable characters for bytes', () => {
    expect(new Set(byteAlphabet).size).toBe(256);
    expect([
      byteAlphabet[33],
      byteAlphabet[0],
      byteAlphabet[32],
      byteAlphabet[173],
      byteAlphabet[255],
    ]).toEqual(['!', 'Ā', 'Ġ', 'Ń', 'ÿ']);
    expect(toByteAlphabet('é \u{1F9CA}')).toBe('Ã©ĠðŁ§Ĭ');
  });

  it('merges by rank, from the left, as the plain algorithm does', () => {
    const alphabet = ['a', 'b', 'c'];
    let seed = 5;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    for (let round = 0; round < 50; round++) {
      const vocab = new Map(alphabet.map((token, id) => [token, id]));
      const merges: [string, string][] = [];
      for (let i = 0; i < 12; i++) {
        const known = [...vocab.keys()];
        const pair: [string, string] = [
          known[random(known.length)] as string,
          known[random(known.length)] as string,
        ];
        if (vocab.has(pair.join(''))) continue;
        merges.push(pair);
        vocab.set(pair.join(''), vocab.size);
      }
      const encode = bpeEncoder({ vocab, merges, endOfWord: '' });
      const ranks = new Map(merges.map((pair, rank) => [pair.join(' '), rank]));
      const word = Array.from({ length: 1 + random(40) }, () => alphabet[random(3)]).join('');
      const symbols = [...word];
      while (true) {
        let best = -1;
        let bestRank = Infinity;
        for (let i = 0; i + 1 < symbols.length; i++) {
          const rank = ranks.get(`${symbols[i] ?? ''} ${symbols[i + 1] ?? ''}`) ?? Infinity;
          if (rank < bestRank) [best, bestRank] = [i, rank];
        }
        if (best < 0) break;
        symbols.splice(best, 2, `${symbols[best] ?? ''}${symbols[best + 1] ?? ''}`);
      }
      expect(encode(word)).toEqual(symbols.map((symbol) => vocab.get(symbol)));
      expect(encode(word)).toEqual(encode(word));
    }
  });

  it('takes a very long word in good time', () => {
    const vocab = new Map([...'ab', 'aa', 'aaaa', 'ba'].map((token, id) => [token, id]));
    const encode = bpeEncoder({
      vocab,
      merges: [
        ['a', 'a'],
        ['b', 'a'],
        ['aa', 'aa'],
      ],
      endOfWord: '',
    });
    const started = performance.now();
    expect(encode('a'.repeat(400_001)).length).toBe(100_001);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('text helpers', () => {
  it('unescapes HTML as Python does', () => {
    const cases: [string, string][] = [
      ['fish &amp; chips &lt;3 &copy;2024', 'fish & chips <3 ©2024'],
      ['&notit; &notin; &ampamp; &am', '¬it; ∉ &amp; &am'],
      ['&#65;&#x42;&#x1F9CA;&#0;&#128;&#xD800;&#1114112;&#1;&#38', 'AB🧊\ufffd€\ufffd\ufffd&'],
      ['&amp;amp;', '&amp;'],
      ['&NotEqualTilde; & &; &#; &#x;', '≂̸ & &; &#; &#x;'],
      ['&Eacute&eacute', 'Éé'],
    ];
    for (const [text, expected] of cases) expect(unescapeHtml(text)).toBe(expected);
  });

  it('trims in linear time', () => {
    const trim = trimmer(whiteSpace);
    expect(trim('\u0085\u3000 a b \u2029')).toBe('a b');
    expect(trim(' a ', false)).toBe(' a');
    expect(trim(' a ', true, false)).toBe('a ');
    expect(trim('\ufeffa')).toBe('\ufeffa');
    const text = `a${' '.repeat(1_000_000)}b`;
    const started = performance.now();
    expect(trim(text)).toBe(text);
    expect(performance.now() - started).toBeLessThan(500);
  });
});
