/**
 * Weights from a file to the GPU: tensor by tensor, in chunks of at most 16 MiB of f32 values, cast or quantised on the
 * way. Nothing larger than a chunk is in the heap, except the values of one expert where experts are quantised: an output
 * channel's scale is known when its last value is.
 */
import { dtypeBytes, fileDTypeBytes, type DType } from '../core/dtype';
import { floatsToHalves } from '../core/float16';
import { FormatError, NotFoundError } from '../core/errors';
import { noError, quantizeColumns, quantizeRows, relativeError } from '../core/int8';
import { elementCount, sameShape, shapeText, type Shape } from '../core/shape';
import { nameText, streamFloats, type TensorEntry, type TensorFile } from '../formats/tensorFile';
import type { StateStore } from '../gpu/pages';
import { scaleName, type Graph } from '../graph/graph';
import type { TensorSpec } from '../graph/tensor';
import { outputChannels, repackOhwi, storedShape, type ParameterSpec } from '../models/parameters';
import type { Weights } from '../models/weights';
import type { WeightStorage } from '../protocol/generate';
import type { QuantizationFacts } from '../protocol/messages';
import { maxChunkBytes } from '../sources/byteSource';
import { WholeUnits, WordWriter } from './weightStream';

/** Vectors and position tables are f32 always: they are small, and every value of a layer depends on them. */
function storedDType({ shape, use = 'product' }: ParameterSpec, storage: WeightStorage): DType {
  const matrix = shape.filter((extent) => extent > 1).length >= 2;
  if (!matrix || use === 'positions') return 'f32';
  if (storage !== 'int8') return storage;
  switch (use) {
    case 'product':
    case 'experts':
      return 'i8';
    case 'rows':
      return 'f16';
    case 'router':
      // which experts take a token is a choice, not a sum: a rounding error may change a token altogether. On the demo
      // the router's 1024 values alone would cost as much exactness (0.6 % of F) as all 266240 of self-attention
      return 'f32';
  }
}

/** How a parameter is stored: matrices in the chosen storage, as far as what reads them can. */
export function parameterSpec(spec: ParameterSpec, storage: WeightStorage): TensorSpec {
  return { shape: storedShape(spec), dtype: storedDType(spec, storage) };
}

/** Every tensor that a table takes on the device, by name: its parameters, and the scales of the quantised ones. */
export function storedParameters(
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
): Map<string, TensorSpec> {
  const stored = new Map<string, TensorSpec>();
  for (const spec of specs) {
    const tensor = parameterSpec(spec, storage);
    stored.set(spec.name, tensor);
    if (tensor.dtype === 'i8') {
      stored.set(scaleName(spec.name), { shape: [outputChannels(spec)], dtype: 'f32' });
    }
  }
  return stored;
}

/** The parameters of a table as tensors of `graph`, bound to the state group `group`. */
export function groupWeights(
  graph: Graph,
  group: string,
  specs: readonly ParameterSpec[],
  storage: WeightStorage,
): Weights {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return (name) => {
    const spec = byName.get(name);
    if (!spec) throw new NotFoundError(`model: parameter ${nameText(name)} is in no table`);
    const { shape, dtype } = parameterSpec(spec, storage);
    const full = `${group}:${name}`;
    return dtype === 'i8'
      ? graph.quantized(full, shape, outputChannels(spec))
      : graph.state(full, shape, dtype);
  };
}

