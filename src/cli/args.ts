/**
 * Options and words of a command, and the help text made of them. Small on purpose and stricter than node:util's
 * parser: a value may begin with one dash (negative seeds), an option that is given twice is a mistake, and every
 * message names the option, the rule and what was given. Wrong usage is a UsageError (exit code 2).
 */
import { UsageError } from '../core/errors';

/** One option of a command. */
export interface OptionSpec {
  /** What stands for the value in the help; absent: a flag without a value. */
  readonly value?: string;
  readonly help: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What a command takes, as parsing and help need it. */
export interface CommandShape {
  readonly name: string;
  /** The words after the options, as the help writes them; '' when there are none. */
  readonly words: string;
  /** One line. */
  readonly summary: string;
  readonly options: OptionSpecs;
}

/** Options of every command. */
const commonOptions: OptionSpecs = {
  json: { help: 'print one JSON value on standard output; errors as JSON too' },
  help: { help: 'print this text' },
};

/** The options and words that a command was given. Getters check; all throw UsageError. */
export class Arguments {
  readonly words: readonly string[];
  readonly #command: string;
  readonly #given: ReadonlyMap<string, string | true>;

  constructor(command: string, given: ReadonlyMap<string, string | true>, words: readonly string[]) {
    this.#command = command;
    this.#given = given;
    this.words = words;
  }

  /** Whether the flag, or an option with a value, was given. */
  has(name: string): boolean {
    return this.#given.has(name);
  }

  text(name: string): string | undefined {
    const value = this.#given.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** A value that must be given. */
  need(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw this.#wrong(name, 'must be given', 'it is not');
    return value;
  }

  /** A number; finite, within the bounds, both included. */
  number(name: string, bounds: { readonly least?: number; readonly most?: number } = {}): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const { least = -Infinity, most = Infinity } = bounds;
    const value = text.trim() === '' ? NaN : Number(text);
    if (!Number.isFinite(value) || value < least || value > most) {
      throw this.#wrong(name, `must be a number${rangeText(least, most)}`, JSON.stringify(text));
    }
    return value;
  }

  /** A whole number within the bounds, both included. */
  whole(name: string, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      const range = rangeText(least, most === Number.MAX_SAFE_INTEGER ? Infinity : most);
      throw this.#wrong(name, `must be a whole number${range}`, JSON.stringify(text));
    }
    return value;
  }

  /** One of the choices. */
  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw this.#wrong(name, `must be ${choices.join(' or ')}`, JSON.stringify(text));
    return found;
  }

  /** A shape written as `1,4,32,32`; every extent at least 1. */
  shape(name: string): number[] | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const extents = text.split(',').map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : NaN));
    if (!extents.every((extent) => Number.isSafeInteger(extent) && extent >= 1)) {
      throw this.#wrong(name, 'must be whole numbers from 1 with commas between', JSON.stringify(text));
    }
    return extents;
  }

  /** Refuses words beyond the first `most`. */
  atMost(most: number): void {
    const extra = this.words[most];
    if (extra !== undefined) {
      throw new UsageError(
        `${this.#command}: words must be at most ${most}: ${JSON.stringify(extra)} is one more`,
      );
    }
  }

  #wrong(name: string, rule: string, actual: string): UsageError {
    return new UsageError(`${this.#command}: --${name} ${rule}: ${actual}`);
  }
}

/** ` from 2`, ` up to 20`, ` from 1 to 20`, or nothing. */
function rangeText(least: number, most: number): string {
  const from = Number.isFinite(least) ? ` from ${least}` : '';
  if (!Number.isFinite(most)) return from;
  return from ? `${from} to ${most}` : ` up to ${most}`;
}

/**
 * Reads what follows the command's name: `--name value`, `--name=value`, flags, words; after `--` only words.
 * @throws UsageError
 */
export function parseArguments(command: CommandShape, args: readonly string[]): Arguments {
  const specs: OptionSpecs = { ...command.options, ...commonOptions };
  const given = new Map<string, string | true>();
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === '--') {
      words.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      words.push(arg);
      continue;
    }
    const equals = arg.indexOf('=');
    const written = equals < 0 ? arg : arg.slice(0, equals);
    const name = written === '-h' ? 'help' : written.slice(2);
    if (!(written === '-h' || written.startsWith('--')) || !Object.hasOwn(specs, name)) {
      throw new UsageError(
        `${command.name}: options must be its own (see tabdit ${command.name} --help): ${written}`,
      );
    }
    if (given.has(name))
      throw new UsageError(`${command.name}: --${name} must be given once: it comes twice`);
    if (specs[name]!.value === undefined) {
      if (equals >= 0) throw new UsageError(`${command.name}: --${name} must have no value: ${arg}`);
      given.set(name, true);
      continue;
    }
    const value = equals >= 0 ? arg.slice(equals + 1) : args[++i];
    if (value === undefined || (equals < 0 && value.startsWith('--'))) {
      throw new UsageError(
        `${command.name}: --${name} must have a value: ${value === undefined ? 'nothing follows' : `${value} follows`}`,
      );
    }
    given.set(name, value);
  }
  return new Arguments(command.name, given, words);
}

/** The help of one command. */
export function commandHelp(command: CommandShape): string {
  const words = command.words === '' ? '' : ` ${command.words}`;
  return [
    `tabdit ${command.name}: ${command.summary}`,
    '',
    `usage: tabdit ${command.name} [options]${words}`,
    '',
    ...table(
      Object.entries({ ...command.options, ...commonOptions }).map(([name, { value, help }]) => [
        value === undefined ? `--${name}` : `--${name} ${value}`,
        help,
      ]),
    ),
  ].join('\n');
}

/** Rows of two columns, the second aligned. */
export function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd());
}
