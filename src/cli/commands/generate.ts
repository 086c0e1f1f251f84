/**
 * `tabdit generate`: text to pictures. Only the parts that a call needs are loaded: no text tower with given caption
 * latents, no autoencoder when nothing but latents is asked for.
 */
import type { TensorData } from '../../formats/safetensors/writer';
import { formatBytes } from '../../core/units';
import type { GenerateTimings, Picture, PictureSettings, WeightStorage } from '../../protocol/generate';
import type { QuantizationFacts } from '../../protocol/messages';
import { GenerateSession } from '../../sessions/generate';
import { adapterOption, type Command, type Context } from '../command';
import { openForCommand, type OpenedDevice } from '../device';
import { floats, writeTensors } from '../files';
import { readJob, type GenerateJob } from '../generateJob';
import { picturePaths, writePictures } from '../pictures';

export const generate: Command = {
  name: 'generate',
  words: '[PROMPT...]',
  summary: 'text to pictures',
  options: {
    model: {
      value: 'PATH',
      help: 'bundle, or the folder or weight file of a transformer (default: the demo)',
    },
    vae: { value: 'PATH', help: "autoencoder (default: the bundle's)" },
    text: { value: 'PATH', help: "text tower (default: the bundle's)" },
    tokenizer: { value: 'PATH', help: "tokenizer.json (default: the text tower's)" },
    config: { value: 'FILE', help: "the transformer's configuration, where the model does not say it" },
    steps: { value: 'N', help: "steps, 2 N - 1 evaluations (default: the bundle's, else 30)" },
    guidance: {
      value: 'G',
      help: "classifier-free guidance, active above 1 (default: the bundle's, else 5)",
    },
    seed: {
      value: 'N',
      help: '64-bit seed; nothing and 0: the generator that was never seeded, as the reference',
    },
    count: { value: 'N', help: 'pictures per prompt (default: 1)' },
    size: { value: 'PX', help: "edge of the pictures; must be the model's" },
    sampler: { value: 'heun', help: 'the deterministic Heun sampler (default, and the only one)' },
    rng: { value: 'cuda|cpu', help: "layout of torch's noise (default: cuda)" },
    weights: {
      value: 'auto|f32|f16|int8',
      help: 'how weights are stored on the GPU (default: auto: f16, or int8 where f16 does not fit --memory)',
    },
    memory: {
      value: 'BYTES',
      help: 'what the model may take on the GPU, such as 2.7GB; parts come and go to keep to it (default: no bound)',
    },
    out: {
      value: 'FILE|DIR',
      help: 'pictures (default: tabdit.png, unless --latents-out is given); several: FILE-0.png ..., DIR/0.png ...',
    },
    'latents-out': { value: 'FILE', help: 'write tensor `latents` [N, C, h, w], scaled' },
    'trace-out': { value: 'FILE', help: 'write the latents after every step, `step0` ...' },
    'noise-in': {
      value: 'FILE',
      help: 'unit-normal noise in place of the seed: tensor `latents` (or `noise`)',
    },
    'caption-latents-in': {
      value: 'FILE',
      help: 'in place of encoded prompts: tensor `y` or `caption_latents` [N, 1, L, C]',
    },
    ...adapterOption,
  },
  async run(args, context) {
    const { output } = context;
    const job = await readJob(args);
    for (const note of job.notes) output.note(note);
    const paths = job.out === undefined ? [] : await picturePaths(job.out, job.count);
    const opened = await openForCommand(args, output);
    let made: Made;
    try {
      made = await make(job, opened, context);
    } finally {
      opened.close();
    }
    const settings = job.reproducible ? pictureSettings(job) : [];
    await writePictures(paths, made.pictures, settings);
    const shape = [job.count, ...job.latentShape];
    if (job.latentsOut !== undefined) {
      await writeTensors(job.latentsOut, [floats('latents', shape, made.latents)]);
    }
    if (job.traceOut !== undefined) await writeTensors(job.traceOut, made.trace);

    const { steps, guidance, seed, noiseLayout } = job.settings;
    const written = [...paths, job.latentsOut, job.traceOut].filter((path) => path !== undefined);
    if (!job.reproducible && paths.length > 0) {
      output.note('note: no settings are written into the pictures, as noise or captions came from a file');
    }
    output.result(
      {
        model: job.parts.name,
        prompts: job.prompts,
        steps,
        guidance,
        seed,
        rng: noiseLayout,
        weights: made.weights,
        residency: made.residency,
        memory: made.bytes,
        ...(made.weights === 'int8' ? { quantization: made.quantization } : {}),
        shape,
        adapter: opened.adapter,
        timings: made.timings,
        pictures: paths,
        ...(job.latentsOut === undefined ? {} : { latents: job.latentsOut }),
        ...(job.traceOut === undefined ? {} : { trace: job.traceOut }),
      },
      () => [weightsText(made), timingsText(made.timings), ...written.map((path) => `written to ${path}`)],
    );
  },
};

