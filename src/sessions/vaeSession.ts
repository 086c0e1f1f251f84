/**
 * VaeSession: an autoencoder on the GPU, AutoencoderKL or TAESD; both directions or one. Its runs are planned by size on
 * first use, in as few bands of rows as limits and budget allow (vaePlan.ts).
 *
 * Either kind takes and gives pictures in [-1, 1] and latents as a diffusion model sees them. AutoencoderKL's own latents
 * are those divided by its scaling factor; TAESD's need no factor, and its encoder gives one latent where AutoencoderKL's
 * gives a distribution: here a distribution without variance.
 */
import { InputError, NotFoundError } from '../core/errors';
import { joinFloats } from '../core/joinFloats';
import type { TensorFile } from '../formats/tensorFile';
import { Run } from '../gpu/run';
import { parameterCount } from '../models/parameters';
import { certainPosterior, posteriorOf, type Posterior } from '../models/vae/posterior';
import type { WeightStorage } from '../protocol/generate';
import type { VaeHalf, VaeModel } from '../protocol/vae';
import { loadWeights, type LoadOptions } from './loadWeights';
import type { SessionResources } from './resources';
import {
  latentChannels,
  planVaeRun,
  scalingFactor,
  vaeFactor,
  vaeGroup,
  vaeParameters,
  vaeWords,
  type VaeRunRequest,
} from './vaePlan';

/** Runs of so many sizes are kept: each has its inputs and outputs on the device. */
const keptRuns = 4;

export interface VaeLoadOptions extends LoadOptions {
  /** What is loaded; default both directions. An original TAESD file has one of them. */
  readonly half?: VaeHalf;
  /** Bytes that a run's scratch, inputs and outputs may take; default: what the device's limits allow. */
  readonly budget?: number;
}

export interface VaeShape {
  readonly samples: number;
  readonly height: number;
  readonly width: number;
  readonly signal?: AbortSignal;
}

type Direction = VaeRunRequest['direction'];

export class VaeSession {
  readonly model: VaeModel;
  readonly half: VaeHalf;
  readonly #resources: SessionResources;
  readonly #storage: WeightStorage;
  readonly #budget: number;
  /** By direction and size, the one used last at the end. */
  readonly #runs = new Map<string, Run>();

  private constructor(resources: SessionResources, model: VaeModel, options: VaeLoadOptions) {
    this.#resources = resources;
    this.model = model;
    this.half = options.half ?? 'both';
    this.#storage = options.storage;
    this.#budget = options.budget ?? Infinity;
  }

  /** @throws NotFoundError for a tensor that the half needs, FormatError, OutOfMemoryError */
  static async load(
    resources: SessionResources,
    model: VaeModel,
    file: TensorFile,
    options: VaeLoadOptions,
  ): Promise<VaeSession> {
    const specs = vaeParameters(model, options.half ?? 'both');
    await loadWeights(resources.state, vaeGroup, file, specs, options);
    return new VaeSession(resources, model, options);
  }

  get parameterCount(): number {
    return parameterCount(vaeParameters(this.model, this.half));
  }

  /** Picture pixels per latent pixel. */
  get factor(): number {
    return vaeFactor(this.model);
  }

  get latentChannels(): number {
    return latentChannels(this.model);
  }

  /** Latents of a diffusion model are its own times this. */
  get scalingFactor(): number {
    return scalingFactor(this.model);
  }

  /**
   * The decoder's run for so many latents of this size: input `latent` [N, z, h, w], divided by the scaling factor,
   * output `image` [N, 3, H, W]. N is 1 where `samples` do not fit at once.
   * @throws LimitError as planVaeRun; NotFoundError without a decoder; OutOfMemoryError
   */
  decoder(samples: number, height: number, width: number): Promise<Run> {
    return this.#run('decode', { samples, height, width });
  }

