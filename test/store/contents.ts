/** Checkpoints with values that can be told apart, and the way back. Used in Node and, bundled, in a real browser. */
import type { Opened } from '../../src/store/checkpoints';
import { tensorBytes, type CheckpointHead, type GroupPlan } from '../../src/store/manifest';
import type { TensorPiece } from '../../src/store/writeChunks';

export const chunkBytes = 64;

/** Tensors smaller and larger than a chunk, of odd sizes, one without elements. */
const tensors = [
  { name: 'a.weight', shape: [3, 5], dtype: 'f32' },
  { name: 'a.bias', shape: [5], dtype: 'f16' },
  { name: 'empty', shape: [0, 4], dtype: 'f32' },
  { name: 'big', shape: [7, 11], dtype: 'f32' },
  { name: 'bytes', shape: [13], dtype: 'i8' },
] as const;

export const smallGroups: readonly GroupPlan[] = ['weights', 'moment1', 'moment2', 'ema'].map((name) => ({
  name,
  tensors,
}));

export function makeHead(step: number, more: Partial<CheckpointHead> = {}): CheckpointHead {
  return {
    step,
    counters: { samples: step * 16 },
    cursor: { epoch: 1, sample: step },
    evaluation: null,
    profile: { name: 'any device', features: ['subgroups'], software: false },
    program: '0.1.0',
    groups: smallGroups,
    metrics: Uint8Array.from({ length: 21 }, (_, i) => (step + i) & 0xff),
    ...more,
  };
}

/** The bytes of a tensor in the checkpoint of a step: another for every step, group and tensor. */
export function makeValues(step: number, group: string, name: string, bytes: number): Uint8Array {
  let state = step * 2654435761;
  for (const letter of `${group}:${name}`) state = Math.imul(state ^ letter.charCodeAt(0), 16777619);
  const values = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state >>> 24;
  }
  return values;
}

/** All values in order, in pieces of at most `pieceBytes`. */
export async function* makePieces(head: CheckpointHead, pieceBytes = 37): AsyncGenerator<TensorPiece> {
  for (const { name: group, tensors: own } of head.groups) {
    for (const tensor of own) {
      const all = makeValues(head.step, group, tensor.name, tensorBytes(tensor));
      for (let at = 0; at < all.length; at += pieceBytes) {
        await Promise.resolve();
        yield { group, name: tensor.name, bytes: all.subarray(at, at + pieceBytes) };
      }
    }
  }
}

/** Reads everything and lists what is not as `makePieces` gave it; [] when all bytes are equal. */
export async function differences({ checkpoint }: Opened): Promise<string[]> {
  const { step } = checkpoint.manifest;
  const found = new Map<string, Uint8Array>();
  for await (const { group, tensor, offset, bytes } of checkpoint.pieces()) {
    const key = `${group}:${tensor.name}`;
    const all = found.get(key) ?? new Uint8Array(tensor.bytes);
    found.set(key, all);
    all.set(bytes, offset);
  }
  const wrong: string[] = [];
  for (const { name: group, tensors: own } of checkpoint.manifest.groups) {
    for (const tensor of own) {
      const key = `${group}:${tensor.name}`;
      const right = makeValues(step, group, tensor.name, tensorBytes(tensor));
      const actual = found.get(key) ?? new Uint8Array(0);
      if (!equal(right, actual)) wrong.push(key);
    }
  }
  if (!equal(makeHead(step).metrics, await checkpoint.metrics())) wrong.push('metrics');
  return wrong;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let same = a.length === b.length;
  for (let i = 0; i < a.length && same; i++) same = a[i] === b[i];
  return same;
}