export interface LoadOptions {
  readonly storage: WeightStorage;
  /** In front of every name in the file ("dit."). */
  readonly prefix?: string;
  readonly signal?: AbortSignal;
  /** Bytes read so far of the file's bytes that are needed. */
  readonly onProgress?: (done: number, total: number) => void;
  /** With int8, once all is read: what quantisation did to each tensor, in the table's order. */
  readonly onQuantized?: (errors: readonly QuantizationFacts[]) => void;
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

/** One parameter of the file, and where it goes. */
interface Loading {
  readonly store: StateStore;
  /** Name of the file. */
  readonly file: string;
  /** Name of the state tensor. */
  readonly name: string;
  readonly spec: ParameterSpec;
  readonly dtype: DType;
}

/** What takes a parameter's values in order; `finish` gives the error of a quantised one. */
interface Sink {
  push(values: Float32Array<ArrayBuffer>): void;
  finish(): Omit<QuantizationFacts, 'tensor'> | null;
}

/** The values as they are or as halves; convolution weights row by row in the device's order. */
function plainSink({ store, name, spec, dtype }: Loading): Sink {
  const writer = new WordWriter(store, name);
  const put = (values: Float32Array<ArrayBuffer>): void =>
    writer.put(dtype === 'f16' ? floatsToHalves(values) : values);
  const elements = elementCount(spec.shape);
  const rows = spec.layout === 'ohwi' ? elements / spec.shape[0]! : 1;
  const units = new WholeUnits(rows, (block) => put(deviceOrder(spec, block)));
  return {
    push: (values) => units.push(values),
    finish() {
      writer.finish(elements, dtypeBytes(dtype));
      return null;
    },
  };
}

/** The values quantised: row by row, or expert by expert. */
function int8Sink({ store, file, name, spec }: Loading): Sink {
  const values = new WordWriter(store, name);
  const scales = new WordWriter(store, scaleName(name));
  const error = noError();
  const experts = spec.use === 'experts';
  const elements = elementCount(spec.shape);
  const unit = elements / spec.shape[0]!;
  let done = 0;
  const units = new WholeUnits(unit, (block) => {
    const ordered = deviceOrder(spec, block);
    for (let at = 0; at < ordered.length; at += experts ? unit : ordered.length) {
      const quantized = experts
        ? quantizeColumns(ordered.subarray(at, at + unit), spec.shape.at(-1)!, error)
        : quantizeRows(ordered, ordered.length / unit, error);
      values.put(quantized.values);
      scales.put(quantized.scales);
    }
    if (!Number.isFinite(error.squaredWeight)) {
      const wrong = block.findIndex((value) => !Number.isFinite(value));
      throw new FormatError(
        `${file}: tensor ${nameText(spec.name)} must be finite to be stored as int8: value ${done + wrong} is ${String(block[wrong])}`,
      );
    }
    done += block.length;
  });
  return {
    push: (block) => units.push(block),
    finish() {
      values.finish(elements, 1);
      scales.finish(outputChannels(spec), 4);
      return { maxError: error.largest, relativeError: relativeError(error) };
    },
  };
}

/** Whole rows of a parameter in the order in which they lie on the device. */
function deviceOrder(spec: ParameterSpec, block: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (spec.layout === 'plain') return block;
  const row = spec.shape.slice(1);
  return repackOhwi(block, [block.length / elementCount(row), ...row]);
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
  const errors: QuantizationFacts[] = [];
  await store.allocate(group, storedParameters(specs, storage));
  try {
    for (const { spec, pieces } of found) {
      const { dtype } = parameterSpec(spec, storage);
      const loading = { store, file: file.source.name, name: `${group}:${spec.name}`, spec, dtype };
      const sink = dtype === 'i8' ? int8Sink(loading) : plainSink(loading);
      for (const piece of pieces) {
        signal?.throwIfAborted();
        const size = fileDTypeBytes(piece.dtype);
        const take = async (values: Float32Array<ArrayBuffer>): Promise<void> => {
          sink.push(values);
          await store.settle();
          done += values.length * size;
          options.onProgress?.(done, total);
        };
        await streamFloats(file.source, piece, take, {
          chunkBytes: Math.floor((maxChunkBytes * Math.min(4, size)) / 4),
          ...(signal ? { signal } : {}),
        });
      }
      const error = sink.finish();
      if (error) errors.push({ tensor: spec.name, ...error });
    }
  } catch (thrown) {
    store.release(group);
    throw thrown;
  }
  if (storage === 'int8') options.onQuantized?.(errors);
}