  /**
   * Image values [N, 3, H, W], about -1 to 1 and unclamped, of latents [N, z, h, w]; `scaled` (the default): as a sampler
   * gives them, else divided by the scaling factor already.
   * @throws LimitError, OutOfMemoryError as `decoder`; InputError for TAESD, which knows no other latents; CancelledError
   */
  async decode(
    latents: Float32Array,
    shape: VaeShape & { readonly scaled?: boolean },
  ): Promise<{ values: Float32Array; height: number; width: number }> {
    const { scaled = true } = shape;
    if (!scaled && this.model.kind === 'taesd') {
      throw new InputError(`${vaeWords(this.model)}: latents must be as a sampler gives them: unscaled ones`);
    }
    const divisor = scaled ? this.scalingFactor : 1;
    const own = divisor === 1 ? latents : latents.map((value) => value / divisor);
    return {
      values: await this.#execute('decode', shape, own),
      height: shape.height * this.factor,
      width: shape.width * this.factor,
    };
  }

  /**
   * Distributions of latents [N, z, H/f, W/f] of image values [N, 3, H, W] in [-1, 1], not multiplied by the scaling
   * factor. TAESD's are without variance.
   * @throws InputError for sides that are no multiples of the factor; as `decode`
   */
  async encode(image: Float32Array, shape: VaeShape): Promise<Posterior> {
    const { samples } = shape;
    const [height, width] = [shape.height / this.factor, shape.width / this.factor];
    if (!Number.isInteger(height) || !Number.isInteger(width)) {
      throw new InputError(
        `${vaeWords(this.model)}: sides must be multiples of ${this.factor}: ${shape.width} x ${shape.height}`,
      );
    }
    const encoded = await this.#execute('encode', { ...shape, height, width }, image);
    const channels = this.latentChannels;
    return this.model.kind === 'kl'
      ? posteriorOf(encoded, [samples, 2 * channels, height, width])
      : certainPosterior(encoded, [samples, channels, height, width]);
  }

  dispose(): void {
    for (const run of this.#runs.values()) run.destroy();
    this.#runs.clear();
    this.#resources.state.release(vaeGroup);
  }

  /** Values of all samples through one direction, as many at a time as the run takes; `shape` is the latents'. */
  async #execute(direction: Direction, shape: VaeShape, values: Float32Array): Promise<Float32Array> {
    const run = await this.#run(direction, shape);
    const [input, output] = direction === 'decode' ? ['latent', 'image'] : ['image', 'encoded'];
    const samples = run.plan.inputs.get(input)!.shape[0]!;
    const size = (values.length / shape.samples) * samples;
    const results: Float32Array[] = [];
    for (let first = 0; first < shape.samples; first += samples) {
      const start = (first / samples) * size;
      run.write(input, samples === shape.samples ? values : values.subarray(start, start + size));
      await this.#resources.pacer.execute(run, shape.signal);
      results.push(await run.read(output));
    }
    return results.length === 1 ? results[0]! : joinFloats(results);
  }

  async #run(direction: Direction, shape: Omit<VaeShape, 'signal'>): Promise<Run> {
    const { samples, height, width } = shape;
    const needed = direction === 'decode' ? 'decoder' : 'encoder';
    if (this.half !== 'both' && this.half !== needed) {
      throw new NotFoundError(
        `${vaeWords(this.model)}: its ${needed} must be loaded: only its ${this.half} is`,
      );
    }
    const key = `${direction} ${samples} ${height} ${width}`;
    let run = this.#runs.get(key);
    if (!run) {
      const { plan } = planVaeRun(this.model, {
        ...{ direction, samples, height, width },
        storage: this.#storage,
        profile: this.#resources.device.profile,
        budget: this.#budget,
      });
      run = await Run.create(plan, this.#resources);
    }
    this.#runs.delete(key);
    this.#runs.set(key, run);
    for (const [old, other] of this.#runs) {
      if (this.#runs.size <= keptRuns) break;
      other.destroy();
      this.#runs.delete(old);
    }
    return run;
  }
}
