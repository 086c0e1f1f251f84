/** The way of a checkpoint's values into storage: pieces as they come from the device, cut into chunks, one in memory. */
import { crc32 } from '../core/crc32';
import { CancelledError, InternalError } from '../core/errors';
import type { Storage } from '../core/ports';
import { streamPosition, type CheckpointHead, type Layout, type Manifest } from './manifest';
import { chunkKey } from './records';

/** Some of a tensor's values, as they lie in memory (little-endian). A tensor's pieces follow each other in order. */
export interface TensorPiece {
  readonly group: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the stream that are stored. */
  readonly progress: (stored: number) => void;
}

/**
 * Writes every chunk of a generation, each with its own write.
 *
 * @param pieces all tensors of the layout, in its order, nothing else; tensors without elements have none
 * @returns size and checksum of each chunk, for the manifest
 * @throws InternalError when pieces are not those of the layout, CancelledError, and what storage throws
 */
export async function writeChunks(
  storage: Storage,
  run: string,
  generation: number,
  head: CheckpointHead,
  layout: Layout,
  pieces: AsyncIterable<TensorPiece>,
  { signal, progress }: WriteOptions,
): Promise<Manifest['chunks']> {
  const { chunkBytes } = layout;
  const buffer = new Uint8Array(Math.min(chunkBytes, layout.bytes));
  const chunks: Manifest['chunks'] = [];
  let filled = 0;
  let stored = 0;
  const position = (): number => chunks.length * chunkBytes + filled;

  async function store(): Promise<void> {
    const bytes = buffer.subarray(0, filled);
    if (signal?.aborted) throw new CancelledError();
    await storage.write(chunkKey(run, generation, chunks.length), bytes);
    chunks.push({ bytes: filled, crc: crc32(bytes) });
    stored += filled;
    filled = 0;
    progress(stored);
  }

  async function append(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (at < bytes.length) {
      const part = bytes.subarray(at, at + chunkBytes - filled);
      buffer.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === chunkBytes) await store();
    }
  }

  const padTo = (target: number): Promise<void> => append(new Uint8Array(target - position()));

  const tensors = layout.groups
    .flatMap(({ name, tensors: own }) => own.map((tensor) => ({ ...tensor, key: `${name}:${tensor.name}` })))
    .filter(({ bytes }) => bytes > 0);
  let index = 0;
  let missing = tensors[0]?.bytes ?? 0;
  for await (const { group, name, bytes } of pieces) {
    if (signal?.aborted) throw new CancelledError();
    const tensor = tensors[index];
    const key = `${group}:${name}`;
    if (tensor?.key !== key || bytes.length > missing) {
      const due = tensor ? `${tensor.key} with at most ${missing} bytes` : 'nothing more';
      throw new InternalError(`checkpoint: next must come ${due}: ${key} with ${bytes.length} bytes`);
    }
    if (missing === tensor.bytes) await padTo(streamPosition(tensor, chunkBytes));
    await append(bytes);
    missing -= bytes.length;
    if (missing === 0) missing = tensors[++index]?.bytes ?? 0;
  }
  const due = tensors[index];
  if (due) {
    throw new InternalError(
      `checkpoint: all tensors must come: ${due.key} lacks ${missing} of ${due.bytes} bytes`,
    );
  }
  await padTo(streamPosition(layout.metrics, chunkBytes));
  await append(head.metrics);
  if (filled > 0) await store();
  return chunks;
}
