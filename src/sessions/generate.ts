/**
 * GenerateSession: a whole text-to-image model on one device, prompts in, pictures out.
 *
 *   prompts -> tokenizer -> text tower -> caption branch -> sampler -> VAE decoder -> 8-bit pictures
 *
 * Page and command line drive the same session. Nothing is awaited on data inside the sampling loop except previews, which
 * are decoded only when that is cheap beside a step.
 */
import { CancelledError, FormatError, InputError } from '../core/errors';
import type { Bundle } from '../formats/bundle';
import { openTensorFile } from '../formats/openTensorFile';
import { resolveDitConfig } from '../models/dit/config';
import { ditParameters } from '../models/dit/parameters';
import { parameterCount } from '../models/parameters';
import type { Tokenizer } from '../models/text/context';
import { loadTokenizer } from '../models/text/tokenizer';
import { textParameters } from '../models/text/tower';
import type {
  GenerateProgress,
  GenerateSettings,
  GenerateTimings,
  NoiseLayout,
  Picture,
  WeightStorage,
} from '../protocol/generate';
import type { MemoryPart, PlanFacts } from '../protocol/messages';
import { parseKlConfig, parseTextConfig } from '../protocol/schemas';
import { torchRandn } from '../random/torchRandn';
import { DitSession } from './ditSession';
import { toPictures } from './pictures';
import type { SessionResources } from './resources';
import { TextSession, tokenizePrompts } from './textSession';
import { VaeSession } from './vaeSession';

export type { SessionResources } from './resources';

export interface LoadModelOptions {
  /** Default f16: half the memory; equal results when the file holds f16. */
  readonly weights?: WeightStorage;
  readonly onProgress?: (done: number, total: number, what: string) => void;
  readonly signal?: AbortSignal;
}

export interface GenerateHooks {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GenerateProgress) => void;
  readonly onPreview?: (pictures: Picture[], step: number) => void;
  /** Preview at most every so many steps; 0 never. Default 1. */
  readonly previewEvery?: number;
  /** Latents after each step, for traces. */
  readonly onLatents?: (latents: Float32Array, step: number) => void;
  /** Unit-normal noise [N, C, h, w] in place of the seed's. */
  readonly noise?: Float32Array;
  /** Caption latents [N, L, C] in place of the prompts'. */
  readonly captions?: Float32Array;
}

export interface GenerateOutput {
  readonly pictures: Picture[];
  /** Final latents [N, C, h, w], scaled. */
  readonly latents: Float32Array;
  /** Caption latents [N, L, C]. */
  readonly captions: Float32Array;
  readonly timings: GenerateTimings;
}

/** What a loaded model is and takes. */
export interface ModelFacts {
  readonly parameters: readonly { readonly part: string; readonly count: number }[];
  readonly memory: readonly MemoryPart[];
  readonly plans: readonly PlanFacts[];
}