interface Made {
  readonly pictures: readonly Picture[];
  readonly latents: Float32Array;
  readonly trace: readonly TensorData[];
  readonly timings: GenerateTimings & { readonly loadMs: number };
  readonly weights: WeightStorage;
  readonly residency: 'resident' | 'staged';
  /** At most on the GPU at once, as planned. */
  readonly bytes: number;
  /** The worst tensor first. */
  readonly quantization: readonly QuantizationFacts[];
}

async function make(job: GenerateJob, { resources }: OpenedDevice, context: Context): Promise<Made> {
  const { signal, output } = context;
  const { count, settings, latentShape, weights, budget } = job;
  const onLoad = (done: number, total: number, what: string): void =>
    output.progress(`reading ${what}`, done, total);
  const began = performance.now();
  const options = { weights, budget, signal, onProgress: onLoad };
  const session = await GenerateSession.load(resources, job.parts, options);
  const loadMs = performance.now() - began;

  const size = latentShape.reduce((product, extent) => product * extent, 1);
  const traced = new Map<number, Float32Array>();
  const { pictures, latents, timings } = await session.generate(settings, {
    signal,
    onLoad,
    previewEvery: 0,
    pictures: job.out !== undefined,
    ...(job.noise ? { noise: job.noise } : {}),
    ...(job.captions ? { captions: job.captions } : {}),
    onProgress: ({ stage, step, steps }) => {
      if (stage === 'sample') output.progress('sampling', step, steps);
      if (stage === 'decode') output.progress('decoding', 0, 1);
    },
    ...(job.traceOut === undefined
      ? {}
      : {
          onLatents: (values: Float32Array, step: number, first: number) => {
            const all = traced.get(step) ?? new Float32Array(count * size);
            all.set(values, first * size);
            traced.set(step, all);
          },
        }),
  });
  const { model } = session;
  return {
    pictures,
    latents,
    trace: [...traced].map(([step, values]) => floats(`step${step}`, [count, ...latentShape], values)),
    timings: { loadMs, ...timings, totalMs: timings.totalMs + loadMs },
    weights: model.storage,
    residency: model.residency.kind,
    bytes: model.residency.bytes,
    quantization: model.quantization,
  };
}

function pictureSettings({ settings, parts, count }: GenerateJob): PictureSettings[] {
  const { prompts, steps, guidance, seed, noiseLayout } = settings;
  return prompts.map((prompt, index) => ({
    program: 'tabdit',
    model: parts.name,
    prompt,
    steps,
    guidance,
    seed,
    noiseLayout,
    index,
    count,
  }));
}

function weightsText({ weights, residency, bytes, quantization }: Made): string {
  const stay = residency === 'resident' ? '' : ', parts come and go';
  const [worst] = quantization;
  const error = worst ? `, at worst ${(100 * worst.relativeError).toFixed(2)} % off (${worst.tensor})` : '';
  return `weights ${weights}${error}; ${formatBytes(bytes)} of GPU memory planned${stay}`;
}

function timingsText(timings: Made['timings']): string {
  const part = (what: string, ms: number): string => `${what} ${(ms / 1000).toFixed(2)} s`;
  return [
    part('loading', timings.loadMs),
    part('text', timings.textMs),
    part('sampling', timings.sampleMs),
    part('decoding', timings.decodeMs),
    part('in all', timings.totalMs),
  ].join(', ');
}
