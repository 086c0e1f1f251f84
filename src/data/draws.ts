/**
 * The random numbers of a training run, counter-based: each is a function of (run seed, stream, purpose, step, sample,
 * element) and of nothing drawn before it. So they are the same whatever the shards a batch is cut into and whatever
 * the run was interrupted by, and no generator's state is saved.
 *
 * One Philox4x32-10 call gives four elements: key = the seed's 64 bits, counter = (element / 4, sample, step, purpose +
 * 256 stream). Purposes begin at 1, so that no counter is one of those that pictures' noise uses (cudaGenerator.ts, last
 * word 0). Logarithm, sine and cosine are this file's own: built from operations that IEEE 754 rounds in one way only,
 * they give the same bits in every browser, which Math's need not.
 *
 * The scheme is part of every saved run: changing it changes what a resumed run draws. test/data/draws.test.ts holds it.
 */
import { InputError } from '../core/errors';
import { seedBits } from '../random/generator';
import { philoxInto } from '../random/philox';

/** What a draw is for. Numbers are part of the scheme: new ones are added, none is changed. */
const purposes = {
  /** Noise level of a sample. */
  level: 1,
  /** Noise added to the latents. */
  noise: 2,
  /** Which patches are masked. */
  mask: 3,
  /** Whether the caption is dropped. */
  drop: 4,
  /** Order of the samples in an epoch (which stands in place of the step). */
  order: 5,
  /** Which samples are held out. */
  split: 6,
} as const;
export type DrawPurpose = keyof typeof purposes;

/** Training and evaluation draw apart. */
const streams = { train: 0, evaluate: 1 } as const;
export type DrawStream = keyof typeof streams;

/** Where a list of draws stands. Whole numbers from 0 to 2^32 - 1. */
export interface DrawPlace {
  readonly purpose: DrawPurpose;
  /** Optimizer step, from 0. */
  readonly step: number;
  /** Row of the sample in the step's whole batch, whichever shard holds it. */
  readonly sample: number;
}

/** The draws of one run. Every function gives the same values for the same arguments. */
export interface Draws {
  /** Fills `out` with elements 0, 1, ... of a place: standard normal, |value| below 6.77. */
  normals(place: DrawPlace, out: Float32Array): void;
  /** The same, uniform in [0, 1), multiples of 2^-24. */
  uniforms(place: DrawPlace, out: Float32Array): void;
  /**
   * The numbers 0 to count - 1 in the order of an epoch; every order is equally likely.
   * @throws InputError
   */
  order(epoch: number, count: number): Uint32Array<ArrayBuffer>;
}

/**
 * The draws of a run.
 * @param seed whole number from -2^63 to 2^64 - 1, negative ones taken modulo 2^64
 * @throws InputError for a seed out of range
 */
export function createDraws(seed: bigint, stream: DrawStream = 'train'): Draws {
  const bits = seedBits(seed);
  const key0 = Number(bits & 0xffffffffn);
  const key1 = Number(bits >> 32n);
  const words = new Uint32Array(4);
  /** Fills `words` with the four of a call. */
  const draw = (place: DrawPlace, call: number): void => {
    const last = purposes[place.purpose] + 256 * streams[stream];
    philoxInto(words, 0, call, place.sample, place.step, last, key0, key1);
  };

  return {
    normals: (place, out) => {
      checkPlace(place);
      for (let at = 0; at < out.length; at += 4) {
        draw(place, at / 4);
        writeNormals(out, at, words[0]!, words[1]!);
        writeNormals(out, at + 2, words[2]!, words[3]!);
      }
    },
    uniforms: (place, out) => {
      checkPlace(place);
      for (let at = 0; at < out.length; at++) {
        if (at % 4 === 0) draw(place, at / 4);
        out[at] = (words[at % 4]! >>> 8) * 2 ** -24;
      }
    },
    order: (epoch, count) => {
      const place: DrawPlace = { purpose: 'order', step: epoch, sample: 0 };
      checkPlace(place);
      checkWord('samples', count);
      let used = 0;
      const next = (): number => {
        if (used % 4 === 0) draw(place, used / 4);
        return words[used++ % 4]!;
      };
      const order = Uint32Array.from({ length: count }, (_, id) => id);
      for (let left = count; left > 1; left--) {
        // Fisher and Yates. Words of the last, incomplete round of `left` are passed over: no number is likelier.
        const end = 2 ** 32 - (2 ** 32 % left);
        let word = next();
        while (word >= end) word = next();
        const taken = word % left;
        [order[left - 1], order[taken]] = [order[taken]!, order[left - 1]!];
      }
      return order;
    },
  };
}

function checkPlace({ step, sample }: DrawPlace): void {
  checkWord('step', step);
  checkWord('sample', sample);
}

function checkWord(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new InputError(`draws: ${name}: a whole number from 0 to 2^32 - 1: ${value}`);
  }
}

/**
 * Two normals of two words (Box and Muller 1958) into out[at] and out[at + 1]; a place past the end is left out.
 * Radius sqrt(-2 ln((a + 1/2) 2^-32)), angle (b + 1/2) 2^-32 turns, counted from -pi/4 so that each quarter turn is
 * centred on an axis.
 */
function writeNormals(out: Float32Array, at: number, a: number, b: number): void {
  const radius = Math.sqrt(-2 * logFraction(a));
  const angle = (((b & 0x3fffffff) + 0.5) * 2 ** -30 - 0.5) * (Math.PI / 2);
  const square = angle * angle;
  const sine = radius * angle * (1 + square * sineSeries(square));
  const cosine = radius * (1 + square * cosineSeries(square));
  const quarter = b >>> 30;
  const swapped = (quarter & 1) === 1;
  const first = swapped ? sine : cosine;
  const second = swapped ? cosine : sine;
  // Quarters 0 to 3: (c, s), (-s, c), (-c, -s), (s, -c). Writing past the end of a typed array does nothing.
  out[at] = quarter === 1 || quarter === 2 ? -first : first;
  out[at + 1] = quarter >= 2 ? -second : second;
}

/**
 * ln((word + 1/2) 2^-32), relative error below 1e-10: word + 1/2 = m 2^e with m from 1/sqrt(2) to sqrt(2) (word 0: m = 1/2),
 * ln m by the series of artanh.
 */
function logFraction(word: number): number {
  const zeros = Math.clz32(word | 1);
  let exponent = 31 - zeros;
  let m = (word + 0.5) / (0x80000000 >>> zeros);
  if (m > Math.SQRT2) {
    m /= 2;
    exponent++;
  }
  const s = (m - 1) / (m + 1);
  const q = s * s;
  let sum = 1 / 19;
  for (let odd = 17; odd >= 1; odd -= 2) sum = sum * q + 1 / odd;
  return (exponent - 32) * Math.LN2 + 2 * s * sum;
}

/** (sin x / x - 1) / x^2 of x^2, |x| <= pi/4, to 1e-15. */
function sineSeries(x: number): number {
  return (
    -1 / 6 + x * (1 / 120 + x * (-1 / 5040 + x * (1 / 362880 + x * (-1 / 39916800 + x * (1 / 6227020800)))))
  );
}

/** (cos x - 1) / x^2 of x^2, |x| <= pi/4, to 1e-15. */
function cosineSeries(x: number): number {
  return (
    -1 / 2 +
    x *
      (1 / 24 +
        x * (-1 / 720 + x * (1 / 40320 + x * (-1 / 3628800 + x * (1 / 479001600 + x * (-1 / 87178291200))))))
  );
}
