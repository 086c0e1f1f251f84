/** `tabdit train --replay`: a recorded training run again, with its own draws, one optimizer step after another. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, InputError, messageOf, TabditError } from '../../core/errors';
import type { TensorFile } from '../../formats/tensorFile';
import { ditParameters } from '../../models/dit/parameters';
import type { DitConfig } from '../../protocol/schemas';
import { replayRun, replaySettings, type ReplaySettings, type ReplayStep } from '../../sessions/replay';
import type { TrainSession } from '../../sessions/trainSession';
import type { Arguments } from '../args';
import { adapterOption, type Command, type Context } from '../command';
import { openForCommand } from '../device';
import { floats, openTensors, readJsonFile, writeTensors } from '../files';
import { loadTrainer } from '../loading';
import { findDit, type ModelPart } from '../models';

export const train: Command = {
  name: 'train',
  words: '--replay FILE',
  summary: 'replay a recorded training run, draw by draw',
  options: {
    replay: {
      value: 'FILE',
      help: 'recorded draws; the .json of the same name beside it holds the settings (`train`)',
    },
    data: { value: 'FILE', help: 'where `data.latents` and `data.captions` are, if not in the replay file' },
    model: { value: 'PATH', help: 'weights to start from: bundle, folder or file (default: the demo)' },
    config: { value: 'FILE', help: "the transformer's configuration, where the model does not say it" },
    steps: { value: 'N', help: 'stop after N steps (default: all)' },
    log: { value: 'FILE', help: 'write one JSON line per step: step, loss, grad_norm, lr' },
    out: {
      value: 'DIR',
      help: 'write model.safetensors, exp_avg.safetensors, exp_avg_sq.safetensors, ema.safetensors',
    },
    ...adapterOption,
  },
  async run(args, context) {
    args.atMost(0);
    const { output, signal } = context;
    const { model, settings, draws, data, steps } = await openReplay(args);
    const logPath = args.text('log');
    const opened = await openForCommand(args, output);
    try {
      const session = await loadTrainer(opened.resources, model, context);
      if (logPath !== undefined) await startLog(logPath);
      const log = await replayRun(session, settings, draws, data, {
        steps,
        signal,
        onStep: async (line) => {
          if (logPath !== undefined) await appendFile(logPath, `${JSON.stringify(line)}\n`);
          output.line(stepText(line));
          output.progress('training', line.step + 1, steps);
        },
      });
      const out = args.text('out');
      const files =
        out === undefined ? [] : await saveState(session, model.config, settings, steps, out, context);
      output.result({ steps, adapter: opened.adapter, log, files }, () =>
        files.map((file) => `written to ${file}`),
      );
    } finally {
      opened.close();
    }
  },
};

interface Replay {
  readonly model: ModelPart<DitConfig>;
  readonly settings: ReplaySettings;
  readonly draws: TensorFile;
  readonly data: TensorFile;
  readonly steps: number;
}

async function openReplay(args: Arguments): Promise<Replay> {
  const path = args.need('replay');
  const steps = args.whole('steps', 1);
  const draws = await openTensors(path);
  const model = await findDit(args.text('model'), args.text('config'));
  const settingsPath = path.replace(/\.[^./\\]*$/, '.json');
  const json = await readJsonFile(settingsPath);
  if (typeof json !== 'object' || json === null || !('train' in json)) {
    throw new FormatError(`${settingsPath}: must have an object "train": it has none`);
  }
  const settings = replaySettings(json.train, `${settingsPath}: train`);
  const dataPath = args.text('data');
  const data = dataPath === undefined ? draws : await openTensors(dataPath);
  if (steps !== undefined && steps > settings.steps) {
    throw new InputError(`train: --steps must be at most the recorded ${settings.steps}: ${steps}`);
  }
  return { model, settings, draws, data, steps: steps ?? settings.steps };
}

function stepText({ step, loss, grad_norm, lr }: ReplayStep): string {
  return `step ${step}: loss ${loss}, gradient norm ${grad_norm}, lr ${lr}`;
}

async function startLog(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '');
  } catch (error) {
    throw new TabditError('io', `${path}: must be writable: ${messageOf(error)}`, { cause: error });
  }
}

/** Weights, moments and average after `steps` steps, by upstream's names. */
async function saveState(
  session: TrainSession,
  config: DitConfig,
  { ema }: ReplaySettings,
  steps: number,
  folder: string,
  { output }: Context,
): Promise<string[]> {
  const groups: [string, string][] = [
    ['dit', 'model'],
    ['m', 'exp_avg'],
    ['v', 'exp_avg_sq'],
  ];
  if (ema && steps >= ema.start) groups.push(['ema', 'ema']);
  else if (ema) output.note(`note: no ema.safetensors, as the average starts after ${ema.start} steps`);
  const shapes = new Map(ditParameters(config).map(({ name, shape }) => [name, shape]));
  const metadata = { format: 'pt', config: JSON.stringify(config) };
  const files: string[] = [];
  for (const [group, name] of groups) {
    const values = await session.values(group);
    const tensors = [...values].map(([tensor, data]) => floats(tensor, shapes.get(tensor)!, data));
    const path = join(folder, `${name}.safetensors`);
    await writeTensors(path, tensors, metadata);
    files.push(path);
  }
  return files;
}