/** Previews may take at most this share of the sampling time. */
const previewShare = 0.25;

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
  readonly bundle: Bundle;
  readonly text: TextSession;
  readonly dit: DitSession;
  readonly vae: VaeSession;
  readonly tokenizer: Tokenizer;
  readonly #resources: SessionResources;
  #decodeMs = 0;

  private constructor(
    resources: SessionResources,
    bundle: Bundle,
    tokenizer: Tokenizer,
    text: TextSession,
    dit: DitSession,
    vae: VaeSession,
  ) {
    this.#resources = resources;
    this.bundle = bundle;
    this.tokenizer = tokenizer;
    this.text = text;
    this.dit = dit;
    this.vae = vae;
  }

  /**
   * Loads every part of a bundle onto the device. On failure nothing stays behind.
   * @throws FormatError, NotFoundError, OutOfMemoryError; FormatError when the parts do not fit each other
   */
  static async load(
    resources: SessionResources,
    bundle: Bundle,
    options: LoadModelOptions = {},
  ): Promise<GenerateSession> {
    const storage = options.weights ?? 'f16';
    const { manifest } = bundle;
    const ditConfig = resolveDitConfig(bundle.dit.config, bundle.dit.configName).config;
    const klConfig = parseKlConfig(bundle.vae.configName, bundle.vae.config).config;
    const textConfig = parseTextConfig(bundle.text.configName, bundle.text.config).config;
    const { context, pad } = manifest.text;
    const tokenizer = loadTokenizer(bundle.text.tokenizerName, bundle.text.tokenizer, { context, pad });
    checkParts(bundle, ditConfig, klConfig, textConfig);

    const files = {
      text: await openTensorFile(bundle.text.file, options.signal),
      dit: await openTensorFile(bundle.dit.file, options.signal),
      vae: await openTensorFile(bundle.vae.file, options.signal),
    };
    const total = files.text.source.size + files.dit.source.size + files.vae.source.size;
    let before = 0;
    const part = (what: string, size: number): Parameters<typeof DitSession.load>[3] => {
      const start = before;
      before += size;
      return {
        storage,
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done) => options.onProgress?.(start + done, total, what),
      };
    };
    const loaded: { dispose(): void }[] = [];
    const keep = <T extends { dispose(): void }>(session: T): T => {
      loaded.push(session);
      return session;
    };
    try {
      const text = keep(
        await TextSession.load(resources, textConfig, files.text, part('text tower', files.text.source.size)),
      );
      const dit = keep(
        await DitSession.load(resources, ditConfig, files.dit, part('transformer', files.dit.source.size)),
      );
      const vae = keep(
        await VaeSession.load(resources, klConfig, files.vae, part('image decoder', files.vae.source.size)),
      );
      return new GenerateSession(resources, bundle, tokenizer, text, dit, vae);
    } catch (thrown) {
      for (const session of loaded) session.dispose();
      throw thrown;
    }
  }

  /** Caption latents [N, L, C] of prompts. */
  async encodePrompts(prompts: readonly string[], signal?: AbortSignal): Promise<Float32Array> {
    return this.text.encode(tokenizePrompts(this.tokenizer, prompts), signal);
  }

  /**
   * Generates one picture per prompt, as one batch.
   * @throws InputError for settings out of range; CancelledError
   */
  async generate(settings: GenerateSettings, hooks: GenerateHooks = {}): Promise<GenerateOutput> {
    const { prompts, steps, guidance } = settings;
    const { signal } = hooks;
    if (prompts.length === 0) throw new InputError('prompts: at least one: none given');
    if (!Number.isInteger(steps) || steps < 2)
      throw new InputError(`steps: a whole number, at least 2: ${steps}`);
    if (!Number.isFinite(guidance)) throw new InputError(`guidance: a finite number: ${guidance}`);
    const [channels, height, width] = this.dit.latentShape;
    const values = prompts.length * channels * height * width;
    const noise = hooks.noise ?? initialNoise(settings.seed, settings.noiseLayout, values);

    const began = performance.now();
    const report = (
      stage: GenerateProgress['stage'],
      step: number,
      sigma: number,
      leftMs: number | null,
    ): void =>
      hooks.onProgress?.({ stage, step, steps, sigma, elapsedMs: performance.now() - began, leftMs });
    report('text', 0, 80, null);
    const captions = hooks.captions ?? (await this.encodePrompts(prompts, signal));
    const sampling = performance.now();
    report('sample', 0, 80, null);

    let previewMs = 0;
    const { previewEvery = 1 } = hooks;
    const latents = await this.dit.sample({
      captions,
      captionLength: captions.length / prompts.length / this.dit.config.caption_channels,
      noise,
      samples: prompts.length,
      steps,
      guidance,
      ...(signal ? { signal } : {}),
      onStep: async (index, evaluation) => {
        const step = index + 1;
        const elapsed = performance.now() - sampling;
        const left = (elapsed / step) * (steps - step);
        report('sample', step, evaluation.stage === 'last' ? 0 : evaluation.sigma, left + this.#decodeMs);
        if (hooks.onLatents) {
          await this.#resources.pacer.idle();
          hooks.onLatents(await this.dit.readLatents(), step);
        }
        if (!hooks.onPreview || previewEvery <= 0 || step === steps || step % previewEvery !== 0) return;
        if (step > 1 && previewMs + this.#decodeMs > previewShare * elapsed) return;
        const from = performance.now();
        hooks.onPreview(
          await this.#decode(await this.dit.readLatents('denoised'), prompts.length, signal),
          step,
        );
        previewMs += performance.now() - from;
      },
    });
    const decoding = performance.now();
    report('decode', steps, 0, this.#decodeMs || null);
    const pictures = await this.#decode(latents, prompts.length, signal);
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
  }

  /** Parameters, memory by purpose and plans of a guided job with one picture and the bundle's defaults. */
  async describe(): Promise<ModelFacts> {
    const { state, scratch } = this.#resources;
    const { steps, guidance } = this.bundle.manifest.defaults;
    const plans = await this.dit.plans({
      samples: 1,
      captionLength: this.text.config.context,
      steps,
      guidance: guidance > 1 ? guidance : 1,
    });
    const facts = (name: string, { plan, ownedBytes }: typeof plans.body): PlanFacts => ({
      name,
      macs: plan.macs,
      dispatches: plan.dispatches.length,
      pipelines: plan.pipelines.size,
      plannedBytes: plan.memory.io + plan.memory.uniforms,
      createdBytes: ownedBytes,
    });
    const decoder = await this.vae.decoder(1, this.dit.latentShape[1], this.dit.latentShape[2]);
    return {
      parameters: [
        { part: 'diffusion transformer', count: parameterCount(ditParameters(this.dit.config)) },
        { part: 'text tower', count: parameterCount(textParameters(this.text.config)) },
        { part: 'autoencoder', count: this.vae.parameterCount },
      ],
      memory: [
        { purpose: 'transformer weights', bytes: state.bytes('dit') },
        { purpose: 'text tower weights', bytes: state.bytes('text') },
        { purpose: 'autoencoder weights', bytes: state.bytes('vae') },
        { purpose: 'prompt and sampler state', bytes: state.bytes('prompt') + state.bytes('sampler') },
        { purpose: 'modulation table', bytes: state.bytes('modulation') },
        { purpose: 'scratch', bytes: scratch.bytes },
      ],
      plans: [
        facts('caption branch, once per prompt', plans.prompt),
        facts('modulation, once per job', plans.modulation),
        facts('one evaluation', plans.body),
        facts('decoding a picture', decoder),
      ],
    };
  }

  async #decode(latents: Float32Array, samples: number, signal?: AbortSignal): Promise<Picture[]> {
    const from = performance.now();
    const [, height, width] = this.dit.latentShape;
    const image = await this.vae.decode(latents, { samples, height, width, ...(signal ? { signal } : {}) });
    this.#decodeMs = performance.now() - from;
    return toPictures(image.values, samples, image.height, image.width);
  }

  dispose(): void {
    this.text.dispose();
    this.dit.dispose();
    this.vae.dispose();
  }
}

/** @throws FormatError when the parts of a bundle were not made for each other */
function checkParts(
  bundle: Bundle,
  dit: { readonly in_channels: number; readonly caption_channels: number },
  vae: { readonly latent_channels: number },
  text: { readonly width: number; readonly context: number },
): void {
  const { name } = bundle.manifest;
  if (dit.in_channels !== vae.latent_channels) {
    throw new FormatError(
      `${name}: transformer and autoencoder must have the same latent channels: ${dit.in_channels} and ${vae.latent_channels}`,
    );
  }
  if (dit.caption_channels !== text.width) {
    throw new FormatError(
      `${name}: the transformer's caption width must be the text tower's: ${dit.caption_channels} and ${text.width}`,
    );
  }
  if (bundle.manifest.text.context !== text.context) {
    throw new FormatError(
      `${name}: the manifest's context must be the text tower's: ${bundle.manifest.text.context} and ${text.context}`,
    );
  }
}
