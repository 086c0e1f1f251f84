/**
 * GenerateSession: a text-to-image model on one device, prompts in, pictures out.
 *
 *   prompts -> tokenizer -> text tower -> caption branch -> sampler -> image decoder -> 8-bit pictures
 *
 * Page and command line drive the same session. Nothing is awaited on data inside the sampling loop except previews, which
 * are decoded only when that is cheap beside a step.
 */
import { CancelledError, InputError, NotFoundError } from '../core/errors';
import { sigmaMax } from '../diffusion/edm';
import type {
  GenerateProgress,
  GenerateSettings,
  GenerateTimings,
  NoiseLayout,
  Picture,
} from '../protocol/generate';
import { torchRandn } from '../random/torchRandn';
import { LoadedModel, type LoadModelOptions, type LoadProgress } from './loadedModel';
import type { ModelParts } from './modelParts';
import { toPictures } from './pictures';
import type { SessionResources } from './resources';
import { tokenizePrompts } from './textSession';
import { vaeFactor } from './vaePlan';

export type { SessionResources } from './resources';

export interface GenerateHooks {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GenerateProgress) => void;
  readonly onPreview?: (pictures: Picture[], step: number) => void;
  /** Preview at most every so many steps; 0 never. Default 1. */
  readonly previewEvery?: number;
  /** Latents after step number `step`, counted from 0, of the pictures from number `first` on, for traces. */
  readonly onLatents?: (latents: Float32Array, step: number, first: number) => void;
  /** A part is read because it was not on the device. */
  readonly onLoad?: LoadProgress;
  /** false: latents only. */
  readonly pictures?: boolean;
  /** Unit-normal noise [N, C, h, w] in place of the seed's. */
  readonly noise?: Float32Array;
  /** Caption latents [N, L, C] in place of the prompts'. */
  readonly captions?: Float32Array;
}

export interface GenerateOutput {
  /** None where the model has no autoencoder or none were asked for. */
  readonly pictures: Picture[];
  /** Final latents [N, C, h, w], scaled. */
  readonly latents: Float32Array;
  /** Caption latents [N, L, C]. */
  readonly captions: Float32Array;
  readonly timings: GenerateTimings;
}

/** Previews may take at most this share of the sampling time. */
const previewShare = 0.25;

/** Sets of prompts whose caption latents are kept: making a picture again needs no text tower. */
const keptCaptions = 16;

/** The seed as upstream's generate() takes it: nothing and 0 keep the generator's default. */
export function parseSeed(seed: string): bigint | null {
  const text = seed.trim().replace(/^\+/, '');
  if (text === '') return null;
  if (!/^-?\d+$/.test(text)) throw new InputError(`seed: a whole number: ${JSON.stringify(seed)}`);
  const value = BigInt(text);
  return value === 0n ? null : value;
}

/** Initial noise [N, C, h, w] of a seed, drawn at once for the whole batch. @throws InputError */
export function initialNoise(seed: string, layout: NoiseLayout, count: number): Float32Array<ArrayBuffer> {
  return torchRandn({ rng: layout, seed: parseSeed(seed), count });
}

export class GenerateSession {
  readonly model: LoadedModel;
  readonly #resources: SessionResources;
  readonly #captions = new Map<string, Float32Array>();
  #decodeMs = 0;

  private constructor(resources: SessionResources, model: LoadedModel) {
    this.#resources = resources;
    this.model = model;
  }

  /** Loads a model: see LoadedModel.load. */
  static async load(
    resources: SessionResources,
    parts: ModelParts,
    options: LoadModelOptions = {},
  ): Promise<GenerateSession> {
    return new GenerateSession(resources, await LoadedModel.load(resources, parts, options));
  }

  /** What it is made of. */
  get parts(): ModelParts {
    return this.model.parts;
  }

  /** Shape of one latent: [C, h, w]. */
  get latentShape(): readonly [number, number, number] {
    const { in_channels, input_size } = this.parts.dit.config;
    return [in_channels, input_size, input_size];
  }

  /** Edge of its pictures in pixels; without an autoencoder as AutoencoderKL would make them. */
  get imageSize(): number {
    return this.latentShape[1] * (this.parts.vae ? vaeFactor(this.parts.vae.model) : 8);
  }

