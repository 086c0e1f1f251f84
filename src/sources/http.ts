/**
 * Files on the web as sources, read by range requests, so that gigabytes of weights stream tensor by tensor.
 *
 * Opening asks for the first 64 KiB, which tells size and whether the server serves ranges, and is kept: readers begin
 * there. A server that ignores ranges sends the whole file; up to a limit (64 MiB) that is accepted and kept. Only
 * headers that cross-origin rules let a page send without asking are sent. Failed requests are repeated a few times;
 * a file that changes on the way (ETag or size) is an error, never a mixture.
 */
import { FormatError, NotFoundError, TabditError, messageOf } from '../core/errors';
import { formatBytes } from '../core/units';
import type { ByteSource, SourceFolder } from './byteSource';
import { checkRange, checkRelativePath } from './range';

/** Settings of web sources; every one has a default. */
export interface HttpOptions {
  /** Request headers, such as an Authorization. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Largest file taken whole from a server without ranges, in bytes; default 64 MiB. */
  readonly wholeLimit?: number;
  /** Further attempts after a failure of the network or the server; default 3. */
  readonly retries?: number;
  /** Wait before the first of them, doubled each time, in milliseconds; default 500. */
  readonly retryDelay?: number;
  readonly signal?: AbortSignal;
  /** Replaces the platform's fetch. */
  readonly fetch?: typeof fetch;
}

const probeBytes = 64 * 1024;
const defaultWholeLimit = 64 * 1024 * 1024;

/**
 * Opens a URL.
 * @throws NotFoundError when the server has no such file, FormatError when it cannot serve ranges of a large one,
 *   TabditError `network` when it cannot be reached
 */
export async function httpSource(url: string, options: HttpOptions = {}): Promise<ByteSource> {
  const response = await request(url, { Range: `bytes=0-${probeBytes - 1}` }, options, options.signal);
  if (response.status === 416) {
    await response.body?.cancel();
    return wholeSource(url, new Uint8Array(0)); // no byte 0: the file is empty
  }
  if (response.status === 200) return wholeSource(url, await readWhole(url, response, options));
  const range = contentRange(response);
  // Content-Range is hidden from pages of other origins unless the server exposes it; Content-Length of HEAD is not.
  const size = range?.size ?? (await headLength(url, options));
  const etag = response.headers.get('etag');
  const head = await readBody(url, response, Math.min(probeBytes, size));
  return {
    name: url,
    size,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(url, size, offset, length);
      if (offset + length <= head.length) return head.slice(offset, offset + length);
      const part = await request(url, { Range: `bytes=${offset}-${offset + length - 1}` }, options, signal);
      const got = contentRange(part);
      const sameFile =
        part.status === 206 &&
        (!etag || (part.headers.get('etag') ?? etag) === etag) &&
        (!got || (got.size === size && got.first === offset));
      if (!sameFile) {
        await part.body?.cancel();
        throw new FormatError(
          `${url}: must stay the same file and answer ranges: asked for bytes ${offset} to ${offset + length} of ${size}, ` +
            `got status ${part.status}, ${part.headers.get('content-range') ?? 'no range'}`,
        );
      }
      return readBody(url, part, length);
    },
  };
}

/**
 * A folder below a URL. The web cannot list: `paths` are the files known to be there, `open` may ask for others.
 * `base` is absolute, with or without a slash at its end.
 */
export function httpFolder(base: string, paths: readonly string[], options: HttpOptions = {}): SourceFolder {
  const root = base.endsWith('/') ? base : `${base}/`;
  return {
    name: base,
    list: async () => [...paths].sort(),
    open: async (path) => {
      checkRelativePath(base, path);
      return httpSource(root + path.split('/').map(encodeURIComponent).join('/'), options);
    },
  };
}

function wholeSource(url: string, bytes: Uint8Array<ArrayBuffer>): ByteSource {
  return {
    name: url,
    size: bytes.length,
    read: async (offset, length, signal) => {
      signal?.throwIfAborted();
      checkRange(url, bytes.length, offset, length);
      return bytes.slice(offset, offset + length);
    },
  };
}

