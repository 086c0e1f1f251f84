/**
 * The side panel of a file's tensors: which file is open, its list, the tensor that is chosen and its statistics. Lists
 * and statistics are read on demand; an answer that comes after something else was opened is dropped.
 */
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { TensorFacts, TensorStatistics } from '../../protocol/library';
import type { WireError } from '../../protocol/messages';
import { wireError } from '../wireError';

/** Something that is read on demand. */
export type Reading<T> =
  | { readonly state: 'reading' }
  | { readonly state: 'read'; readonly value: T }
  | { readonly state: 'failed'; readonly error: WireError };

export interface InspectorState {
  /** The library item whose tensors are shown; null when closed. */
  readonly item: string | null;
  readonly tensors: Reading<readonly TensorFacts[]>;
  readonly filter: string;
  /** Name of the chosen tensor; null before one is. */
  readonly chosen: string | null;
  /** By name, of the open item. */
  readonly statistics: ReadonlyMap<string, Reading<TensorStatistics>>;
}

export interface InspectorSource {
  readonly tensors: (item: string) => Promise<readonly TensorFacts[]>;
  readonly statistics: (item: string, tensor: string) => Promise<TensorStatistics>;
}

const closed: InspectorState = {
  item: null,
  tensors: { state: 'reading' },
  filter: '',
  chosen: null,
  statistics: new Map(),
};

export class Inspector {
  readonly store: StoreApi<InspectorState> = createStore<InspectorState>()(() => closed);
  readonly #source: InspectorSource;

  constructor(source: InspectorSource) {
    this.#source = source;
  }

  /** Opens an item and reads its list. */
  async open(item: string): Promise<void> {
    this.store.setState({ ...closed, item });
    const tensors = await this.#read(() => this.#source.tensors(item));
    if (this.store.getState().item === item) this.store.setState({ tensors });
  }

  close(): void {
    this.store.setState(closed);
  }

  setFilter(filter: string): void {
    this.store.setState({ filter });
  }

  /** Chooses a tensor and reads its statistics, unless they were read before. */
  async choose(tensor: string): Promise<void> {
    const { item, statistics } = this.store.getState();
    this.store.setState({ chosen: tensor });
    const known = statistics.get(tensor);
    if (item === null || (known && known.state !== 'failed')) return;
    this.#keep(tensor, { state: 'reading' });
    const read = await this.#read(() => this.#source.statistics(item, tensor));
    if (this.store.getState().item === item) this.#keep(tensor, read);
  }

  #keep(tensor: string, reading: Reading<TensorStatistics>): void {
    const { statistics } = this.store.getState();
    this.store.setState({ statistics: new Map(statistics).set(tensor, reading) });
  }

  async #read<T>(read: () => Promise<T>): Promise<Reading<T>> {
    try {
      return { state: 'read', value: await read() };
    } catch (thrown) {
      return { state: 'failed', error: wireError(thrown) };
    }
  }
}

/** The tensors whose line (name, type, shape) has every word of the filter. */
export function filterTensors(tensors: readonly TensorFacts[], filter: string): readonly TensorFacts[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return tensors;
  return tensors.filter((tensor) => {
    // a shape is found by the sign that it shows and by the letter that a keyboard has
    const { name, dtype, shape } = tensor;
    const line = `${name} ${dtype} ${shapeText(shape)} ${shape.join('x')}`.toLowerCase();
    return words.every((word) => line.includes(word));
  });
}

/** `1024 × 77`; a single number is a scalar. */
export function shapeText(shape: readonly number[]): string {
  return shape.length === 0 ? 'scalar' : shape.join(' × ');
}
