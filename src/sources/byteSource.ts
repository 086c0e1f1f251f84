/**
 * ByteSource: the one way in which file readers see bytes, whatever holds them (a dropped File, a URL with ranges,
 * an OPFS handle, a file in Node). Readers ask for ranges and never for the whole.
 */
export interface ByteSource {
  /** Name for messages: file name or URL. */
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
  /**
   * Reads `length` bytes at `offset`. The result is a fresh array that the caller owns.
   * @throws FormatError when the range lies outside the source.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
}

/** A folder of sources: a bundle, a model repository, a dataset. Paths are relative with forward slashes. */
export interface SourceFolder {
  readonly name: string;
  /** Every file's path. */
  list(): Promise<string[]>;
  /** @throws NotFoundError when there is no such file. */
  open(path: string): Promise<ByteSource>;
}

/** Largest range that any reader asks for at once (16 MiB): bounds the JS heap. */
export const maxChunkBytes = 16 * 1024 * 1024;
