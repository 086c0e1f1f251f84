/** ByteSink: where file writers put bytes, in order and piece by piece. */
export interface ByteSink {
  /** Name for messages. */
  readonly name: string;
  /** Appends `bytes`. The caller may reuse the array once the promise resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Everything is written: makes it durable and visible. Nothing may follow. */
  close(): Promise<void>;
  /** Gives up: what was written is thrown away. Nothing may follow. */
  abort(): Promise<void>;
}

/** A sink that collects in memory; `bytes()` joins what was written. */
export function memorySink(name: string): ByteSink & { bytes(): Uint8Array<ArrayBuffer> } {
  let pieces: Uint8Array[] = [];
  return {
    name,
    write: async (bytes) => {
      pieces.push(bytes.slice());
    },
    close: async () => {},
    abort: async () => {
      pieces = [];
    },
    bytes: () => {
      const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
      let at = 0;
      for (const piece of pieces) {
        out.set(piece, at);
        at += piece.byteLength;
      }
      return out;
    },
  };
}
