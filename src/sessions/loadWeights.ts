/**
 * Weights from a file to the GPU: tensor by tensor, in chunks of at most 16 MiB, cast on the way. Nothing larger than a
 * chunk is in the heap, except convolution weights, whose axes are reordered whole.
 */
import { packHalf } from '../core/float16';
import { FormatError, NotFoundError } from '../core/errors';
import { elementCount, sameShape, shapeText, type Shape } from '../core/shape';
import { loadFloats, nameText, streamFloats, type TensorEntry, type TensorFile } from '../formats/tensorFile';
import type { StateStore } from '../gpu/pages';
import type { Graph } from '../graph/graph';
import type { TensorSpec } from '../graph/tensor';
import { repackOhwi, storedShape, type ParameterSpec } from '../models/parameters';
import type { Weights } from '../models/weights';
import type { WeightStorage } from '../protocol/generate';

/** How a parameter is stored: matrices in the chosen storage, vectors and position tables always in f32. */
export function parameterSpec(spec: ParameterSpec, storage: WeightStorage): TensorSpec {
  const matrix =
    spec.shape.filter((extent) => extent > 1).length >= 2 && !/pos_embed|positional/.test(spec.name);
  return { shape: storedShape(spec), dtype: matrix ? storage : 'f32' };
}

/** The parameters of a table as tensors of `graph`, bound to the state group `group`. */
export function groupWeights(
  graph: Graph,
  group: string,
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
): Weights {
  const byName = new Map(specs.map((spec) => [spec.name, parameterSpec(spec, storage)]));
  return (name) => {
    const spec = byName.get(name);
    if (!spec) throw new NotFoundError(`model: parameter ${nameText(name)} is in no table`);
    return graph.state(`${group}:${name}`, spec.shape, spec.dtype);
  };
}

export interface LoadOptions {
  readonly storage: WeightStorage;
  /** In front of every name in the file ("dit."). */
  readonly prefix?: string;
  readonly signal?: AbortSignal;
  /** Bytes read so far of the file's bytes that are needed. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The pieces of the file that make up one parameter, in order. */
function findPieces(file: TensorFile, spec: ParameterSpec, prefix: string): readonly TensorEntry[] {
  const dense = (shape: Shape): Shape => shape.filter((extent) => extent !== 1);
  const check = (entry: TensorEntry, shape: Shape): TensorEntry => {
    if (!sameShape(dense(entry.shape), dense(shape))) {
      throw new FormatError(
        `${file.source.name}: tensor ${nameText(entry.name)} must have shape ${shapeText(shape)}: it has ${shapeText(entry.shape)}`,
      );
    }
    return entry;
  };
  for (const name of [spec.name, ...(spec.aliases ?? [])]) {
    const entry = file.tensors.get(prefix + name);
    if (entry) return [check(entry, spec.shape)];
  }
  const stacked = (spec.stacked ?? []).map((name) => file.tensors.get(prefix + name));
  if (stacked.length > 0 && stacked.every((entry) => entry !== undefined)) {
    const rows = spec.shape[0]! / stacked.length;
    return stacked.map((entry) => check(entry, [rows, ...spec.shape.slice(1)]));
  }
  throw new NotFoundError(
    `${file.source.name}: tensor ${nameText(prefix + spec.name)} must be in the file: it is not among its ${file.tensors.size} tensors`,
  );
}

/**
 * Allocates `group` for a table and fills it from `file`. On failure the group is released again.
 * @throws NotFoundError, FormatError naming the tensor; OutOfMemoryError, LimitError
 */
export async function loadWeights(
  store: StateStore,
  group: string,
  file: TensorFile,
  specs: readonly ParameterSpec[],
  options: LoadOptions,
): Promise<void> {
  const { storage, prefix = '', signal } = options;
  const found = specs.map((spec) => ({ spec, pieces: findPieces(file, spec, prefix) }));
  const total = found.reduce(
    (sum, { pieces }) => sum + pieces.reduce((bytes, piece) => bytes + piece.bytes, 0),
    0,
  );
  let done = 0;
  await store.allocate(group, new Map(specs.map((spec) => [spec.name, parameterSpec(spec, storage)])));
  try {
    for (const { spec, pieces } of found) {
      const name = `${group}:${spec.name}`;
      const { dtype } = parameterSpec(spec, storage);
      const put = (values: Float32Array, at: number): void => {
        if (dtype === 'f16') store.write(name, packHalf(values), at * 2);
        else store.write(name, values, at * 4);
      };
      let start = 0;
      for (const piece of pieces) {
        signal?.throwIfAborted();
        if (spec.layout === 'ohwi') {
          put(repackOhwi(await loadFloats(file.source, piece, signal), spec.shape), start);
        } else {
          const base = start;
          await streamFloats(
            file.source,
            piece,
            (values, at) => put(values, base + at),
            signal ? { signal } : {},
          );
        }
        start += elementCount(piece.shape);
        done += piece.bytes;
        options.onProgress?.(done, total);
      }
    }
  } catch (thrown) {
    store.release(group);
    throw thrown;
  }
}
