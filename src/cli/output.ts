/**
 * What the command line says: results on standard output (text, or one JSON value), everything else on standard error:
 * the adapter, notes, progress bars when it is a terminal, and errors, each on one line.
 */
import { CancelledError, messageOf, TabditError } from '../core/errors';
import { formatSeconds } from '../core/units';

/** Not oftener than this is a progress bar drawn, in milliseconds. */
const barInterval = 100;
const barWidth = 24;

export class Output {
  /** Results and errors as JSON. */
  readonly json: boolean;
  /** Something that was asked for was not done: exit code 1. */
  failed = false;
  readonly #bars: boolean;
  #barShown = false;
  #lastBar = 0;
  #stage = '';
  #began = 0;

  constructor(json: boolean) {
    this.json = json;
    this.#bars = process.stderr.isTTY;
  }

  /** The command's result: `value` as JSON, or the lines as text. */
  result(value: unknown, lines: () => readonly string[]): void {
    this.clearBar();
    const text = this.json ? jsonText(value) : lines().join('\n');
    if (text !== '') process.stdout.write(`${text}\n`);
  }

  /** A line of a result that grows while the command works; nothing with `--json`. */
  line(text: string): void {
    if (this.json) return;
    this.clearBar();
    process.stdout.write(`${text}\n`);
  }

  /** Something worth telling beside the result. */
  note(text: string): void {
    this.clearBar();
    process.stderr.write(`${oneLine(text)}\n`);
  }

  /** Draws a progress bar: `done` of `total` of what `stage` names; `detail` follows. */
  progress(stage: string, done: number, total: number, detail = ''): void {
    if (!this.#bars) return;
    const now = performance.now();
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#began = now;
    } else if (now - this.#lastBar < barInterval && done < total) return;
    this.#lastBar = now;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const filled = Math.round(share * barWidth);
    const spent = (now - this.#began) / 1000;
    const left =
      share > 0 && share < 1 && spent > 1 ? `, ${formatSeconds((spent / share) * (1 - share))} left` : '';
    const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
    const text = `${stage} ${bar} ${Math.floor(share * 100)} %${detail && ` ${detail}`}${left}`;
    process.stderr.write(`\r${text.slice(0, (process.stderr.columns ?? 80) - 1)}\u001b[K`);
    this.#barShown = true;
  }

  /** Takes the bar off the terminal. */
  clearBar(): void {
    if (this.#barShown) process.stderr.write('\r\u001b[K');
    this.#barShown = false;
  }

  /** An error, in one line. */
  error(thrown: unknown): void {
    this.clearBar();
    this.failed = true;
    const { code, message } = errorFacts(thrown);
    process.stderr.write(this.json ? `${jsonText({ error: { code, message } })}\n` : `tabdit: ${message}\n`);
  }
}

/** Code and one-line message of anything thrown. */
export function errorFacts(thrown: unknown): { code: string; message: string } {
  const cancelled = thrown instanceof Error && thrown.name === 'AbortError';
  const error = cancelled ? new CancelledError() : thrown;
  if (error instanceof TabditError) return { code: error.code, message: oneLine(error.message) };
  return { code: 'internal', message: oneLine(`internal error: ${messageOf(error)}`) };
}

/** Stands for a negative zero while JSON.stringify works, which would drop the sign. */
const negativeZero = '\u0000-0';

/** JSON in one line; numbers that JSON has no form for as text ("NaN", "Infinity", "-Infinity"), -0 as it is. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'number') return part;
    if (Object.is(part, -0)) return negativeZero;
    return Number.isFinite(part) ? part : String(part);
  });
  return text.replaceAll(JSON.stringify(negativeZero), '-0');
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, ' ');
}
