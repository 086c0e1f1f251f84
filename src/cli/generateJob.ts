/**
 * What a call of `tabdit generate` asks for, settled before a device is opened: parts, settings, inputs, outputs. How
 * many pictures there are: caption rows (or prompts) times --count, or as many as --noise-in holds.
 */
import { FormatError, InputError, UsageError } from '../core/errors';
import { shapeText } from '../core/shape';
import { parseBytes } from '../core/units';
import { isSeed } from '../protocol/pictureSettings';
import type { GenerateSettings, WeightChoice } from '../protocol/generate';
import type { Role } from '../protocol/library';
import type { DitConfig } from '../protocol/schemas';
import { checkParts, type ModelParts } from '../sessions/modelParts';
import { vaeFactor } from '../sessions/vaePlan';
import type { Arguments } from './args';
import { checkShape, openTensors, readFloats, type Floats } from './files';
import {
  demoPath,
  findDit,
  findText,
  findTokenizer,
  findVae,
  identifiedAt,
  type ModelPart,
  type VaePart,
} from './models';

export interface GenerateJob {
  /** Without a text tower when captions are given, without an autoencoder when no pictures are asked for. */
  readonly parts: ModelParts;
  /** What readers of the parts want to tell. */
  readonly notes: readonly string[];
  /** As the user gave them. */
  readonly prompts: readonly string[];
  /** With one prompt per picture ('' where captions are given without words). */
  readonly settings: GenerateSettings;
  readonly weights: WeightChoice;
  /** Bytes that the model may take on the device. */
  readonly budget: number;
  /** Pictures. */
  readonly count: number;
  readonly latentShape: readonly [number, number, number];
  /** One row per picture: [count, L, C]. */
  readonly captions?: Float32Array;
  readonly noise?: Float32Array;
  readonly out?: string;
  readonly latentsOut?: string;
  readonly traceOut?: string;
  /** Prompt, seed and settings say everything: nothing came from a file. */
  readonly reproducible: boolean;
}

/** @throws UsageError, InputError, NotFoundError, FormatError */
export async function readJob(args: Arguments): Promise<GenerateJob> {
  const given = readOptions(args);
  const dit = await findDit(given.model, args.text('config'));
  const { manifest } = dit;
  const { in_channels, input_size } = dit.config;
  const latentShape = [in_channels, input_size, input_size] as const;
  const noise = given.noiseIn === undefined ? undefined : await readNoise(given.noiseIn, latentShape);
  const captions =
    given.captionsIn === undefined ? undefined : await readCaptions(given.captionsIn, dit.config);
  const count = pictureCount(given, captions?.shape[0], noise?.shape[0]);

  const text = captions ? undefined : await findTextPart(args, given);
  const out = given.out ?? (given.latentsOut === undefined ? 'tabdit.png' : undefined);
  const vae = out === undefined ? undefined : await findVaePart(args, given);
  checkSize(given.size, dit, vae);
  const settings = {
    prompts: Array.from(
      { length: count },
      (_, index) => given.prompts[Math.floor((index * given.prompts.length) / count)] ?? '',
    ),
    steps: given.steps ?? manifest?.defaults.steps ?? 30,
    guidance: given.guidance ?? manifest?.defaults.guidance ?? 5,
    seed: given.seed,
    noiseLayout: given.rng,
  };
  const stem = dit.file.source.name.replace(/^.*[\\/]/, '').replace(/\.[^.]*$/, '');
  const parts: ModelParts = {
    name: manifest?.name ?? stem,
    title: manifest?.title ?? stem,
    licence: manifest?.licence ?? '',
    defaults: { steps: settings.steps, guidance: settings.guidance, prompts: [] },
    dit: { file: dit.file, prefix: dit.prefix, config: dit.config },
    ...(vae && { vae: { file: vae.file, prefix: vae.prefix, model: vae.model } }),
    ...(text && { text: text.part }),
  };
  checkParts(parts);
  return {
    parts,
    notes: [...dit.notes, ...(text?.notes ?? []), ...(vae?.notes ?? [])],
    prompts: given.prompts,
    settings,
    weights: given.weights,
    budget: given.budget,
    count,
    latentShape,
    ...(captions ? { captions: repeatRows(captions.data, captions.shape[0]!, count) } : {}),
    ...(noise ? { noise: noise.data } : {}),
    ...(out === undefined ? {} : { out }),
    ...(given.latentsOut === undefined ? {} : { latentsOut: given.latentsOut }),
    ...(given.traceOut === undefined ? {} : { traceOut: given.traceOut }),
    reproducible: !captions && !noise,
  };
}

/** `rows` rows as `count` ones, each as often as the others, equal ones together. `rows` divides `count`. */
function repeatRows(values: Float32Array, rows: number, count: number): Float32Array {
  if (rows === count) return values;
  const width = values.length / rows;
  const out = new Float32Array(count * width);
  for (let row = 0; row < count; row++) {
    const from = Math.floor((row * rows) / count) * width;
    out.set(values.subarray(from, from + width), row * width);
  }
  return out;
}

