/**
 * Patch masking: which patches of each sample stay, from a uniform draw.
 *
 * As upstream: shuffle = argsort(noise), restore = argsort(shuffle); the first K = int(T (1 - ratio)) of the shuffle are
 * kept, and kept tokens enter the backbone in that order.
 */
import { InputError } from '../core/errors';

export interface MaskRows {
  /** K */
  readonly kept: number;
  /** [B K] token positions within their sample, in shuffled order. */
  readonly idsKeep: Int32Array<ArrayBuffer>;
  /** [B T] */
  readonly idsRestore: Int32Array<ArrayBuffer>;
  /** [B T]: 0 kept, 1 removed. */
  readonly mask: Float32Array<ArrayBuffer>;
  /** [B K]: token row counted over the batch. */
  readonly keep: Uint32Array<ArrayBuffer>;
  /** [B T]: kept row counted over the batch, 0xffffffff where removed. */
  readonly restore: Uint32Array<ArrayBuffer>;
}

/** Tokens kept of T at a mask ratio. @throws InputError */
export function keptTokens(tokens: number, ratio: number): number {
  if (!(ratio >= 0 && ratio < 1)) throw new InputError(`mask ratio: from 0 to below 1: ${ratio}`);
  const kept = Math.trunc(tokens * (1 - ratio));
  if (kept < 1)
    throw new InputError(`mask ratio: at least one of ${tokens} patches stays: ${ratio} keeps none`);
  return kept;
}

/** The mask of a batch from `noise` [B, T]. Equal draws keep the lower position first. */
export function maskRows(noise: ArrayLike<number>, tokens: number, kept: number): MaskRows {
  const samples = noise.length / tokens;
  const idsKeep = new Int32Array(samples * kept);
  const idsRestore = new Int32Array(samples * tokens);
  const mask = new Float32Array(samples * tokens).fill(1);
  const keep = new Uint32Array(samples * kept);
  const restore = new Uint32Array(samples * tokens).fill(0xffffffff);
  for (let b = 0; b < samples; b++) {
    const first = b * tokens;
    const shuffle = Array.from({ length: tokens }, (_, token) => token);
    shuffle.sort((i, j) => noise[first + i]! - noise[first + j]! || i - j);
    shuffle.forEach((token, rank) => {
      idsRestore[first + token] = rank;
      if (rank >= kept) return;
      const row = b * kept + rank;
      idsKeep[row] = token;
      keep[row] = first + token;
      restore[first + token] = row;
      mask[first + token] = 0;
    });
  }
  return { kept, idsKeep, idsRestore, mask, keep, restore };
}
