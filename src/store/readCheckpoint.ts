/** Reading one generation: whether all of it is there as it was written, and its values chunk by chunk. */
import { crc32 } from '../core/crc32';
import { CancelledError, FormatError, StorageError } from '../core/errors';
import type { Storage } from '../core/ports';
import { streamPosition, type Manifest, type PlacedTensor } from './manifest';
import { chunkKey } from './records';

/** Some of a tensor's values: `bytes` from `offset` of the tensor's own. A view: copy what outlives the next piece. */
export interface StoredPiece {
  readonly group: string;
  readonly tensor: PlacedTensor;
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * A chunk as it was written.
 * @throws FormatError that says what is wrong with it (missing, cut short, changed); CancelledError; StorageError
 */
async function readChunk(
  storage: Storage,
  { run, generation, chunks }: Manifest,
  index: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (signal?.aborted) throw new CancelledError();
  const what = `chunk ${index + 1} of ${chunks.length}`;
  const stated = chunks[index];
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  try {
    bytes = await storage.read(chunkKey(run, generation, index));
  } catch (thrown) {
    // Browsers keep large values as files beside the database and fail when such a file is gone.
    if (!(thrown instanceof StorageError) || thrown.code !== 'storage-failed') throw thrown;
    throw new FormatError(`${what}: must be readable: ${thrown.message}`, { cause: thrown });
  }
  if (!bytes || !stated) throw new FormatError(`${what}: must be there: it is missing`);
  if (bytes.length !== stated.bytes) {
    throw new FormatError(`${what}: must have ${stated.bytes} bytes: it has ${bytes.length} (truncated)`);
  }
  const actual = crc32(bytes);
  if (actual !== stated.crc) {
    const hex = (value: number): string => value.toString(16).padStart(8, '0');
    throw new FormatError(`${what}: must have checksum ${hex(stated.crc)}: it has ${hex(actual)} (changed)`);
  }
  return bytes;
}

/** Reads every chunk once. @throws FormatError for the first that is not as written; CancelledError; StorageError */
export async function verifyChunks(
  storage: Storage,
  manifest: Manifest,
  progress: (verified: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let verified = 0;
  for (let index = 0; index < manifest.chunks.length; index++) {
    verified += (await readChunk(storage, manifest, index, signal)).length;
    progress(verified);
  }
}

/** One generation, all of it verified when it was opened. Valid while `Checkpoints.read` runs. */
export class StoredCheckpoint {
  readonly manifest: Manifest;
  readonly #storage: Storage;
  readonly #signal: AbortSignal | undefined;

  constructor(storage: Storage, manifest: Manifest, signal?: AbortSignal) {
    this.#storage = storage;
    this.manifest = manifest;
    this.#signal = signal;
  }

  /**
   * The tensors' values in the order of the manifest, one chunk in memory. Chunks without any of them are not read; those
   * that are read are verified again.
   *
   * @param groups only these; all where not given
   * @throws FormatError, CancelledError, StorageError
   */
  async *pieces(groups?: readonly string[]): AsyncGenerator<StoredPiece, void, void> {
    let heldChunk = -1;
    let held = new Uint8Array(0);
    for (const { name: group, tensors } of this.manifest.groups) {
      if (groups && !groups.includes(group)) continue;
      for (const tensor of tensors) {
        for (const { chunk, start, bytes, offset } of this.#parts(tensor)) {
          if (heldChunk !== chunk) held = await this.#chunk(chunk);
          heldChunk = chunk;
          yield { group, tensor, offset, bytes: held.subarray(start, start + bytes) };
        }
      }
    }
  }

  /** The run's curve up to this step. @throws FormatError, CancelledError, StorageError */
  async metrics(): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(this.manifest.metrics.bytes);
    for (const { chunk, start, bytes, offset } of this.#parts(this.manifest.metrics)) {
      out.set((await this.#chunk(chunk)).subarray(start, start + bytes), offset);
    }
    return out;
  }

  #chunk(index: number): Promise<Uint8Array<ArrayBuffer>> {
    return readChunk(this.#storage, this.manifest, index, this.#signal);
  }

  /** A place chunk by chunk: `bytes` from `start` of the chunk are those from `offset` of the place. */
  *#parts(
    place: Manifest['metrics'],
  ): Generator<{ chunk: number; start: number; bytes: number; offset: number }> {
    const { chunkBytes } = this.manifest;
    const first = streamPosition(place, chunkBytes);
    for (let offset = 0; offset < place.bytes;) {
      const start = (first + offset) % chunkBytes;
      const bytes = Math.min(chunkBytes - start, place.bytes - offset);
      yield { chunk: Math.floor((first + offset) / chunkBytes), start, bytes, offset };
      offset += bytes;
    }
  }
}
