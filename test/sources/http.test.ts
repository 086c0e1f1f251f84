import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FormatError, NotFoundError, TabditError } from '../../src/core/errors';
import { encodeSafetensors, floatTensor } from '../../src/formats/safetensors/writer';
import { readSafetensors } from '../../src/formats/safetensors/reader';
import { loadFloats } from '../../src/formats/tensorFile';
import { httpFolder, httpSource } from '../../src/sources/http';

const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251);
type Handler = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let base: string;
let handler: Handler;
let log: string[];

/** A server of `bytes` that understands ranges; `change` may alter each response's headers. */
const ranged =
  (bytes: Uint8Array, change: (headers: Record<string, string>) => void = () => {}): Handler =>
  (request, response) => {
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const headers: Record<string, string> = { 'content-length': String(bytes.length), etag: '"1"' };
    if (!match || request.method === 'HEAD') {
      change(headers);
      response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : bytes);
      return;
    }
    const first = Number(match[1]);
    const end = Math.min(Number(match[2]) + 1, bytes.length);
    if (first >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    headers['content-length'] = String(end - first);
    headers['content-range'] = `bytes ${first}-${end - 1}/${bytes.length}`;
    change(headers);
    response.writeHead(206, headers).end(bytes.subarray(first, end));
  };

beforeAll(async () => {
  server = createServer((request, response) => {
    log.push(`${request.method ?? ''} ${request.url ?? ''} ${request.headers.range ?? ''}`.trim());
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  log = [];
});

const quick = { retryDelay: 1 };

describe('web sources', () => {
  it('reads ranges, the beginning from what opening fetched', async () => {
    handler = ranged(content);
    const source = await httpSource(`${base}/a`);
    expect([source.name, source.size]).toEqual([`${base}/a`, 200_000]);
    expect(await source.read(100, 50)).toEqual(content.slice(100, 150));
    expect(await source.read(65_000, 1000)).toEqual(content.slice(65_000, 66_000));
    expect(await source.read(199_990, 10)).toEqual(content.slice(199_990));
    await expect(source.read(199_990, 11)).rejects.toThrow(FormatError);
    expect(log).toEqual(['GET /a bytes=0-65535', 'GET /a bytes=65000-65999', 'GET /a bytes=199990-199999']);
  });

  it('needs one request for a small file', async () => {
    const values = Float32Array.of(1, 2, 3);
    handler = ranged(encodeSafetensors([floatTensor('a', [3], values)]));
    const source = await httpSource(`${base}/s`);
    const file = await readSafetensors(source);
    const entry = file.tensors.get('a');
    expect(entry && (await loadFloats(source, entry))).toEqual(values);
    expect(log.length).toBe(1);
  });

  it('opens an empty file', async () => {
    handler = ranged(new Uint8Array(0));
    const source = await httpSource(`${base}/e`);
    expect(source.size).toBe(0);
    await expect(source.read(0, 1)).rejects.toThrow(FormatError);
  });

  it('asks HEAD where Content-Range is hidden', async () => {
    handler = ranged(content, (headers) => delete headers['content-range']);
    const source = await httpSource(`${base}/h`);
    expect(source.size).toBe(200_000);
    expect(await source.read(150_000, 5)).toEqual(content.slice(150_000, 150_005));
    expect(log).toEqual(['GET /h bytes=0-65535', 'HEAD /h', 'GET /h bytes=150000-150004']);
  });

  it('takes a small file whole from a server without ranges, and refuses a large one', async () => {
    handler = (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
    const source = await httpSource(`${base}/w`);
    expect(await source.read(150_000, 5)).toEqual(content.slice(150_000, 150_005));
    expect(log.length).toBe(1);
    await expect(httpSource(`${base}/w`, { wholeLimit: 100_000 })).rejects.toThrow(
      'the server must answer range requests for files above 100 kB: it ignores them and the file has 200 kB',
    );
    handler = (_, response) => response.writeHead(200).end(content); // chunked: no length told
    await expect(httpSource(`${base}/w`, { wholeLimit: 100_000 })).rejects.toThrow(
      'it ignores them and the file has more',
    );
  });

  it('repeats after failures, then gives up', async () => {
    let failures = 2;
    handler = (request, response) => {
      if (failures-- > 0) response.writeHead(failures ? 503 : 429).end();
      else ranged(content)(request, response);
    };
    expect((await httpSource(`${base}/r`, quick)).size).toBe(200_000);
    failures = 99;
    const thrown: unknown = await httpSource(`${base}/r`, quick).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(TabditError);
    expect((thrown as TabditError).code).toBe('network');
    expect((thrown as TabditError).message).toContain('within 4 attempts: status 503');
    handler = (request) => request.socket.destroy();
    await expect(httpSource(`${base}/r`, { ...quick, retries: 1 })).rejects.toThrow('within 2 attempts');
    expect(log.length).toBe(3 + 4 + 2);
  });

  it('says what is not there or not allowed, at once', async () => {
    handler = (_, response) => response.writeHead(404).end();
    await expect(httpSource(`${base}/n`, quick)).rejects.toThrow(NotFoundError);
    handler = (_, response) => response.writeHead(401, 'Unauthorized').end();
    await expect(httpSource(`${base}/n`, quick)).rejects.toThrow('the server must give the file: status 401');
    expect(log.length).toBe(2);
  });

  it('notices a file that changes or breaks off', async () => {
    let etag = '"1"';
    handler = ranged(content, (headers) => {
      headers['etag'] = etag;
    });
    const source = await httpSource(`${base}/c`, quick);
    etag = '"2"';
    await expect(source.read(100_000, 10)).rejects.toThrow('must stay the same file and answer ranges');
    etag = '"1"';
    handler = ranged(content.subarray(1));
    await expect(source.read(100_000, 10)).rejects.toThrow(FormatError);
    handler = (_, response) => response.writeHead(200).end(content);
    await expect(source.read(100_000, 10)).rejects.toThrow('got status 200, no range');
    handler = (_, response) => {
      response.writeHead(206, { 'content-length': 10, 'content-range': 'bytes 100000-100009/200000' });
      response.write(content.subarray(0, 5), () => response.destroy());
    };
    await expect(source.read(100_000, 10)).rejects.toThrow('the connection must last until the end');
    handler = (_, response) =>
      response.writeHead(206, { 'content-range': 'bytes 100000-100004/200000' }).end(content.subarray(0, 5));
    await expect(source.read(100_000, 10)).rejects.toThrow('must send the 10 bytes asked for: 5 came');
    handler = (_, response) => response.writeHead(206, {}).end(content.subarray(0, 50));
    await expect(source.read(100_000, 10)).rejects.toThrow('must send the 10 bytes asked for: more came');
  });

  it('stops when asked', async () => {
    handler = ranged(content);
    const source = await httpSource(`${base}/s`);
    const stop = new AbortController();
    handler = () => stop.abort();
    await expect(source.read(100_000, 10, stop.signal)).rejects.toThrow(/abort/i);
    const waiting = new AbortController();
    handler = (_, response) => {
      response.writeHead(503).end();
      setTimeout(() => waiting.abort(), 20);
    };
    const started = performance.now();
    await expect(source.read(100_000, 10, waiting.signal)).rejects.toThrow(/abort/i);
    expect(performance.now() - started).toBeLessThan(450);
  });

  it('serves a folder, with headers', async () => {
    const seen: (string | undefined)[] = [];
    handler = (request, response) => {
      seen.push(request.headers.authorization);
      ranged(content)(request, response);
    };
    const folder = httpFolder(`${base}/models/m`, ['b c.txt', 'a.bin'], {
      headers: { Authorization: 'Bearer x' },
    });
    expect(await folder.list()).toEqual(['a.bin', 'b c.txt']);
    expect((await folder.open('sub/b c#.txt')).size).toBe(200_000);
    expect(log).toEqual(['GET /models/m/sub/b%20c%23.txt bytes=0-65535']);
    expect(seen).toEqual(['Bearer x']);
    await expect(folder.open('../secret')).rejects.toThrow(FormatError);
  });
});
