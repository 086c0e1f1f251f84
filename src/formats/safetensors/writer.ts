/**
 * safetensors writer. Files are byte for byte those of the library: tensors ordered by dtype (widest alignment first)
 * and then by name in UTF-8 order, compact JSON, header padded with spaces to a multiple of 8. One difference: the
 * library writes several metadata entries in a random order, this writer in the order given, so the same input always
 * gives the same bytes.
 */
import type { FileDType } from '../../core/dtype';
import { fileDTypeBytes } from '../../core/dtype';
import { InputError } from '../../core/errors';
import { floatsToBfloats, floatsToHalves } from '../../core/float16';
import type { Shape } from '../../core/shape';
import { elementCount, shapeText } from '../../core/shape';
import type { ByteSink } from '../../sources/byteSink';
import type { TensorEntry, TensorHead } from '../tensorFile';
import { nameText } from '../tensorFile';
import { maxHeaderBytes } from './reader';

/** The library's order of dtypes in a file. */
const dtypeOrder: readonly FileDType[] = [
  ...(['U64', 'I64', 'F64', 'C64', 'F32', 'U32', 'I32', 'BF16', 'F16', 'U16', 'I16'] as const),
  ...(['F8_E4M3', 'F8_E5M2', 'I8', 'U8', 'BOOL'] as const),
];

/** A tensor with its contiguous little-endian bytes. */
export interface TensorData extends TensorHead {
  readonly data: ArrayBufferView;
}

/** Where everything goes in a file to be written. */
export interface SafetensorsPlan {
  /** Length field, JSON and padding: the file's first bytes. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** The tensors in the order in which their data must follow. */
  readonly entries: readonly TensorEntry[];
  /** Bytes of the whole file. */
  readonly size: number;
}

/** Metadata as a plain object or as pairs in order. */
export type Metadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>;

/**
 * Lays a file out.
 * @throws InputError on a repeated name, a shape that is none, or a header above 100 MB
 */
export function planSafetensors(heads: readonly TensorHead[], metadata: Metadata = {}): SafetensorsPlan {
  const seen = new Set<string>();
  for (const { name, shape } of heads) {
    if (name === '__metadata__')
      throw new InputError('safetensors: a tensor must not be named "__metadata__": it is');
    if (seen.has(name)) throw new InputError(`safetensors: names must differ: ${nameText(name)} comes twice`);
    seen.add(name);
    if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
      throw new InputError(
        `safetensors: tensor ${nameText(name)} must have whole extents: ${shapeText(shape)}`,
      );
    }
  }
  const utf8 = new TextEncoder();
  const sorted = heads
    .map((head) => ({ head, rank: dtypeOrder.indexOf(head.dtype), key: utf8.encode(head.name) }))
    .sort((a, b) => a.rank - b.rank || compareBytes(a.key, b.key));

  const parts: string[] = [];
  const pairs = [
    ...(metadata instanceof Map ? metadata : Object.entries(metadata as Record<string, string>)),
  ];
  if (pairs.length > 0) {
    const fields = pairs.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
    parts.push(`"__metadata__":{${fields.join(',')}}`);
  }
  const placed: { head: TensorHead; begin: number; bytes: number }[] = [];
  let end = 0;
  for (const { head } of sorted) {
    const bytes = elementCount(head.shape) * fileDTypeBytes(head.dtype);
    placed.push({ head, begin: end, bytes });
    const fields = `"dtype":"${head.dtype}","shape":[${head.shape.join(',')}],"data_offsets":[${end},${end + bytes}]`;
    parts.push(`${JSON.stringify(head.name)}:{${fields}}`);
    end += bytes;
  }
  const json = utf8.encode(`{${parts.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > maxHeaderBytes) {
    throw new InputError(`safetensors: the header must be at most ${maxHeaderBytes} bytes: ${headerBytes}`);
  }
  const header = new Uint8Array(8 + headerBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerBytes), true);
  header.set(json, 8);
  const entries = placed.map(({ head, begin, bytes }) => ({
    name: head.name,
    dtype: head.dtype,
    shape: head.shape,
    offset: header.length + begin,
    bytes,
  }));
  return { header, entries, size: header.length + end };
}

/**
 * A whole file in memory.
 * @throws InputError as planSafetensors, or when data and shape differ in size
 */
export function encodeSafetensors(
  tensors: readonly TensorData[],
  metadata: Metadata = {},
): Uint8Array<ArrayBuffer> {
  const plan = planSafetensors(tensors, metadata);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor.data]));
  const out = new Uint8Array(plan.size);
  out.set(plan.header);
  for (const entry of plan.entries) {
    const data = byName.get(entry.name) as ArrayBufferView;
    checkBytes(entry, data.byteLength);
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), entry.offset);
  }
  return out;
}

/**
 * Writes a file piece by piece. `dataOf` is called once per tensor, in the file's order, and gives its contiguous
 * little-endian bytes, whole or in pieces. The sink is left open on success and must be aborted when this throws.
 * @throws InputError as encodeSafetensors
 */
export async function writeSafetensors(
  sink: ByteSink,
  heads: readonly TensorHead[],
  dataOf: (
    entry: TensorEntry,
  ) => ArrayBufferView | AsyncIterable<ArrayBufferView> | Iterable<ArrayBufferView>,
  metadata: Metadata = {},
): Promise<void> {
  const plan = planSafetensors(heads, metadata);
  await sink.write(plan.header);
  for (const entry of plan.entries) {
    const data = dataOf(entry);
    let written = 0;
    for await (const piece of ArrayBuffer.isView(data) ? [data] : data) {
      written += piece.byteLength;
      if (written > entry.bytes) break;
      await sink.write(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
    }
    checkBytes(entry, written);
  }
}

/** f32 values as a tensor to be written, narrowed to `dtype` (nearest even). */
export function floatTensor(
  name: string,
  shape: Shape,
  values: Float32Array,
  dtype: 'F32' | 'F16' | 'BF16' = 'F32',
): TensorData {
  const data = dtype === 'F32' ? values : dtype === 'F16' ? floatsToHalves(values) : floatsToBfloats(values);
  return { name, dtype, shape, data };
}

function checkBytes(entry: TensorEntry, bytes: number): void {
  if (bytes !== entry.bytes) {
    throw new InputError(
      `safetensors: tensor ${nameText(entry.name)}, ${entry.dtype} of shape ${shapeText(entry.shape)}, ` +
        `must have ${entry.bytes} bytes of data: ${bytes}`,
    );
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  }
  return a.length - b.length;
}
