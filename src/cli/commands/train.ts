/** `tabdit train --replay`: a recorded training run again, with its own draws, one optimizer step after another. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError, messageOf, TabditError } from '../../core/errors';
import { ditParameters } from '../../models/dit/parameters';
import type { TrainSession } from '../../sessions/trainSession';
import { usedFactor } from '../../train/schedule';
import type { Arguments } from '../args';
import { adapterOption, type Command, type Context } from '../command';
import { openForCommand } from '../device';
import { floats, openTensors, readJsonFile, writeTensors } from '../files';
import { loadTrainer } from '../loading';
import { findDit } from '../models';
import {
  parseReplaySettings,
  readReplayData,
  ReplayDraws,
  replaySchedule,
  type ReplayData,
  type ReplaySettings,
} from '../replay';

/** One line of the log. */
interface LogLine {
  readonly step: number;
  readonly loss: number;
  /** Before clipping. */
  readonly grad_norm: number;
  readonly lr: number;
}

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
    const { output } = context;
    const replay = await openReplay(args);
    const opened = await openForCommand(args, output);
    try {
      const session = await loadTrainer(opened.resources, replay.model, context);
      const log = await runSteps(session, replay, args.text('log'), context);
      const out = args.text('out');
      const files = out === undefined ? [] : await saveState(session, replay, log.length, out, context);
      output.result({ steps: log.length, adapter: opened.adapter, log, files }, () =>
        files.map((file) => `written to ${file}`),
      );
    } finally {
      opened.close();
    }
  },
};

interface Replay {
  readonly model: Awaited<ReturnType<typeof findDit>>;
  readonly settings: ReplaySettings;
  /** What messages about the settings name. */
  readonly settingsName: string;
  readonly draws: ReplayDraws;
  readonly data: ReplayData;
  readonly steps: number;
}

async function openReplay(args: Arguments): Promise<Replay> {
  const path = args.need('replay');
  const steps = args.whole('steps', 1);
  const file = await openTensors(path);
  const model = await findDit(args.text('model'), args.text('config'));
  const settingsName = path.replace(/\.[^./\\]*$/, '.json');
  const settings = parseReplaySettings(settingsName, await readJsonFile(settingsName));
  const draws = new ReplayDraws(file, model.config);
  const dataPath = args.text('data');
  const data = await readReplayData(
    dataPath === undefined ? file : await openTensors(dataPath),
    model.config,
  );
  if (steps !== undefined && steps > draws.steps) {
    throw new InputError(`train: --steps must be at most the recorded ${draws.steps}: ${steps}`);
  }
  if (draws.batch % settings.microbatch !== 0) {
    throw new InputError(
      `${settingsName}: train: microbatch must divide the batch of ${draws.batch}: ${settings.microbatch}`,
    );
  }
  return { model, settings, settingsName, draws, data, steps: steps ?? draws.steps };
}

async function runSteps(
  session: TrainSession,
  { settings, settingsName, draws, data, steps }: Replay,
  logPath: string | undefined,
  { output, signal }: Context,
): Promise<LogLine[]> {
  const { mask_ratio: maskRatio, p_mean: pMean, p_std: pStd, betas, ema_smoothing: smoothing } = settings;
  const schedule = replaySchedule(settingsName, settings);
  await session.startOptimizer({ maxNorm: settings.clip_norm, ema: smoothing !== undefined });
  if (logPath !== undefined) await startLog(logPath);
  const log: LogLine[] = [];
  for (let step = 0; step < steps; step++) {
    const batch = await draws.read(step, data, maskRatio > 0);
    const shard = settings.microbatch;
    const { loss } = await session.accumulate(batch, { maskRatio, pMean, pStd, shard, signal });
    const lr = settings.lr * usedFactor(schedule, step);
    const gradNorm = await session.update({
      lr,
      beta1: betas[0],
      beta2: betas[1],
      eps: settings.eps,
      weightDecay: settings.weight_decay,
      step: step + 1,
      emaRate: smoothing === undefined ? 0 : emaRate(step + 1, settings.ema_start, smoothing),
    });
    const line = { step, loss, grad_norm: gradNorm, lr };
    log.push(line);
    if (logPath !== undefined) await appendFile(logPath, `${JSON.stringify(line)}\n`);
    output.line(`step ${step}: loss ${loss}, gradient norm ${gradNorm}, lr ${lr}`);
    output.progress('training', step + 1, steps);
  }
  return log;
}

/** Share of the new weights in the average after `done` steps: nothing, all of them (its start), the smoothing's rest. */
function emaRate(done: number, start: number, smoothing: number): number {
  const first = Math.max(1, start);
  return done < first ? 0 : done === first ? 1 : 1 - smoothing;
}

async function startLog(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '');
  } catch (error) {
    throw new TabditError('io', `${path}: must be writable: ${messageOf(error)}`, { cause: error });
  }
}

async function saveState(
  session: TrainSession,
  { settings, model }: Replay,
  steps: number,
  folder: string,
  { output }: Context,
): Promise<string[]> {
  const groups: [string, string][] = [
    ['dit', 'model'],
    ['m', 'exp_avg'],
    ['v', 'exp_avg_sq'],
  ];
  if (settings.ema_smoothing !== undefined) {
    if (steps >= Math.max(1, settings.ema_start)) groups.push(['ema', 'ema']);
    else output.note(`note: no ema.safetensors, as the average starts after ${settings.ema_start} steps`);
  }
  const metadata = { format: 'pt', config: JSON.stringify(model.config) };
  const files: string[] = [];
  for (const [group, name] of groups) {
    const values = await session.values(group);
    const shapes = new Map(ditParameters(model.config).map((spec) => [spec.name, spec.shape]));
    const tensors = [...values].map(([tensor, data]) => floats(tensor, shapes.get(tensor)!, data));
    const path = join(folder, `${name}.safetensors`);
    await writeTensors(path, tensors, metadata);
    files.push(path);
  }
  return files;
}
