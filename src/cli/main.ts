/**
 * Entry of the command line, started by bin/tabdit.mjs: finds the command, reads its arguments, runs it, and turns what
 * is thrown into one line and an exit code (0 done, 1 failed, 2 wrong usage).
 */
import packageJson from '../../package.json';
import { UsageError } from '../core/errors';
import { commandHelp, parseArguments, table } from './args';
import type { Command } from './command';
import { bench } from './commands/bench';
import { decode } from './commands/decode';
import { encodeImage } from './commands/encodeImage';
import { encodeText } from './commands/encodeText';
import { forward } from './commands/forward';
import { generate } from './commands/generate';
import { inspect } from './commands/inspect';
import { loss } from './commands/loss';
import { noise } from './commands/noise';
import { train } from './commands/train';
import { Output } from './output';

/** In the order of the help. */
const commands: readonly Command[] = [
  generate,
  inspect,
  forward,
  loss,
  train,
  encodeText,
  encodeImage,
  decode,
  noise,
  bench,
];

const help = (): string =>
  [
    `tabdit ${packageJson.version}: ${packageJson.description}`,
    '',
    'usage: tabdit COMMAND [options]    tabdit COMMAND --help    tabdit --version',
    '',
    ...table(commands.map(({ name, summary }) => [name, summary])),
  ].join('\n');

async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--help' || first === '-h' || first === 'help') {
    console.log(help());
    return 0;
  }
  if (first === '--version') {
    console.log(packageJson.version);
    return 0;
  }
  const output = new Output(args.includes('--json'));
  if (first === undefined) {
    console.error(help());
    return 2;
  }
  try {
    const command = commands.find(({ name }) => name === first);
    if (!command) {
      throw new UsageError(
        `command: must be one of ${commands.map(({ name }) => name).join(', ')}: ${first}`,
      );
    }
    const parsed = parseArguments(command, rest);
    if (parsed.has('help')) {
      console.log(commandHelp(command));
      return 0;
    }
    await command.run(parsed, { output, signal: interruption() });
    return output.failed ? 1 : 0;
  } catch (thrown) {
    output.error(thrown);
    return thrown instanceof UsageError ? 2 : 1;
  } finally {
    output.clearBar();
  }
}

/** Aborts on the first Ctrl-C (or SIGTERM); the second ends the process at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return controller.signal;
}

// A reader that has seen enough (`tabdit ... | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? 0);
});

process.exitCode = await main(process.argv.slice(2));
