/**
 * The benchmark: matrix products of the XL model, single transformer blocks, one guided evaluation and one decoding of the
 * demo, each against the same work with naive kernels in the same run. Absolute times belong to a device and a day; the
 * ratios say what the kernels are worth. Software adapters get smaller products, or a run would take half an hour.
 */
import { packHalf } from '../core/float16';
import type { TensorFile } from '../formats/tensorFile';
import { Graph } from '../graph/graph';
import { storageBytes } from '../graph/plan';
import type { TensorSpec } from '../graph/tensor';
import { ditBlock, type BlockModulation } from '../models/dit/block';
import { ditLayout, namedDitConfig, type BlockLayout } from '../models/dit/config';
import { ditParameters } from '../models/dit/parameters';
import { decode } from '../models/vae/decoder';
import { klParameters } from '../models/vae/parameters';
import { linear } from '../ops/linear';
import type { WeightStorage } from '../protocol/generate';
import type { DitConfig, KlConfig } from '../protocol/schemas';
import { compareWithNaive, type Comparison, type CompareOptions } from './benchTiming';
import { DitSession } from './ditSession';
import { groupWeights, loadWeights, parameterSpec } from './loadWeights';
import type { SessionResources } from './resources';
import { SamplerGraphs } from './samplerPlans';

export const benchCases = ['gemm', 'block', 'evaluation', 'vae'] as const;
export type BenchCase = (typeof benchCases)[number];

export interface BenchRow extends Comparison {
  readonly case: BenchCase;
  /** For people: "512 x 3072 x 1024, f16 weights". */
  readonly name: string;
  /** 2 MACs per median time, in 10^9 a second. */
  readonly gflops: number;
}

/** The demo's parts, whose groups `dit` and `vae` must be free on the device. */
export interface BenchModel {
  readonly dit: { readonly config: DitConfig; readonly file: TensorFile; readonly prefix?: string };
  readonly vae: { readonly config: KlConfig; readonly file: TensorFile; readonly prefix?: string };
}

export interface BenchOptions {
  readonly cases?: readonly BenchCase[];
  readonly signal?: AbortSignal;
  /** Before each row. */
  readonly onStart?: (name: string) => void;
  readonly onRow?: (row: BenchRow) => void;
}

/** Output and inner width of XL's products: qkv, projections, gated feed-forwards, mixer. */
const xlProducts: readonly (readonly [n: number, k: number])[] = [
  [3072, 1024],
  [1024, 1024],
  [2816, 1024],
  [1024, 2816],
  [2304, 768],
  [768, 3072],
];

/** Positions of the released models' captions. */
const captionLength = 77;

/** Runs the cases in order. @throws OutOfMemoryError, CancelledError */
export async function runBench(
  resources: SessionResources,
  model: BenchModel,
  options: BenchOptions = {},
): Promise<BenchRow[]> {
  const bench = new Bench(resources, model, options);
  for (const name of options.cases ?? benchCases) await bench[name]();
  return bench.rows;
}

class Bench {
  readonly rows: BenchRow[] = [];
  readonly #resources: SessionResources;
  readonly #model: BenchModel;
  readonly #options: BenchOptions;

  constructor(resources: SessionResources, model: BenchModel, options: BenchOptions) {
    this.#resources = resources;
    this.#model = model;
    this.#options = options;
  }

