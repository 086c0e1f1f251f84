/**
 * What a checkpoint holds and where. Its bytes are one stream: every group's tensors in order, each on a multiple of
 * eight bytes, then the metrics. The stream is cut into chunks of one size, the last one shorter, so a tensor may go on
 * in the next chunk. The layout is known before anything is written; only checksums come later.
 */
import { dtypeBytes, type DType } from '../core/dtype';
import { FormatError, InputError } from '../core/errors';
import { issueText } from '../core/schemaIssue';
import { elementCount, type Shape } from '../core/shape';
import { z } from '../protocol/schema';
import { decodeRecord, encodeRecord, jsonSchema, type Json } from './records';

/** A tensor of a group. */
export interface TensorPlan {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Tensors of one kind: weights, first and second moments, moving average. Names are unique, as names in a group are. */
export interface GroupPlan {
  readonly name: string;
  readonly tensors: readonly TensorPlan[];
}

/** Everything about a checkpoint but its tensors' values. */
export interface CheckpointHead {
  /** Optimizer steps taken. */
  readonly step: number;
  /** Whatever else is counted: samples, tokens, seconds. */
  readonly counters: Readonly<Record<string, number>>;
  /** Where the data goes on. */
  readonly cursor: Json;
  /** Result of the evaluation at this step, lower is better; null where there was none. */
  readonly evaluation: number | null;
  /** The DeviceProfile of the device that computed this. */
  readonly profile: Json;
  /** Version of the program. */
  readonly program: string;
  readonly groups: readonly GroupPlan[];
  /** The run's curve so far, as its writer packs it. */
  readonly metrics: Uint8Array;
}

/** A place in the stream; what does not fit goes on at the start of the next chunk. */
export interface Place {
  readonly chunk: number;
  readonly offset: number;
  readonly bytes: number;
}

export type PlacedTensor = TensorPlan & Place;

export interface Layout {
  readonly chunkBytes: number;
  readonly groups: readonly { readonly name: string; readonly tensors: readonly PlacedTensor[] }[];
  readonly metrics: Place;
  /** Length of the stream. */
  readonly bytes: number;
}

/** Tensors start on multiples of it, and chunks are multiples of it, so that every piece can be viewed as numbers. */
const alignment = 8;

const count = z.int().min(0);
const placeFields = { chunk: count, offset: count, bytes: count };
const tensorSchema = z.object({
  name: z.string(),
  shape: z.array(count),
  dtype: z.enum(['f32', 'f16', 'i8', 'i32', 'u32']),
  ...placeFields,
});

const manifestSchema = z.object({
  run: z.string(),
  generation: count,
  /** When it was written, in milliseconds since 1970. */
  time: z.number(),
  step: count,
  counters: z.record(z.string(), z.number()),
  cursor: jsonSchema,
  evaluation: z.number().nullable(),
  profile: jsonSchema,
  program: z.string(),
  chunkBytes: z.int().min(alignment).multipleOf(alignment),
  groups: z.array(z.object({ name: z.string(), tensors: z.array(tensorSchema) })),
  metrics: z.object(placeFields),
  bytes: count,
  chunks: z.array(z.object({ bytes: count, crc: z.int().min(0).max(0xffffffff) })),
});

/** The record that makes chunks a checkpoint. */
export type Manifest = z.infer<typeof manifestSchema>;

/** Bytes of a tensor's values. */
export function tensorBytes({ shape, dtype }: TensorPlan): number {
  return elementCount(shape) * dtypeBytes(dtype);
}

/**
 * Where everything goes.
 * @throws InputError for shapes that are none and for names that occur twice
 */
export function planLayout(head: CheckpointHead, chunkBytes: number): Layout {
  if (!Number.isInteger(chunkBytes) || chunkBytes < alignment || chunkBytes % alignment !== 0) {
    throw new InputError(`checkpoint: chunks must be a multiple of ${alignment} bytes: ${chunkBytes}`);
  }
  let at = 0;
  const place = (bytes: number): Place => {
    const placed = { chunk: Math.floor(at / chunkBytes), offset: at % chunkBytes, bytes };
    at = Math.ceil((at + bytes) / alignment) * alignment;
    return placed;
  };
  const known = new Set<string>();
  const once = (name: string): void => {
    if (known.has(name)) throw new InputError(`checkpoint: every name must be there once: ${name} is twice`);
    known.add(name);
  };
  const groups = head.groups.map(({ name, tensors }) => {
    once(`${name}:`);
    return {
      name,
      tensors: tensors.map((tensor) => {
        once(`${name}:${tensor.name}`);
        const { shape, dtype } = tensor;
        if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
          throw new InputError(
            `checkpoint: ${name}:${tensor.name}: extents must be whole numbers: ${shape.join(', ')}`,
          );
        }
        return { name: tensor.name, shape: [...shape], dtype, ...place(tensorBytes(tensor)) };
      }),
    };
  });
  const metrics = place(head.metrics.length);
  return { chunkBytes, groups, metrics, bytes: streamPosition(metrics, chunkBytes) + metrics.bytes };
}

