/**
 * `tabdit generate`: text to pictures. Only the parts that a call needs are loaded: no text tower with given caption
 * latents, no autoencoder when nothing but latents is asked for.
 */
import type { TensorData } from '../../formats/safetensors/writer';
import type { GenerateTimings, Picture, PictureSettings } from '../../protocol/generate';
import { initialNoise } from '../../sessions/generate';
import { toPictures } from '../../sessions/pictures';
import { tokenizePrompts } from '../../sessions/textSession';
import { adapterOption, type Command, type Context } from '../command';
import { openForCommand, type OpenedDevice } from '../device';
import { floats, writeTensors } from '../files';
import { readJob, repeatRows, type GenerateJob } from '../generateJob';
import { loadDit, loadText, loadVae } from '../loading';
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
    weights: { value: 'f32|f16', help: 'how weights are stored on the GPU (default: f16)' },
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

    const { steps, guidance, seed, rng, weights, model } = job;
    const written = [...paths, job.latentsOut, job.traceOut].filter((path) => path !== undefined);
    if (!job.reproducible && paths.length > 0) {
      output.note('note: no settings are written into the pictures, as noise or captions came from a file');
    }
    output.result(
      {
        model,
        prompts: job.prompts,
        steps,
        guidance,
        seed,
        rng,
        weights,
        shape,
        adapter: opened.adapter,
        timings: made.timings,
        pictures: paths,
        ...(job.latentsOut === undefined ? {} : { latents: job.latentsOut }),
        ...(job.traceOut === undefined ? {} : { trace: job.traceOut }),
      },
      () => [`${timingsText(made.timings)}`, ...written.map((path) => `written to ${path}`)],
    );
  },
};

interface Made {
  readonly pictures: readonly Picture[];
  readonly latents: Float32Array;
  readonly trace: readonly TensorData[];
  readonly timings: GenerateTimings & { readonly loadMs: number };
}

async function make(job: GenerateJob, { resources }: OpenedDevice, context: Context): Promise<Made> {
  const { signal, output } = context;
  const { count, steps, guidance, latentShape, weights } = job;
  const began = performance.now();
  const text = job.text ? await loadText(resources, job.text.part, weights, context) : null;
  const dit = await loadDit(resources, job.dit, weights, context);
  const vae = job.vae ? await loadVae(resources, job.vae, 'decoder', weights, context) : null;

  const start = performance.now();
  const captions = text
    ? repeatRows(
        await text.encode(tokenizePrompts(job.text!.tokenizer, job.prompts), signal),
        job.prompts.length,
        count,
      )
    : job.captions!;
  const [channels, height, width] = latentShape;
  const noise = job.noise ?? initialNoise(job.seed, job.rng, count * channels * height * width);

  const sampling = performance.now();
  const trace: TensorData[] = [];
  const latents = await dit.sample({
    captions,
    captionLength: captions.length / count / dit.config.caption_channels,
    noise,
    samples: count,
    steps,
    guidance,
    signal,
    onStep: async (step) => {
      output.progress('sampling', step + 1, steps);
      if (job.traceOut === undefined) return;
      trace.push(floats(`step${step}`, [count, ...latentShape], await dit.readLatents()));
    },
  });
  const decoding = performance.now();
  let pictures: readonly Picture[] = [];
  if (vae) {
    output.progress('decoding', 0, 1);
    const image = await vae.decode(latents, { samples: count, height, width, signal });
    pictures = toPictures(image.values, count, image.height, image.width);
  }
  const end = performance.now();
  return {
    pictures,
    latents,
    trace,
    timings: {
      loadMs: start - began,
      textMs: sampling - start,
      sampleMs: decoding - sampling,
      decodeMs: end - decoding,
      totalMs: end - began,
    },
  };
}

function pictureSettings(job: GenerateJob): PictureSettings[] {
  const { count, prompts, steps, guidance, seed, rng, model } = job;
  return Array.from({ length: count }, (_, index) => ({
    program: 'tabdit',
    model,
    prompt: prompts[Math.floor((index * prompts.length) / count)] ?? '',
    steps,
    guidance,
    seed,
    noiseLayout: rng,
    index,
    count,
  }));
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