/** One request, repeated while the network or the server fails. Gives 200, 206 or 416. */
async function request(
  url: string,
  headers: Record<string, string>,
  options: HttpOptions,
  signal: AbortSignal | undefined,
  method = 'GET',
): Promise<Response> {
  const attempts = 1 + (options.retries ?? 3);
  for (let attempt = 1; ; attempt++) {
    let problem: string;
    let cause: unknown;
    try {
      const send = options.fetch ?? fetch;
      const response = await send(url, {
        method,
        headers: { ...options.headers, ...headers },
        ...(signal ? { signal } : {}),
      });
      if (response.status === 200 || response.status === 206 || response.status === 416) return response;
      await response.body?.cancel();
      problem = `status ${response.status} ${response.statusText}`.trimEnd();
      if (response.status === 404 || response.status === 410) {
        throw new NotFoundError(`${url}: must be on the server: ${problem}`);
      }
      if (response.status < 500 && response.status !== 429 && response.status !== 408) {
        throw new TabditError('network', `${url}: the server must give the file: ${problem}`);
      }
    } catch (error) {
      if (error instanceof TabditError) throw error;
      signal?.throwIfAborted();
      problem = messageOf(error);
      cause = error;
    }
    if (attempt === attempts) {
      throw new TabditError(
        'network',
        `${url}: the server must answer within ${attempts} attempts: ${problem}`,
        { cause },
      );
    }
    await wait((options.retryDelay ?? 500) * 2 ** (attempt - 1), signal);
  }
}

async function wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
  });
  signal?.throwIfAborted();
}

/** The first byte and the file's size from `Content-Range: bytes 0-65535/6200000`, where it can be seen. */
function contentRange(response: Response): { first: number; size: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return match ? { first: Number(match[1]), size: Number(match[2]) } : undefined;
}

async function headLength(url: string, options: HttpOptions): Promise<number> {
  const response = await request(url, {}, options, options.signal, 'HEAD');
  const length = response.headers.get('content-length');
  if (length === null || !/^\d+$/.test(length)) {
    throw new FormatError(
      `${url}: the server must tell the file's size: neither Content-Range nor Content-Length is there`,
    );
  }
  return Number(length);
}

async function readWhole(
  url: string,
  response: Response,
  options: HttpOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const limit = options.wholeLimit ?? defaultWholeLimit;
  const declared = Number(response.headers.get('content-length') ?? 0);
  const pieces: Uint8Array[] = [];
  let total = 0;
  const tooLarge = (): FormatError =>
    new FormatError(
      `${url}: the server must answer range requests for files above ${formatBytes(limit)}: it ignores them ` +
        `and the file has ${declared > limit ? formatBytes(declared) : 'more'}`,
    );
  if (declared > limit) {
    await response.body?.cancel();
    throw tooLarge();
  }
  for await (const piece of bodyOf(url, response)) {
    total += piece.length;
    if (total > limit) throw tooLarge(); // leaving the loop cancels the body
    pieces.push(piece);
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A body that must have exactly `length` bytes. */
async function readBody(url: string, response: Response, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for await (const piece of bodyOf(url, response)) {
    if (filled + piece.length > length) throw wrongLength(url, length, 'more');
    bytes.set(piece, filled);
    filled += piece.length;
  }
  if (filled !== length) throw wrongLength(url, length, String(filled));
  return bytes;
}

function wrongLength(url: string, length: number, got: string): TabditError {
  return new TabditError(
    'network',
    `${url}: the server must send the ${length} bytes asked for: ${got} came`,
  );
}

/** The pieces of a body; a connection that breaks on the way is a network error. */
async function* bodyOf(url: string, response: Response): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        if (error instanceof Error && error.name === 'AbortError') throw error;
        throw new TabditError(
          'network',
          `${url}: the connection must last until the end: ${messageOf(error)}`,
          {
            cause: error,
          },
        );
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
