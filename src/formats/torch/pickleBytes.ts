/**
 * Pickle bytes: a cursor that reads operands, and the opcodes of protocols 2 to 5 by name. Lengths are checked against
 * the bytes that are there before anything is made of them.
 */
import { FormatError } from '../../core/errors';

/** Longest integer accepted, in bytes: turning digits into a bigint takes time that grows with their square. */
const maxIntegerBytes = 1024;
/** Longest line of a text operand: two of them name a class. */
const maxLineBytes = 4096;

/** The pickle is sound so far but ends too early; more bytes may follow where they were read in part. */
export class PickleEndError extends FormatError {}

/** Opcodes; names as in Python's pickletools. */
export const op = {
  mark: 0x28,
  emptyTuple: 0x29,
  stop: 0x2e,
  pop: 0x30,
  popMark: 0x31,
  dup: 0x32,
  binBytes: 0x42,
  shortBinBytes: 0x43,
  binFloat: 0x47,
  int: 0x49,
  binInt: 0x4a,
  binInt1: 0x4b,
  binInt2: 0x4d,
  none: 0x4e,
  binPersId: 0x51,
  reduce: 0x52,
  binString: 0x54,
  shortBinString: 0x55,
  binUnicode: 0x58,
  emptyList: 0x5d,
  append: 0x61,
  build: 0x62,
  global: 0x63,
  appends: 0x65,
  binGet: 0x68,
  longBinGet: 0x6a,
  binPut: 0x71,
  longBinPut: 0x72,
  setItem: 0x73,
  tuple: 0x74,
  setItems: 0x75,
  emptyDict: 0x7d,
  proto: 0x80,
  newObj: 0x81,
  tuple1: 0x85,
  tuple2: 0x86,
  tuple3: 0x87,
  newTrue: 0x88,
  newFalse: 0x89,
  long1: 0x8a,
  long4: 0x8b,
  shortBinUnicode: 0x8c,
  binUnicode8: 0x8d,
  binBytes8: 0x8e,
  emptySet: 0x8f,
  addItems: 0x90,
  frozenSet: 0x91,
  newObjEx: 0x92,
  stackGlobal: 0x93,
  memoize: 0x94,
  frame: 0x95,
  byteArray8: 0x96,
} as const;

/** Reads operands one after another. */
export class PickleCursor {
  /** Where the next byte is. */
  at: number;
  readonly #what: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  /** `what` names the pickle in messages; reading begins at `at`. */
  constructor(what: string, bytes: Uint8Array<ArrayBuffer>, at = 0) {
    this.#what = what;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  fail(rule: string): never {
    throw new FormatError(`${this.#what}: ${rule}`);
  }

  /** Steps over `length` bytes and gives where they began. */
  skip(length: number): number {
    const at = this.at;
    if (!(at + length <= this.#bytes.length)) {
      throw new PickleEndError(
        `${this.#what}: must end with its last instruction: byte ${at} needs ${length} more bytes, ` +
          `${this.#bytes.length - at} are left`,
      );
    }
    this.at = at + length;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.skip(1));
  }

  u16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }

  i32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }

  u32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  /** A 64-bit length; beyond 2^53 inexact, and more than there can be. */
  u64(): number {
    const low = this.u32();
    return this.u32() * 2 ** 32 + low;
  }

  /** A big-endian double. */
  f64(): number {
    return this.#view.getFloat64(this.skip(8), false);
  }

  /** UTF-8 text of that many bytes. */
  text(length: number): string {
    const at = this.skip(length);
    try {
      return this.#utf8.decode(this.#bytes.subarray(at, at + length));
    } catch {
      return this.fail(`text must be UTF-8: it is not, at byte ${at}`);
    }
  }

  /** A copy of that many bytes. */
  blob(length: number): Uint8Array<ArrayBuffer> {
    const at = this.skip(length);
    return this.#bytes.slice(at, at + length);
  }

  /** A string of Python 2, which is text or bytes: text when it is UTF-8. */
  oldString(length: number): string | Uint8Array<ArrayBuffer> {
    const at = this.skip(length);
    try {
      return this.#utf8.decode(this.#bytes.subarray(at, at + length));
    } catch {
      return this.#bytes.slice(at, at + length);
    }
  }

  /** Text up to the next line feed, which is passed over. */
  line(): string {
    const from = this.at;
    const end = this.#bytes.subarray(from, from + maxLineBytes).indexOf(0x0a);
    if (end < 0) {
      if (this.#bytes.length - from >= maxLineBytes)
        this.fail(`a name must be shorter than ${maxLineBytes} bytes`);
      this.skip(this.#bytes.length - from + 1);
    }
    const text = this.text(end);
    this.skip(1);
    return text;
  }

  /** A signed little-endian integer of that many bytes: a number where it is exact, else a bigint. */
  integer(length: number): number | bigint {
    if (length > maxIntegerBytes)
      this.fail(`an integer must have at most ${maxIntegerBytes} bytes: it has ${length}`);
    const at = this.skip(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#view.getUint8(at + i));
    if (length > 0) value = BigInt.asIntN(8 * length, value);
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value;
  }
}
