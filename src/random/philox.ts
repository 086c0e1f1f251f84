/**
 * Philox4x32-10 (Salmon et al. 2011, Random123): a counter-based generator. The same counter and key always give the
 * same four words, so draws can be made in any order and on any device; the GPU kernel computes the same integers.
 *
 * One round maps (c0, c1, c2, c3) to (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)); the key grows by
 * (W0, W1) between rounds.
 */

const roundCount = 10;
/** M0 = 0xD2511F53 and M1 = 0xCD9E8D57 in 16-bit halves, high first: JavaScript has no 32 x 32 -> 64 multiply. */
const m0High = 0xd251;
const m0Low = 0x1f53;
const m1High = 0xcd9e;
const m1Low = 0x8d57;
const m0 = 0xd2511f53 | 0;
const m1 = 0xcd9e8d57 | 0;
const w0 = 0x9e3779b9;
const w1 = 0xbb67ae85;

/** Four u32. */
export type PhiloxCounter = readonly [number, number, number, number];
/** Two u32. */
export type PhiloxKey = readonly [number, number];

/** High 32 bits (signed) of a u32 times the u32 with halves (high, low). */
function highProduct(a: number, high: number, low: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  // Every sum below stays under 2^33, so the doubles are exact.
  const middle = aHigh * low + ((aLow * low) >>> 16);
  const carry = (aLow * high + (middle & 0xffff)) / 0x10000;
  return (aHigh * high + Math.floor(middle / 0x10000) + Math.floor(carry)) | 0;
}

/** Writes the four words of one counter to out[at .. at + 3]. Counter and key words may be signed or unsigned. */
export function philoxInto(
  out: Uint32Array,
  at: number,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
): void {
  let c0 = counter0 | 0;
  let c1 = counter1 | 0;
  let c2 = counter2 | 0;
  let c3 = counter3 | 0;
  let k0 = key0 | 0;
  let k1 = key1 | 0;
  for (let round = 0; round < roundCount; round++) {
    const high0 = highProduct(c0, m0High, m0Low);
    const low0 = Math.imul(c0, m0);
    const high1 = highProduct(c2, m1High, m1Low);
    const low1 = Math.imul(c2, m1);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + w0) | 0;
    k1 = (k1 + w1) | 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/** The four words of one counter and key. */
export function philoxWords(counter: PhiloxCounter, key: PhiloxKey): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(4);
  philoxInto(out, 0, counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
  return out;
}
