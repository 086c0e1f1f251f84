import { describe, expect, it } from 'vitest';
import { fixText } from '../../src/core/fixText';
import { issueText } from '../../src/core/schemaIssue';

describe('fixText', () => {
  // Each pair is what ftfy 6.3.1 gives.
  const cases: [string, string, string][] = [
    [
      'references',
      'P&EACUTE;REZ &amp; &frac12; &nTILDE; &amp &#233; &#233',
      'PÉREZ & ½ &nTILDE; &amp é &#233',
    ],
    ['references again and again', '&amp;amp;lt;', '<'],
    ['references not beside markup, from there on', '&lt;\n<b>&lt;\n&lt;', '<\n<b>&lt;\n&lt;'],
    ['C1 controls', 'a\x80\x93\x81b', 'a€"\x81b'],
    ['ligatures', 'ﬁne oﬃce ﬅ ĳ ŉ Ǆ', "fine office ſt ij 'n DŽ"],
    ['widths', 'ＡＢＣ！　ｱｶﾞ ￥', 'ABC! アガ ¥'],
    ['quotes', '“a” ‘b’ „c‟ ʼd', '"a" \'b\' "c" \'d'],
    ['line breaks', 'a\r\nb\rc\u2028d\u2029e', 'a\nb\nc\nd\ne'],
    ['surrogates', 'a\ud800b\udc00 🧊', 'a\ufffdb\ufffd 🧊'],
    ['terminal escapes', '\x1b[31;1mred\x1b[0m \x1b[?', 'red [?'],
    ['control characters', 'a\0\x07\tb\x0c\ufeffc\u206a\x7f', 'a\tb\x0cc'],
    ['composition', 'e\u0301 A\u030a', 'é Å'],
    ['nothing', 'plain text, 100% ASCII & more;', 'plain text, 100% ASCII & more;'],
    ['the empty text', '', ''],
  ];
  it.each(cases)('repairs %s', (_, text, expected) => {
    expect(fixText(text)).toBe(expected);
    expect(fixText(expected)).toBe(expected);
  });

  it('runs a repair of the encoding line by line, until nothing changes', () => {
    const seen: string[] = [];
    const repair = (line: string): string => {
      seen.push(line);
      return line.replace('aa', 'a');
    };
    expect(fixText('aaa\nb', repair)).toBe('a\nb');
    expect(seen).toEqual(['aaa\n', 'aa\n', 'a\n', 'b']);
  });
});

describe('issueText', () => {
  it('names the field, the rule and the value', () => {
    const issue = { message: 'Invalid input: expected number', path: ['a', 0, 'b'] };
    expect(issueText([issue], { a: [{ b: 'x' }] })).toBe('a.0.b: expected number: "x"');
    expect(issueText([issue], { a: [] })).toBe('a.0.b: expected number: it is missing');
    expect(issueText([{ message: 'no', path: [] }], new Array(9).fill(1))).toBe('the file: no: a list of 9');
    expect(issueText([{ message: 'no', path: [] }], 'y'.repeat(100)).length).toBeLessThan(100);
  });

  it('follows the branch of a union that got furthest', () => {
    const shallow = [{ message: 'shallow', path: [] }];
    const deep = [{ message: 'deep', path: ['c', 'd'] }];
    const issue = { message: 'union', path: ['a'], errors: [shallow, deep] };
    expect(issueText([issue], { a: { c: { d: 7 } } })).toBe('a.c.d: deep: 7');
  });
});
