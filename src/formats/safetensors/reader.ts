/**
 * safetensors reader: the index of a file, without its data.
 *
 * Layout: header length (u64 little-endian), header (JSON in UTF-8, may end in spaces), data. The header maps names to
 * {dtype, shape, data_offsets: [begin, end]} counted from the start of the data; `__metadata__` maps text to text. As
 * in the library, the tensors must cover the data exactly, without holes or overlaps, and the header is at most 100 MB.
 * Sizes are checked against the file before anything is allocated by them.
 */
import type { FileDType } from '../../core/dtype';
import { fileDTypeBytes, isFileDType } from '../../core/dtype';
import { FormatError, messageOf } from '../../core/errors';
import { shapeText } from '../../core/shape';
import type { ByteSource } from '../../sources/byteSource';
import { maxChunkBytes } from '../../sources/byteSource';
import type { TensorEntry, TensorFile } from '../tensorFile';
import { nameText } from '../tensorFile';

/** Longest header accepted, as in the library. */
export const maxHeaderBytes = 100_000_000;

/** A safetensors file whose header has been read. */
export interface SafetensorsFile extends TensorFile {
  /** Bytes before the data: 8 and the header. */
  readonly dataOffset: number;
}

/**
 * Reads the header. Tensors come in the order of their data.
 * @throws FormatError when the file is not a sound safetensors file
 */
export async function readSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsFile> {
  const fail = (rule: string): never => {
    throw new FormatError(`${source.name}: safetensors: ${rule}`);
  };
  if (source.size < 8) fail(`a file must have at least 8 bytes: ${source.size}`);
  const head = await source.read(0, Math.min(source.size, 256), signal);
  const words = new DataView(head.buffer);
  const headerBytes = words.getUint32(4, true) * 2 ** 32 + words.getUint32(0, true);
  if (headerBytes > maxHeaderBytes) {
    fail(
      `the header must be at most ${maxHeaderBytes} bytes: the file says ${headerBytes}${otherKind(head)}`,
    );
  }
  if (headerBytes > source.size - 8) {
    fail(
      `the header must end inside the file of ${source.size} bytes: it has ${headerBytes}${otherKind(head)}`,
    );
  }
  const header = parseHeader(source.name, await readText(source, headerBytes, signal));
  const dataOffset = 8 + headerBytes;
  const metadata = readMetadata(source.name, header.get('__metadata__'));
  header.delete('__metadata__');
  const entries = [...header].map(([name, value]) => readEntry(source.name, name, value, dataOffset));
  checkCoverage(source, entries, dataOffset);
  return { source, metadata, dataOffset, tensors: new Map(entries.map((entry) => [entry.name, entry])) };
}

async function readText(source: ByteSource, length: number, signal?: AbortSignal): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const pieces: string[] = [];
  for (let at = 0; at < length; at += maxChunkBytes) {
    const bytes = await source.read(8 + at, Math.min(maxChunkBytes, length - at), signal);
    try {
      pieces.push(decoder.decode(bytes, { stream: at + bytes.length < length }));
    } catch {
      throw new FormatError(
        `${source.name}: safetensors: the header must be UTF-8: it is not, near byte ${8 + at}`,
      );
    }
  }
  return pieces.join('');
}

function parseHeader(file: string, text: string): Map<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${file}: safetensors: the header must be JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new FormatError(`${file}: safetensors: the header must be a JSON object: it is ${kindOf(header)}`);
  }
  return new Map(Object.entries(header));
}

function readMetadata(file: string, value: unknown): Map<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new FormatError(`${file}: safetensors: __metadata__ must be an object: it is ${kindOf(value)}`);
  }
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new FormatError(
        `${file}: safetensors: __metadata__ must map text to text: ${nameText(key)} is ${kindOf(text)}`,
      );
    }
    metadata.set(key, text);
  }
  return metadata;
}

function readEntry(file: string, name: string, value: unknown, dataOffset: number): TensorEntry {
  const fail = (rule: string): never => {
    throw new FormatError(`${file}: safetensors: tensor ${nameText(name)}: ${rule}`);
  };
  if (typeof value !== 'object' || value === null)
    return fail(`its entry must be an object: it is ${kindOf(value)}`);
  const { dtype, shape, data_offsets: range } = value as Record<string, unknown>;
  if (!isFileDType(dtype)) return fail(`dtype must be one that this program knows: ${short(dtype)}`);
  if (!isSizes(shape)) return fail(`shape must be a list of whole numbers: ${short(shape)}`);
  if (!isSizes(range) || range.length !== 2)
    return fail(`data_offsets must be two whole numbers: ${short(range)}`);
  const [begin, end] = range as [number, number];
  const bytes = tensorBytes(shape, dtype);
  if (bytes === undefined) return fail(`its size must be below 2^53 bytes: shape ${shapeText(shape)}`);
  if (end - begin !== bytes) {
    fail(
      `${dtype} of shape ${shapeText(shape)} must take ${bytes} bytes: data_offsets are ${begin} to ${end}`,
    );
  }
  return { name, dtype, shape, offset: dataOffset + begin, bytes };
}

/** Bytes of a tensor; undefined where a product on the way is no exact number. */
function tensorBytes(shape: readonly number[], dtype: FileDType): number | undefined {
  let bytes = fileDTypeBytes(dtype);
  for (const extent of shape) {
    bytes *= extent;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** Sorts the entries by place (empty ones keep their order) and checks that they cover the data exactly. */
function checkCoverage(source: ByteSource, entries: TensorEntry[], dataOffset: number): void {
  entries.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataOffset;
  for (const entry of entries) {
    if (entry.offset !== end) {
      throw new FormatError(
        `${source.name}: safetensors: tensor ${nameText(entry.name)} must begin where the one before it ends, ` +
          `at data byte ${end - dataOffset}: it begins at ${entry.offset - dataOffset}`,
      );
    }
    end += entry.bytes;
  }
  if (end !== source.size) {
    throw new FormatError(
      `${source.name}: safetensors: the tensors must end with the file, at byte ${source.size}: they end at ${end}` +
        (end > source.size ? ' (the file is cut short)' : ''),
    );
  }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A JSON value for a message, cut short without first printing all of it. */
function short(value: unknown): string {
  if (Array.isArray(value)) {
    const shown = value.slice(0, 6).map((item) => (typeof item === 'object' ? kindOf(item) : String(item)));
    return `[${shown.join(', ')}${value.length > 6 ? ', …' : ''}]`;
  }
  if (typeof value === 'string') return nameText(value);
  return value === undefined ? 'it is missing' : typeof value === 'number' ? String(value) : kindOf(value);
}

/** A hint when the bytes are plainly something else. */
function otherKind(head: Uint8Array): string {
  const text = new TextDecoder('latin1').decode(head);
  if (text.startsWith('version https://git-lfs'))
    return ' (this is a Git LFS pointer, not the file it points to)';
  if (text.startsWith('PK\x03\x04')) return ' (this is a ZIP archive, such as a .pt checkpoint)';
  if (/^\s*<(!doctype|html)/i.test(text)) return ' (this is a web page)';
  return '';
}
