/** The beginning of a PNG, up to its pixels: size and settings, without reading the picture. */
import { FormatError } from '../../core/errors';
import type { ByteSource } from '../../sources/byteSource';
import { joinChunks, pngSignature } from './chunks';
import { readPngSettings } from './png';

export interface PngHead {
  readonly width: number;
  readonly height: number;
  /** What encodePng stored with the picture; undefined: nothing. */
  readonly settings: unknown;
}

/** Most that is read for what comes before the pixels. */
const maxHeadBytes = 1024 * 1024;

/**
 * Reads size and settings. Settings that do not begin within the first 1 MiB before the pixels are not found.
 * @throws FormatError when the beginning is damaged
 */
export async function readPngHead(source: ByteSource, signal?: AbortSignal): Promise<PngHead> {
  const { name } = source;
  let bytes = await source.read(0, Math.min(source.size, 64 * 1024), signal);
  let end = pixelsAt(name, bytes);
  if (end === null && source.size > bytes.length) {
    bytes = await source.read(0, Math.min(source.size, maxHeadBytes), signal);
    end = pixelsAt(name, bytes);
  }
  if (bytes.length < 33)
    throw new FormatError(`${name}: PNG: must have a header of 33 bytes: ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  if (end === null) return { ...size, settings: undefined };
  // What stands before the pixels, closed as a file of its own.
  const closing = joinChunks([{ type: 'IEND', data: new Uint8Array(0) }]).subarray(pngSignature.length);
  const head = new Uint8Array(end + closing.length);
  head.set(bytes.subarray(0, end));
  head.set(closing, end);
  return { ...size, settings: await readPngSettings(name, head) };
}

/** Where the first chunk of pixels begins; null when the bytes end before it. */
function pixelsAt(name: string, bytes: Uint8Array<ArrayBuffer>): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = pngSignature.length; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at === pngSignature.length && type !== 'IHDR') {
      throw new FormatError(`${name}: PNG: must begin with an IHDR chunk: ${JSON.stringify(type)}`);
    }
    if (type === 'IDAT' || type === 'IEND') return at;
  }
  return null;
}
