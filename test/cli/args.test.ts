/** Options and words: what is taken, what is refused, and how the help reads. */
import { describe, expect, test } from 'vitest';
import { commandHelp, parseArguments, type Arguments, type CommandShape } from '../../src/cli/args';
import { UsageError } from '../../src/core/errors';

const command: CommandShape = {
  name: 'paint',
  words: '[COLOUR...]',
  summary: 'paints',
  options: {
    seed: { value: 'N', help: 'the seed' },
    size: { value: 'A,B', help: 'the size' },
    wet: { help: 'do not wait' },
  },
};

const parse = (...args: readonly string[]): Arguments => parseArguments(command, args);

describe('arguments', () => {
  test('values, flags and words in any order', () => {
    const args = parse('red', '--seed', '-5', '--wet', 'dark blue', '--size=3,4');
    expect(args.words).toEqual(['red', 'dark blue']);
    expect([args.text('seed'), args.has('wet'), args.shape('size')]).toEqual(['-5', true, [3, 4]]);
    expect([args.has('json'), args.text('out')]).toEqual([false, undefined]);
  });

  test('words that look like options follow --', () => {
    expect(parse('--wet', '--', '--seed', '-1').words).toEqual(['--seed', '-1']);
    expect(parse('-').words).toEqual(['-']);
  });

  test('an empty value is a value', () => {
    expect(parse('--seed', '').text('seed')).toBe('');
    expect(parse('--seed=').text('seed')).toBe('');
  });

  test.each([
    [['--colour', 'red'], 'paint: options must be its own (see tabdit paint --help): --colour'],
    [['-w'], 'paint: options must be its own (see tabdit paint --help): -w'],
    [['--seed'], 'paint: --seed must have a value: nothing follows'],
    [['--seed', '--wet'], 'paint: --seed must have a value: --wet follows'],
    [['--wet=yes'], 'paint: --wet must have no value: --wet=yes'],
    [['--seed', '1', '--seed=2'], 'paint: --seed must be given once: it comes twice'],
  ])('%j is refused', (given, message) => {
    expect(() => parse(...given)).toThrow(new UsageError(message));
  });

  test('checked values', () => {
    const args = parse('--seed', '7', 'a', 'b');
    expect([
      args.whole('seed', 2, 9),
      args.number('seed', { least: 1 }),
      args.choice('seed', ['7', '8']),
    ]).toEqual([7, 7, '7']);
    expect(() => args.whole('seed', 8)).toThrow('paint: --seed must be a whole number from 8: "7"');
    expect(() => args.whole('seed', 1, 6)).toThrow('paint: --seed must be a whole number from 1 to 6: "7"');
    expect(() => args.number('seed', { most: 6.5 })).toThrow('paint: --seed must be a number up to 6.5: "7"');
    expect(() => args.choice('seed', ['1', '2'])).toThrow('paint: --seed must be 1 or 2: "7"');
    expect(() => args.need('size')).toThrow('paint: --size must be given: it is not');
    expect(() => args.atMost(1)).toThrow('paint: words must be at most 1: "b" is one more');
    for (const size of ['', '1,', '0,2', '1.5', '1,-2']) {
      expect(() => parse(`--size=${size}`).shape('size')).toThrow(UsageError);
    }
    for (const seed of ['', '1e999', 'NaN', '0x']) {
      expect(() => parse(`--seed=${seed}`).number('seed')).toThrow(UsageError);
    }
  });

  test('the help names every option', () => {
    expect(commandHelp(command)).toBe(
      [
        'tabdit paint: paints',
        '',
        'usage: tabdit paint [options] [COLOUR...]',
        '',
        '  --seed N    the seed',
        '  --size A,B  the size',
        '  --wet       do not wait',
        '  --json      print one JSON value on standard output; errors as JSON too',
        '  --help      print this text',
      ].join('\n'),
    );
  });
});