/** Where a place begins in the stream. */
export function streamPosition(place: Place, chunkBytes: number): number {
  return place.chunk * chunkBytes + place.offset;
}

/**
 * A manifest and its record.
 * @throws InputError when the head holds what JSON cannot keep, such as a NaN
 */
export function sealManifest(
  run: string,
  generation: number,
  time: number,
  head: CheckpointHead,
  layout: Layout,
  chunks: Manifest['chunks'],
): { manifest: Manifest; bytes: Uint8Array<ArrayBuffer> } {
  const { step, counters, cursor, evaluation, profile, program } = head;
  const own = { run, generation, time, step, counters, cursor, evaluation, profile, program };
  const value = { ...own, ...layout, chunks };
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw new InputError(`checkpoint: ${issueText(parsed.error.issues, value)}`);
  return { manifest: parsed.data, bytes: encodeRecord('checkpoint', parsed.data) };
}

/** Bytes that a checkpoint will take: its stream and its manifest. @throws InputError */
export function checkpointBytes(head: CheckpointHead, chunkBytes: number): number {
  const layout = planLayout(head, chunkBytes);
  // checksums and the time of writing are not known yet: the longest there are
  const chunks = Array.from({ length: Math.ceil(layout.bytes / chunkBytes) }, () => ({
    bytes: chunkBytes,
    crc: 0xffffffff,
  }));
  return layout.bytes + sealManifest('x'.repeat(64), 99999999, 1e13, head, layout, chunks).bytes.length;
}

/**
 * A manifest from its record, with every place inside the stream, in order and of its tensor's size.
 * @throws FormatError, StorageError (`storage-newer`)
 */
export function openManifest(run: string, generation: number, bytes: Uint8Array): Manifest {
  const value = decodeRecord('its manifest', 'checkpoint', bytes);
  const refuse = (rule: string): FormatError => new FormatError(`its manifest: ${rule}`);
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw refuse(issueText(parsed.error.issues, value));
  const manifest = parsed.data;
  if (manifest.run !== run || manifest.generation !== generation) {
    throw refuse(
      `must be that of generation ${generation} of run ${run}: it is that of generation ${manifest.generation} of run ${manifest.run}`,
    );
  }
  const { chunkBytes, chunks } = manifest;
  const expected = Math.ceil(manifest.bytes / chunkBytes);
  if (chunks.length !== expected) throw refuse(`must list ${expected} chunks: ${chunks.length}`);
  for (const [index, { bytes: size }] of chunks.entries()) {
    const right = Math.min(chunkBytes, manifest.bytes - index * chunkBytes);
    if (size !== right) throw refuse(`chunk ${index} must have ${right} bytes: ${size}`);
  }
  let end = 0;
  const check = (name: string, place: Place, size: number): void => {
    const start = streamPosition(place, chunkBytes);
    if (place.bytes !== size) throw refuse(`${name} must have ${size} bytes: ${place.bytes}`);
    if (
      place.offset >= chunkBytes ||
      start % alignment !== 0 ||
      start < end ||
      start + size > manifest.bytes
    ) {
      throw refuse(`${name} must lie in the ${manifest.bytes} bytes, after ${end}: ${size} at ${start}`);
    }
    end = start + size;
  };
  for (const group of manifest.groups) {
    for (const tensor of group.tensors) check(`${group.name}:${tensor.name}`, tensor, tensorBytes(tensor));
  }
  check('the metrics', manifest.metrics, manifest.metrics.bytes);
  return manifest;
}
