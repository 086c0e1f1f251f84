/** JSON files: read whole, with a bound, strictly UTF-8. */
import { FormatError, messageOf } from '../core/errors';
import { formatBytes } from '../core/units';
import type { ByteSource } from '../sources/byteSource';
import { maxChunkBytes } from '../sources/byteSource';

/** Longest JSON file that is read: four times the largest in use, a tokenizer.json. */
export const maxJsonBytes = 64 * 1024 * 1024;

/**
 * The value of a JSON file; a byte-order mark is passed over.
 * @throws FormatError when it is larger than 64 MiB, not UTF-8 or not JSON
 */
export async function readJson(source: ByteSource, signal?: AbortSignal): Promise<unknown> {
  if (source.size > maxJsonBytes) {
    throw new FormatError(
      `${source.name}: JSON: must be at most ${formatBytes(maxJsonBytes)}: it has ${formatBytes(source.size)}`,
    );
  }
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  try {
    for (let at = 0; at < source.size; at += maxChunkBytes) {
      const bytes = await source.read(at, Math.min(maxChunkBytes, source.size - at), signal);
      text += decoder.decode(bytes, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the decoder's; what the source throws goes on
    throw new FormatError(`${source.name}: JSON: must be UTF-8: it is not`, { cause: error });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FormatError(`${source.name}: JSON: must be valid: ${messageOf(error)}`, { cause: error });
  }
}
