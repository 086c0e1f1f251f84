/**
 * zlib streams through the platform's CompressionStream, with bounds: a compressed megabyte may claim to be a
 * terabyte, so inflating stops at the size that the caller knows must come out.
 */
import { FormatError, messageOf } from '../../core/errors';

/** Deflate packs at most 258 bytes into 2 bits, 1032 to 1: a size beyond that is a lie and not allocated for. */
const maxRatio = 1032;

/** zlib-compressed bytes. The same input gives the same bytes on one platform. */
export async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Inflates a zlib stream that must hold exactly `size` bytes.
 * @throws FormatError when it is damaged, shorter or longer; `what` names it
 */
export async function inflate(
  what: string,
  pieces: readonly Uint8Array<ArrayBuffer>[],
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const packed = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (size > packed * maxRatio) {
    throw new FormatError(`${what}: must hold ${size} bytes: ${packed} compressed bytes cannot`);
  }
  const out = new Uint8Array(size);
  let filled = 0;
  await inflatePieces(what, pieces, (piece) => {
    if (filled + piece.length > size)
      throw new FormatError(`${what}: must hold ${size} bytes: it holds more`);
    out.set(piece, filled);
    filled += piece.length;
  });
  if (filled !== size) throw new FormatError(`${what}: must hold ${size} bytes: it holds ${filled}`);
  return out;
}

/**
 * Inflates a zlib stream of unknown size, at most `limit` bytes.
 * @throws FormatError when it is damaged or longer
 */
export async function inflateUpTo(
  what: string,
  bytes: Uint8Array<ArrayBuffer>,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  await inflatePieces(what, [bytes], (piece) => {
    total += piece.length;
    if (total > limit) throw new FormatError(`${what}: must hold at most ${limit} bytes: it holds more`);
    parts.push(piece);
  });
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function inflatePieces(
  what: string,
  pieces: readonly Uint8Array<ArrayBuffer>[],
  onPiece: (piece: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const reader = new Blob([...pieces]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      onPiece(value);
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`${what}: must be a sound zlib stream: ${messageOf(error)}`, { cause: error });
  } finally {
    await reader.cancel().catch(() => {});
  }
}