  /** Caption latents [N, L, C] of prompts. @throws NotFoundError without a text tower; CancelledError */
  async encodePrompts(prompts: readonly string[], signal?: AbortSignal): Promise<Float32Array> {
    const { text, name } = this.parts;
    if (!text) throw new NotFoundError(`${name}: prompts need a text tower: there is none`);
    const wanted = [...new Set(prompts)];
    const key = JSON.stringify(wanted);
    let encoded = this.#captions.get(key);
    if (!encoded) {
      const tower = await this.model.part('text', signal);
      encoded = await tower.encode(tokenizePrompts(text.tokenizer, wanted), signal);
      if (this.#captions.size >= keptCaptions) this.#captions.delete([...this.#captions.keys()][0]!);
      this.#captions.set(key, encoded);
    }
    const row = encoded.length / wanted.length;
    const captions = new Float32Array(prompts.length * row);
    prompts.forEach((prompt, index) => {
      const from = wanted.indexOf(prompt) * row;
      captions.set(encoded.subarray(from, from + row), index * row);
    });
    return captions;
  }

  /**
   * Generates one picture per prompt: in one batch, or in as many as the budget demands, with the same noise.
   * @throws InputError for settings out of range; LimitError; NotFoundError for a missing part; CancelledError
   */
  async generate(settings: GenerateSettings, hooks: GenerateHooks = {}): Promise<GenerateOutput> {
    const { prompts, steps, guidance } = settings;
    const { signal } = hooks;
    if (prompts.length === 0) throw new InputError('prompts: at least one: none given');
    if (!Number.isInteger(steps) || steps < 2)
      throw new InputError(`steps: a whole number, at least 2: ${steps}`);
    if (!Number.isFinite(guidance)) throw new InputError(`guidance: a finite number: ${guidance}`);
    const count = prompts.length;
    const [channels, height, width] = this.latentShape;
    const values = count * channels * height * width;
    const noise = hooks.noise ?? initialNoise(settings.seed, settings.noiseLayout, values);
    this.model.onProgress = hooks.onLoad;
    try {
      const began = performance.now();
      const report: Report = (stage, step, sigma, leftMs) =>
        hooks.onProgress?.({ stage, step, steps, sigma, elapsedMs: performance.now() - began, leftMs });
      report('text', 0, sigmaMax, null);
      const captions = hooks.captions ?? (await this.encodePrompts(prompts, signal));
      const sampling = performance.now();
      report('sample', 0, sigmaMax, null);
      const latents = await this.#sample(settings, hooks, { noise, captions }, report);
      const decoding = performance.now();
      const wanted = this.parts.vae !== undefined && hooks.pictures !== false;
      if (wanted) report('decode', steps, 0, this.#decodeMs || null);
      const pictures = wanted ? await this.#decode(latents, count, signal) : [];
      const done = performance.now();
      if (signal?.aborted) throw new CancelledError();
      return {
        pictures,
        latents,
        captions,
        timings: {
          textMs: sampling - began,
          sampleMs: decoding - sampling,
          decodeMs: done - decoding,
          totalMs: done - began,
        },
      };
    } finally {
      this.model.onProgress = undefined;
    }
  }

  dispose(): void {
    this.model.dispose();
  }

  /** Latents [N, C, h, w], batch after batch. */
  async #sample(
    { prompts, steps, guidance }: GenerateSettings,
    hooks: GenerateHooks,
    { noise, captions }: { readonly noise: Float32Array; readonly captions: Float32Array },
    report: Report,
  ): Promise<Float32Array> {
    const { signal, previewEvery = 1 } = hooks;
    const count = prompts.length;
    const latentValues = noise.length / count;
    const captionValues = captions.length / count;
    const batch = this.model.batchSize(count, { steps, guidance });
    const batches = Math.ceil(count / batch);
    const dit = await this.model.part('dit', signal);
    const began = performance.now();
    const latents = new Float32Array(noise.length);
    let previewMs = 0;
    for (let number = 0; number < batches; number++) {
      const first = number * batch;
      const samples = Math.min(batch, count - first);
      const rows = (from: Float32Array, size: number): Float32Array =>
        samples === count ? from : from.slice(first * size, (first + samples) * size);
      const made = await dit.sample({
        captions: rows(captions, captionValues),
        captionLength: captionValues / dit.config.caption_channels,
        noise: rows(noise, latentValues),
        samples,
        steps,
        guidance,
        ...(signal ? { signal } : {}),
        onStep: async (index, evaluation) => {
          const elapsed = performance.now() - began;
          const done = number * steps + index + 1;
          const left = (elapsed / done) * (batches * steps - done) + this.#decodeMs;
          const step = Math.floor(done / batches);
          report('sample', step, evaluation.stage === 'last' ? 0 : evaluation.sigma, left);
          if (hooks.onLatents) {
            await this.#resources.pacer.idle();
            hooks.onLatents(await dit.readLatents(), index, first);
          }
          // previews only of everything at once, and only while the decoder is there
          if (!hooks.onPreview || batches > 1 || previewEvery <= 0 || !this.model.isPresent('vae')) return;
          if (step === steps || step % previewEvery !== 0) return;
          if (step > 1 && previewMs + this.#decodeMs > previewShare * elapsed) return;
          const from = performance.now();
          hooks.onPreview(await this.#decode(await dit.readLatents('denoised'), count, signal), step);
          previewMs += performance.now() - from;
        },
      });
      latents.set(made, first * latentValues);
    }
    return latents;
  }

  /** Pictures of latents; small ones several at a time. */
  async #decode(latents: Float32Array, samples: number, signal?: AbortSignal): Promise<Picture[]> {
    const vae = await this.model.part('vae', signal);
    const from = performance.now();
    const [channels, height, width] = this.latentShape;
    const size = channels * height * width;
    const together = decodedTogether(height * width * vae.factor ** 2);
    const pictures: Picture[] = [];
    for (let first = 0; first < samples; first += together) {
      const count = Math.min(together, samples - first);
      const part = latents.subarray(first * size, (first + count) * size);
      const image = await vae.decode(part, { samples: count, height, width, ...(signal ? { signal } : {}) });
      pictures.push(...toPictures(image.values, count, image.height, image.width));
    }
    this.#decodeMs = performance.now() - from;
    return pictures;
  }
}

type Report = (stage: GenerateProgress['stage'], step: number, sigma: number, leftMs: number | null) => void;

/** Pictures of so many pixels that are decoded at once: as many as have the pixels of one of 256 x 256. */
function decodedTogether(pixels: number): number {
  return Math.max(1, Math.floor(2 ** 16 / pixels));
}