  async gemm(): Promise<void> {
    const m = this.#software ? 64 : 512;
    for (const dtype of ['f32', 'f16'] as const) {
      for (const [n, k] of xlProducts) {
        const w = { shape: [n, k], dtype };
        await this.#withState(new Map([['w', w]]), async () => {
          const trace = (): Graph => {
            const graph = new Graph();
            graph.output('y', linear(graph, graph.input('x', [m, k]), graph.state('bench:w', [n, k], dtype)));
            return graph;
          };
          const inputs = { x: uniform(m * k, 1) };
          await this.#row('gemm', `${m} x ${n} x ${k}, ${dtype} weights`, trace, { inputs, output: 'y' });
        });
      }
    }
  }

  /** A dense block and one of experts, of the Tiny model at 256 px with guidance, or of the demo. */
  async block(): Promise<void> {
    const demo = this.#software;
    const config = demo ? this.#model.dit.config : namedDitConfig('MicroDiT_Tiny_2');
    const { blocks } = ditLayout(config);
    const whose = demo ? 'demo' : 'Tiny';
    for (const kind of ['dense', 'moe'] as const) {
      const layout = blocks.findLast((block) => block.kind === kind);
      if (layout) await this.#block(config, layout, `${kind} block of the ${whose}`);
    }
  }

  async #block(config: DitConfig, block: BlockLayout, name: string): Promise<void> {
    const layout = ditLayout(config);
    const samples = 2;
    const { width } = block;
    const specs = ditParameters(config).filter((spec) => spec.name.startsWith(`${block.name}.`));
    const table = new Map(specs.map((spec) => [spec.name, parameterSpec(spec, 'f16')]));
    const trace = (): Graph => {
      const graph = new Graph();
      const weights = groupWeights(graph, 'bench', specs, 'f16');
      const row = (part: string): ReturnType<Graph['input']> => graph.input(part, [samples, width]);
      const modulation: BlockModulation = {
        shiftMsa: row('shiftMsa'),
        scaleMsa: row('scaleMsa'),
        gateMsa: row('gateMsa'),
        shiftMlp: row('shiftMlp'),
        scaleMlp: row('scaleMlp'),
        gateMlp: row('gateMlp'),
      };
      const caption = {
        k: graph.input('k', [samples, captionLength, width]),
        v: graph.input('v', [samples, captionLength, width]),
      };
      const x = graph.input('x', [samples, layout.tokens, width]);
      const settings = {
        layout: block,
        headDim: layout.headDim,
        eps: layout.eps,
        capacity: layout.capacity,
      };
      const own = (part: string): ReturnType<typeof weights> => weights(`${block.name}.${part}`);
      graph.output('y', ditBlock(graph, own, { x, modulation, caption }, settings));
      return graph;
    };
    const inputs = Object.fromEntries(
      [...trace().inputs].map(([input, tensor], index) => [input, uniform(tensor.elements, index + 1)]),
    );
    // which experts take a token may turn on the last bit, so outputs of expert blocks are not compared
    const compared = block.kind === 'dense' ? { output: 'y' } : {};
    await this.#withState(table, () =>
      this.#row('block', `${name}, ${samples} x ${layout.tokens} tokens`, trace, { inputs, ...compared }),
    );
  }

  /** One evaluation of the demo's sampler: both halves of the guidance, and the update. */
  async evaluation(): Promise<void> {
    const { config, file, prefix } = this.#model.dit;
    const session = await DitSession.load(this.#resources, config, file, loadOptions(prefix));
    try {
      const shape = { samples: 1, captionLength: 16, steps: 2, guidance: 5 };
      const [channels, height, width] = session.latentShape;
      // a short job fills what the plans share
      await session.sample({
        captions: uniform(shape.captionLength * config.caption_channels, 1),
        noise: uniform(channels * height * width, 2),
        ...shape,
      });
      const graphs = new SamplerGraphs(session.layout, (graph) => session.weights(graph), shape);
      const plans = await session.plans(shape);
      const inputs = { step: Uint32Array.of(0), rows: plans.modulationRows(0) };
      await this.#row('evaluation', 'guided evaluation of the demo', () => graphs.body(), { inputs });
    } finally {
      session.dispose();
    }
  }

  /** One picture of the demo's autoencoder. */
  async vae(): Promise<void> {
    const { config, file, prefix } = this.#model.vae;
    const specs = klParameters(config);
    const edge = this.#model.dit.config.input_size;
    const { state } = this.#resources;
    await loadWeights(state, 'vae', file, specs, loadOptions(prefix));
    try {
      const trace = (): Graph => {
        const graph = new Graph();
        const latent = graph.input('latent', [1, config.latent_channels, edge, edge]);
        graph.output('image', decode(graph, groupWeights(graph, 'vae', specs, 'f16'), config, latent));
        return graph;
      };
      const inputs = { latent: uniform(config.latent_channels * edge * edge, 1) };
      await this.#row('vae', 'decoding a picture of the demo', trace, { inputs, output: 'image' });
    } finally {
      state.release('vae');
    }
  }

  get #software(): boolean {
    return this.#resources.device.profile.software;
  }

  async #row(
    of: BenchCase,
    name: string,
    trace: () => Graph,
    options: Pick<CompareOptions, 'inputs' | 'output'>,
  ): Promise<void> {
    const { signal, onStart, onRow } = this.#options;
    onStart?.(name);
    const result = await compareWithNaive(this.#resources, trace, {
      ...options,
      ...(signal ? { signal } : {}),
    });
    const gflops = (2 * result.macs) / result.ours.median / 1e6;
    const row: BenchRow = { case: of, name, gflops, ...result };
    this.rows.push(row);
    onRow?.(row);
  }

  /** State group `bench` with arbitrary values of the size that weights have, for as long as `work` takes. */
  async #withState(table: ReadonlyMap<string, TensorSpec>, work: () => Promise<void>): Promise<void> {
    const { state } = this.#resources;
    await state.allocate('bench', table);
    try {
      let seed = 100;
      for (const [name, spec] of table) {
        const count = storageBytes(spec) / (spec.dtype === 'f16' ? 2 : 4);
        const fanIn = spec.shape.at(-1) ?? 1;
        const values = uniform(count, seed++).map((value) => value * Math.sqrt(3 / fanIn));
        state.write(`bench:${name}`, spec.dtype === 'f16' ? packHalf(values) : values);
      }
      await work();
    } finally {
      state.release('bench');
    }
  }
}

function loadOptions(prefix: string | undefined): { storage: WeightStorage; prefix?: string } {
  return { storage: 'f16', ...(prefix === undefined ? {} : { prefix }) };
}

/** Numbers from -1 to 1, always the same for a seed: neither zero nor denormal, which some devices treat otherwise. */
function uniform(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return Float32Array.from({ length: count }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    state = (state + 0x3c6ef35f) | 0;
    return state / 2 ** 31;
  });
}
