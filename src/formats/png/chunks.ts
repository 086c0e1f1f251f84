/** PNG's container: signature, then chunks of length (u32 big-endian), type, data and CRC-32 over type and data. */
import { crc32 } from '../../core/crc32';
import { FormatError } from '../../core/errors';

export { crc32 };

/** The first eight bytes of every PNG. */
export const pngSignature: Uint8Array<ArrayBuffer> = Uint8Array.of(
  0x89,
  0x50,
  0x4e,
  0x47,
  0x0d,
  0x0a,
  0x1a,
  0x0a,
);

/** One chunk. */
export interface PngChunk {
  /** Four letters; a lower-case first letter marks a chunk that a reader may pass over. */
  readonly type: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** Whether the bytes begin as a PNG. */
export function isPng(bytes: Uint8Array): boolean {
  return pngSignature.every((byte, i) => bytes[i] === byte);
}

/** A whole file of chunks. */
export function joinChunks(chunks: readonly PngChunk[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(
    chunks.reduce((sum, chunk) => sum + 12 + chunk.data.length, pngSignature.length),
  );
  const view = new DataView(out.buffer);
  out.set(pngSignature);
  let at = pngSignature.length;
  for (const { type, data } of chunks) {
    view.setUint32(at, data.length);
    for (let i = 0; i < 4; i++) out[at + 4 + i] = type.charCodeAt(i);
    out.set(data, at + 8);
    view.setUint32(at + 8 + data.length, crc32(out.subarray(at + 4, at + 8 + data.length)));
    at += 12 + data.length;
  }
  return out;
}

/**
 * The chunks of a file, in order, up to IEND; data are views. What follows IEND is passed over, as viewers do.
 * @throws FormatError for anything but a complete PNG with right CRCs; `name` is the file's
 */
export function splitChunks(name: string, bytes: Uint8Array<ArrayBuffer>): PngChunk[] {
  if (!isPng(bytes)) throw new FormatError(`${name}: PNG: must begin with the PNG signature: it does not`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: PngChunk[] = [];
  let at = pngSignature.length;
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) {
      throw new FormatError(
        `${name}: PNG: a chunk's type must be four letters: ${JSON.stringify(type)} at byte ${at + 4}`,
      );
    }
    if (length > bytes.length - at - 12) {
      throw new FormatError(
        `${name}: PNG: chunk ${type} must end inside the file of ${bytes.length} bytes: ` +
          `it has ${length} bytes at byte ${at + 8} (the file is cut short)`,
      );
    }
    const crc = crc32(bytes.subarray(at + 4, at + 8 + length));
    const stored = view.getUint32(at + 8 + length);
    if (crc !== stored) {
      throw new FormatError(
        `${name}: PNG: chunk ${type} must have CRC ${hex(crc)}: the file says ${hex(stored)}`,
      );
    }
    chunks.push({ type, data: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
    if (type === 'IEND') return chunks;
  }
  throw new FormatError(
    `${name}: PNG: must end with an IEND chunk: the file ends at byte ${bytes.length} without one`,
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
