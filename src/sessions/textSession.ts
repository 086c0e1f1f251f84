/** TextEncoder: prompts to caption latents on the GPU, by tokenizer and text tower. */
import { readBuffer } from '../gpu/readback';
import type { Run } from '../gpu/run';
import { Graph } from '../graph/graph';
import { textParameters, textTower } from '../models/text/tower';
import type { Tokenizer } from '../models/text/context';
import type { TensorFile } from '../formats/tensorFile';
import type { WeightStorage } from '../protocol/generate';
import type { TextConfig } from '../protocol/schemas';
import { groupWeights, loadWeights, type LoadOptions } from './loadWeights';
import { prepareRun, type SessionResources } from './resources';

const group = 'text';

export class TextSession {
  readonly config: TextConfig;
  readonly #resources: SessionResources;
  readonly #storage: WeightStorage;
  /** Runs by number of prompts. */
  readonly #runs = new Map<number, Run>();

  private constructor(resources: SessionResources, config: TextConfig, storage: WeightStorage) {
    this.#resources = resources;
    this.config = config;
    this.#storage = storage;
  }

  /** @throws NotFoundError, FormatError, OutOfMemoryError */
  static async load(
    resources: SessionResources,
    config: TextConfig,
    file: TensorFile,
    options: LoadOptions,
  ): Promise<TextSession> {
    await loadWeights(resources.state, group, file, textParameters(config), options);
    return new TextSession(resources, config, options.storage);
  }

  /** The graph for `samples` prompts: input ids u32 [N, L], output hidden [N, L, width]. */
  trace(samples: number): Graph {
    const graph = new Graph();
    const weights = groupWeights(graph, group, textParameters(this.config), this.#storage);
    const ids = graph.input('ids', [samples, this.config.context], 'u32');
    graph.output('hidden', textTower(graph, weights, this.config, ids));
    return graph;
  }

  /**
   * Hidden states [N, context, width] of ids [N, context].
   * @throws CancelledError
   */
  async encode(ids: Int32Array | Uint32Array, signal?: AbortSignal): Promise<Float32Array<ArrayBuffer>> {
    const samples = ids.length / this.config.context;
    let run = this.#runs.get(samples);
    if (!run) {
      run = await prepareRun(this.#resources, this.trace(samples));
      this.#runs.set(samples, run);
    }
    run.write('ids', new Uint32Array(ids));
    await this.#resources.pacer.execute(run, signal);
    const { buffer, value } = run.locate('hidden');
    return new Float32Array(await readBuffer(this.#resources.device, buffer, value.offset, value.bytes));
  }

  dispose(): void {
    for (const run of this.#runs.values()) run.destroy();
    this.#runs.clear();
    this.#resources.state.release(group);
  }
}

/** Ids of prompts, padded to the context, one after another. */
export function tokenizePrompts(tokenizer: Tokenizer, prompts: readonly string[]): Int32Array {
  const rows = prompts.map((prompt) => tokenizer.tokenize(prompt).ids);
  const length = rows[0]?.length ?? 0;
  const ids = new Int32Array(rows.length * length);
  rows.forEach((row, index) => ids.set(row, index * length));
  return ids;
}
