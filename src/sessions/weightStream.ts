/**
 * Values of one tensor on their way from file chunks to the GPU: put together into whole units (rows, experts) where
 * something looks at units as wholes, and written in whole words, whatever pieces they come in.
 */
import { InternalError } from '../core/errors';
import type { StateStore } from '../gpu/pages';

/** Passes on values in blocks that hold whole units of `unit` values. Buffers one unit at most, and only a cut one. */
export class WholeUnits {
  readonly #unit: number;
  readonly #pass: (block: Float32Array<ArrayBuffer>) => void;
  #cut: Float32Array<ArrayBuffer> | null = null;
  #held = 0;

  constructor(unit: number, pass: (block: Float32Array<ArrayBuffer>) => void) {
    this.#unit = unit;
    this.#pass = pass;
  }

  push(values: Float32Array<ArrayBuffer>): void {
    let at = 0;
    if (this.#held > 0) {
      at = Math.min(values.length, this.#unit - this.#held);
      this.#hold(values.subarray(0, at));
      if (this.#held === this.#unit) {
        this.#held = 0;
        this.#pass(this.#cut!);
      }
    }
    const whole = Math.floor((values.length - at) / this.#unit) * this.#unit;
    if (whole > 0) this.#pass(values.subarray(at, at + whole));
    if (at + whole < values.length) this.#hold(values.subarray(at + whole));
  }

  #hold(values: Float32Array): void {
    this.#cut ??= new Float32Array(this.#unit);
    this.#cut.set(values, this.#held);
    this.#held += values.length;
  }
}

/** Writes a state tensor from its start, as packed elements of any size; a word that is not full waits for the next. */
export class WordWriter {
  readonly #store: StateStore;
  readonly #name: string;
  /** Bytes of the word that is not full. */
  #rest = new Uint8Array(0);
  /** Bytes written. */
  #at = 0;

  constructor(store: StateStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  put(data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Int8Array<ArrayBuffer>): void {
    let bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (this.#rest.length > 0 || bytes.byteOffset % 4 !== 0) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    const words = bytes.length >>> 2;
    if (words > 0) this.#write(new Uint32Array(bytes.buffer, bytes.byteOffset, words));
    this.#rest = bytes.slice(words * 4);
  }

  /**
   * Pads the last word.
   * @throws InternalError unless `elements` elements of `size` bytes were put.
   */
  finish(elements: number, size: number): void {
    const put = this.#at + this.#rest.length;
    if (put !== elements * size) {
      throw new InternalError(
        `state ${this.#name}: filled by ${elements} elements of ${size} bytes: ${put} bytes put`,
      );
    }
    if (this.#rest.length === 0) return;
    const last = new Uint32Array(1);
    new Uint8Array(last.buffer).set(this.#rest);
    this.#write(last);
    this.#rest = new Uint8Array(0);
  }

  #write(words: Uint32Array<ArrayBuffer>): void {
    this.#store.write(this.#name, words, this.#at);
    this.#at += words.byteLength;
  }
}
