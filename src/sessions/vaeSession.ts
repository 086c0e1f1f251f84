/** VaeSession: an AutoencoderKL on the GPU; decode and encode plans by size, made on first use. */
import type { TensorFile } from '../formats/tensorFile';
import { readBuffer } from '../gpu/readback';
import type { Run } from '../gpu/run';
import { Graph } from '../graph/graph';
import { parameterCount } from '../models/parameters';
import { decode } from '../models/vae/decoder';
import { encode } from '../models/vae/encoder';
import { klParameters } from '../models/vae/parameters';
import type { WeightStorage } from '../protocol/generate';
import type { KlConfig } from '../protocol/schemas';
import { groupWeights, loadWeights, type LoadOptions } from './loadWeights';
import { prepareRun, type SessionResources } from './resources';

const group = 'vae';

export interface VaeShape {
  readonly samples: number;
  readonly height: number;
  readonly width: number;
  readonly signal?: AbortSignal;
}

export class VaeSession {
  readonly config: KlConfig;
  readonly #resources: SessionResources;
  readonly #storage: WeightStorage;
  readonly #runs = new Map<string, Run>();

  private constructor(resources: SessionResources, config: KlConfig, storage: WeightStorage) {
    this.#resources = resources;
    this.config = config;
    this.#storage = storage;
  }

  /** @throws NotFoundError, FormatError, OutOfMemoryError */
  static async load(
    resources: SessionResources,
    config: KlConfig,
    file: TensorFile,
    options: LoadOptions,
  ): Promise<VaeSession> {
    await loadWeights(resources.state, group, file, klParameters(config), options);
    return new VaeSession(resources, config, options.storage);
  }

  get parameterCount(): number {
    return parameterCount(klParameters(this.config));
  }

  /** Picture pixels per latent pixel. */
  get factor(): number {
    return 2 ** (this.config.block_out_channels.length - 1);
  }

  /** The decoder's run: input latent [N, z, h, w] (divided by the scaling factor), output image [N, 3, H, W]. */
  async decoder(samples: number, height: number, width: number): Promise<Run> {
    return this.#run(`decode ${samples} ${height} ${width}`, (graph) => {
      const latent = graph.input('latent', [samples, this.config.latent_channels, height, width]);
      graph.output('image', decode(graph, this.#weights(graph), this.config, latent));
    });
  }

  /**
   * Image values [N, 3, H, W], unclamped, of latents [N, z, h, w]; `scaled` (the default): as a sampler gives them.
   * @throws CancelledError
   */
  async decode(
    latents: Float32Array,
    shape: VaeShape & { readonly scaled?: boolean },
  ): Promise<{ values: Float32Array; height: number; width: number }> {
    const run = await this.decoder(shape.samples, shape.height, shape.width);
    const factor = shape.scaled === false ? 1 : this.config.scaling_factor;
    run.write('latent', factor === 1 ? latents : latents.map((value) => value / factor));
    await this.#resources.pacer.execute(run, shape.signal);
    return {
      values: await this.#read(run, 'image'),
      height: shape.height * this.factor,
      width: shape.width * this.factor,
    };
  }

  /**
   * Moments [N, 2z, H/f, W/f] (mean, then log-variance, not clamped) of image values [N, 3, H, W] in [-1, 1].
   * @throws CancelledError
   */
  async encode(image: Float32Array, shape: VaeShape): Promise<Float32Array> {
    const { samples, height, width } = shape;
    const run = await this.#run(`encode ${samples} ${height} ${width}`, (graph) => {
      const input = graph.input('image', [samples, 3, height, width]);
      graph.output('moments', encode(graph, this.#weights(graph), this.config, input));
    });
    run.write('image', image);
    await this.#resources.pacer.execute(run, shape.signal);
    return this.#read(run, 'moments');
  }

  dispose(): void {
    for (const run of this.#runs.values()) run.destroy();
    this.#runs.clear();
    this.#resources.state.release(group);
  }

  #weights(graph: Graph): ReturnType<typeof groupWeights> {
    return groupWeights(graph, group, klParameters(this.config), this.#storage);
  }

  async #run(key: string, trace: (graph: Graph) => void): Promise<Run> {
    let run = this.#runs.get(key);
    if (!run) {
      const graph = new Graph();
      trace(graph);
      run = await prepareRun(this.#resources, graph);
      this.#runs.set(key, run);
    }
    return run;
  }

  async #read(run: Run, name: string): Promise<Float32Array> {
    const { buffer, value } = run.locate(name);
    return new Float32Array(await readBuffer(this.#resources.device, buffer, value.offset, value.bytes));
  }
}
