/** What a command is to the dispatcher: its shape, and what it does with its arguments. */
import type { Arguments, CommandShape, OptionSpecs } from './args';
import type { Output } from './output';

/** What every command works with besides its arguments. */
export interface Context {
  readonly output: Output;
  /** Aborts on Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Command extends CommandShape {
  /** @throws TabditError */
  run(args: Arguments, context: Context): Promise<void>;
}

/** Option of commands that use the GPU. The launcher reads it too, to choose the driver. */
export const adapterOption: OptionSpecs = {
  adapter: {
    value: 'gpu|cpu|NAME',
    help: 'a real GPU, a software adapter, or part of a name (default: the best)',
  },
};
