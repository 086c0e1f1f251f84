/** Opens a weight file of either kind. What it is, its content decides; its name says nothing. */
import { FormatError } from '../core/errors';
import type { ByteSource } from '../sources/byteSource';
import { beginsAsSafetensors, knownKind } from './fileKind';
import type { SafetensorsFile } from './safetensors/reader';
import { maxHeaderBytes, readSafetensors } from './safetensors/reader';
import type { TorchFile } from './torch/reader';
import { readTorch } from './torch/reader';

/** The formats in which weights are read. */
export type TensorFormat = 'safetensors' | 'torch';

/**
 * Which format a file has, from its first bytes.
 * @throws FormatError saying what it is instead
 */
export async function tensorFormat(source: ByteSource, signal?: AbortSignal): Promise<TensorFormat> {
  const head = await source.read(0, Math.min(source.size, 512), signal);
  if (beginsAsSafetensors(head)) return 'safetensors';
  if (head[0] === 0x50 && head[1] === 0x4b && (head[2] ?? 255) < 8) return 'torch';
  if (head[0] === 0x80 && (head[1] ?? 255) <= 5) return 'torch';
  if (mayBeSafetensors(source.size, head)) return 'safetensors';
  const kind = knownKind(head);
  throw new FormatError(
    `${source.name}: weights: must be a safetensors file or a checkpoint of torch.save (.pt, .pth, .bin): ` +
      (kind ? `it is ${kind}` : `its first bytes are ${hex(head.subarray(0, 8))}`),
  );
}

/**
 * Reads the index of a safetensors or torch file. Entries lie in the result's own `source`.
 * @throws FormatError when it is neither, or damaged
 */
export async function openTensorFile(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<SafetensorsFile | TorchFile> {
  return (await tensorFormat(source, signal)) === 'torch'
    ? readTorch(source, signal)
    : readSafetensors(source, signal);
}

/** Whether it is likely a damaged one: a brace in its place, or a length that the file could have. */
function mayBeSafetensors(size: number, head: Uint8Array<ArrayBuffer>): boolean {
  if (head.length < 8) return false;
  if (head[8] === 0x7b) return true;
  const length = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  return length >= 2 && length <= Math.min(maxHeaderBytes, size - 8);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