interface Given {
  readonly prompts: readonly string[];
  readonly model: string;
  readonly steps?: number | undefined;
  readonly guidance?: number | undefined;
  readonly seed: string;
  readonly count?: number | undefined;
  readonly size?: number | undefined;
  readonly rng: GenerateSettings['noiseLayout'];
  readonly weights: WeightChoice;
  readonly budget: number;
  readonly out?: string | undefined;
  readonly latentsOut?: string | undefined;
  readonly traceOut?: string | undefined;
  readonly noiseIn?: string | undefined;
  readonly captionsIn?: string | undefined;
}

function readOptions(args: Arguments): Given {
  const seed = (args.text('seed') ?? '').trim();
  if (!isSeed(seed)) {
    throw new UsageError(`generate: --seed must be a whole number of 64 bits: ${JSON.stringify(seed)}`);
  }
  const captionsIn = args.text('caption-latents-in');
  if (args.words.length === 0 && captionsIn === undefined) {
    throw new UsageError('generate: a prompt or --caption-latents-in must be given: there is neither');
  }
  args.choice('sampler', ['heun']);
  const memory = args.text('memory');
  const budget = memory === undefined ? Infinity : parseBytes(memory);
  if (budget === null) {
    throw new UsageError(`generate: --memory must be an amount such as 2.7GB: ${JSON.stringify(memory)}`);
  }
  return {
    prompts: args.words,
    model: args.text('model') ?? demoPath(),
    steps: args.whole('steps', 2),
    guidance: args.number('guidance'),
    seed,
    count: args.whole('count', 1),
    size: args.whole('size', 1),
    rng: args.choice('rng', ['cuda', 'cpu']) ?? 'cuda',
    weights: args.choice('weights', ['auto', 'f32', 'f16', 'int8']) ?? 'auto',
    budget,
    out: args.text('out'),
    latentsOut: args.text('latents-out'),
    traceOut: args.text('trace-out'),
    noiseIn: args.text('noise-in'),
    captionsIn,
  };
}

async function readNoise(path: string, latentShape: readonly number[]): Promise<Floats> {
  const noise = await readFloats(await openTensors(path), 'latents', 'noise');
  checkShape(`${path}: noise`, noise.shape, ['N', ...latentShape]);
  return noise;
}

async function readCaptions(path: string, config: DitConfig): Promise<Floats> {
  const captions = await readFloats(await openTensors(path), 'y', 'caption_latents');
  const { shape, data } = captions;
  const [rows, one, length, width] = shape.length === 3 ? [shape[0], 1, ...shape.slice(1)] : shape;
  if (!rows || one !== 1 || !length || width !== config.caption_channels || shape.length > 4) {
    throw new FormatError(
      `${path}: caption latents must have shape [N, 1, L, ${config.caption_channels}]: they have ${shapeText(shape)}`,
    );
  }
  return { shape: [rows, length, width], data };
}

/** @throws InputError when prompts, captions, noise and --count do not go together */
function pictureCount(given: Given, captionRows: number | undefined, noiseRows: number | undefined): number {
  const { prompts } = given;
  const rows = captionRows ?? prompts.length;
  const count = noiseRows ?? rows * (given.count ?? 1);
  if (captionRows !== undefined && captionRows % Math.max(1, prompts.length) !== 0) {
    throw new InputError(
      `generate: caption rows must be a multiple of the prompts: ${captionRows} rows, ${prompts.length} prompts`,
    );
  }
  if (count % rows !== 0 || (given.count !== undefined && count !== rows * given.count)) {
    throw new InputError(
      `generate: noise must be for every picture: ${count} rows of noise, ${rows} captions, --count ${given.count ?? 'not given'}`,
    );
  }
  return count;
}

/** Where a part comes from: the path given for it, else the model's own. @throws UsageError */
async function pathOf(args: Arguments, given: Given, role: Role, rule: string): Promise<string> {
  const path = args.text(role);
  if (path !== undefined) return path;
  const items = await identifiedAt(given.model);
  if (items.some(({ parts }) => parts.some(({ facts }) => facts.role === role))) return given.model;
  throw new UsageError(`generate: ${rule}: ${given.model}`);
}

async function findTextPart(
  args: Arguments,
  given: Given,
): Promise<{ part: NonNullable<ModelParts['text']>; notes: readonly string[] }> {
  const rule = '--text or --caption-latents-in must be given with a model that has no text tower';
  const path = await pathOf(args, given, 'text', rule);
  const { file, prefix, config, notes } = await findText(path);
  const tokenizer = await findTokenizer(args.text('tokenizer'), path, config.context);
  return { part: { file, prefix, config, tokenizer }, notes };
}

async function findVaePart(args: Arguments, given: Given): Promise<VaePart> {
  const rule = '--vae, or only --latents-out, must be given with a model that has no autoencoder';
  const path = await pathOf(args, given, 'vae', rule);
  const part = await findVae(path);
  if (part.half === 'encoder') {
    throw new FormatError(`${path}: the autoencoder must have a decoder: it has an encoder only`);
  }
  return part;
}

/** Pixels along an edge: the latent's times the autoencoder's factor; without one as the bundle says, else 8. */
function checkSize(size: number | undefined, dit: ModelPart<DitConfig>, vae?: VaePart): void {
  if (size === undefined) return;
  const edge = dit.config.input_size;
  const factor = vae && vaeFactor(vae.model);
  const own = factor ? edge * factor : (dit.manifest?.image_size ?? edge * 8);
  if (size !== own) throw new InputError(`generate: --size must be the model's ${own} pixels: ${size}`);
}
