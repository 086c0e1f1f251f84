/** The demo's tokenizer and CLIP's against ids of the reference implementation. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { findTensor, loadInts } from '../../src/formats/tensorFile';
import { clipTokenizer, parseClipMerges } from '../../src/models/text/clipTokenizer';
import { jsonTokenizer } from '../../src/models/text/jsonTokenizer';
import { loadTokenizer } from '../../src/models/text/tokenizer';
import { parseTokenizerJson } from '../../src/models/text/tokenizerJson';
import { nodeFile } from '../../src/sources/node';
import { describeFixtures, fixturePath } from '../helpers/fixtures';

interface Case {
  group: string;
  text: string;
  clean: string;
  ids: number[];
  ftfy: boolean;
  needs_ftfy: boolean;
  hf_json: boolean;
  hf_json_clean: boolean;
}

describeFixtures('tokenizers', () => {
  const json: unknown = JSON.parse(readFileSync(fixturePath('text/tokenizer.json'), 'utf8'));
  const cases = readFileSync(fixturePath('text/tokenizer.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Case);
  const text = gunzipSync(readFileSync(fixturePath('text/bpe_simple_vocab_16e6.txt.gz'))).toString('utf8');
  const clip = clipTokenizer(parseClipMerges(text));
  /** Ids cut to the context as the reference cuts them, without padding. */
  const cut = (ids: number[]): number[] => (ids.length > 77 ? [...ids.slice(0, 76), 49407] : ids);

  it('the demo: the ids of its goldens', async () => {
    const tokenizer = loadTokenizer(
      'demo',
      JSON.parse(readFileSync(fixturePath('demo/emoji-64/tokenizer.json'), 'utf8')),
    );
    const source = await nodeFile(fixturePath('demo/golden/samples.safetensors'));
    const file = await readSafetensors(source);
    const prompts = JSON.parse(file.metadata.get('prompts') ?? '[]') as string[];
    expect(prompts.length).toBe(8);
    const expected = await loadInts(source, findTensor(file, 'input_ids', [8, 16]));
    expect(prompts.flatMap((prompt) => [...tokenizer.tokenize(prompt).ids])).toEqual([...expected]);
  });

  it('CLIP by its algorithm: every cleaned text', () => {
    const wrong = cases.filter(({ clean, ids }) => cut(clip.encodeClean(clean)).join() !== ids.join());
    expect(wrong.map(({ clean }) => clean)).toEqual([]);
    expect(cases.length).toBe(486);
    expect(clip.vocabSize).toBe(49408);
  });

  it('CLIP by its algorithm: every raw text', () => {
    const wrong = cases.filter(({ text: raw, ids }) => {
      const tokens = clip.tokenize(raw);
      return [...tokens.ids.subarray(0, tokens.count)].join() !== ids.join();
    });
    expect(wrong.map(({ text: raw }) => raw)).toEqual([]);
  });

  it('CLIP by its tokenizer.json: every text on which the library agrees', () => {
    const tokenizer = jsonTokenizer('clip', parseTokenizerJson('clip', json));
    const check = (raw: string, ids: number[]): boolean => {
      const tokens = tokenizer.tokenize(raw);
      return [...tokens.ids.subarray(0, tokens.count)].join() === ids.join() && tokens.ids.length === 77;
    };
    // Elsewhere the library's ids are not the reference's; there, so are these.
    expect(cases.filter(({ clean, ids, hf_json_clean }) => check(clean, ids) !== hf_json_clean)).toEqual([]);
    expect(cases.filter(({ text: raw, ids, hf_json }) => check(raw, ids) !== hf_json)).toEqual([]);
  });

  it('knows CLIP by its merges', () => {
    const tokenizer = loadTokenizer('clip', json);
    const tokens = tokenizer.tokenize("It's 2024!! café   in\nParis");
    expect([...tokens.ids.subarray(0, tokens.count)]).toEqual([
      49406, 585, 568, 273, 271, 273, 275, 748, 15304, 530, 3445, 49407,
    ]);
    expect(tokens.ids.length).toBe(77);
    expect(tokens.ids[76]).toBe(0);
    expect([...tokenizer.tokenize('<start_of_text> a').ids.subarray(0, 4)]).toEqual([
      49406, 49406, 320, 49407,
    ]);
    const long = tokenizer.tokenize('a '.repeat(100));
    expect([long.count, long.ids[75], long.ids[76]]).toEqual([77, 320, 49407]);
  });
});
