/**
 * A small static file server for the built page, used by `npm start` and by the page tests: one folder, GET and
 * HEAD, byte ranges (one per request), the page's content security policy also as a header, so that workers obey it
 * too (a <meta> reaches the document only).
 */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, resolve, sep } from 'node:path';

/** @type {Record<string, string>} */
const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.webp': 'image/webp',
};

/**
 * @typedef {{ url: string, port: number, close: () => Promise<void> }} Server `url` ends with a slash
 * @typedef {{ port?: number, tries?: number, policy?: (policy: string) => string }} ServeOptions `port`: the first
 *   one to try, 0 for any free one; `tries`: how many ports from there; `policy`: changes the content security policy
 */

/**
 * The bytes asked for by a Range header.
 *
 * @param {string | undefined} header
 * @param {number} size of the file in bytes
 * @returns {{ start: number, end: number } | 'unsatisfiable' | undefined} `end` inclusive; undefined: send all
 */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return first > last ? 'unsatisfiable' : { start: first, end: last };
}

const policyPattern = /(http-equiv="Content-Security-Policy"\s+content=")([^"]*)(")/;

/**
 * Serves a folder on 127.0.0.1.
 *
 * @param {string} folder
 * @param {ServeOptions} [options]
 * @returns {Promise<Server>}
 * @throws {Error} when no port can be had
 */
export async function serveFolder(folder, { port = 0, tries = 1, policy = (text) => text } = {}) {
  const root = resolve(folder);

  /** @returns {Promise<string | undefined>} the policy that index.html states */
  async function statedPolicy() {
    const html = await readFile(join(root, 'index.html'), 'utf8').catch(() => '');
    return policyPattern.exec(html)?.[2];
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async function answer(request, response) {
    /** @param {number} status */
    const refuse = (status) => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${status}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405);
    let path;
    try {
      path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    } catch {
      return refuse(400);
    }
    let file = resolve(root, `.${path}`);
    if (file !== root && !file.startsWith(root + sep)) return refuse(403);
    let info = await stat(file).catch(() => undefined);
    if (info?.isDirectory()) {
      file = join(file, 'index.html');
      info = await stat(file).catch(() => undefined);
    }
    if (!info?.isFile()) return refuse(404);

    /** @type {Record<string, string | number>} */
    const headers = {
      'accept-ranges': 'bytes',
      'cache-control': 'no-cache',
      'content-type': types[extname(file)] ?? 'application/octet-stream',
      'last-modified': info.mtime.toUTCString(),
      'x-content-type-options': 'nosniff',
    };
    const stated = await statedPolicy();
    if (stated) headers['content-security-policy'] = policy(stated);

    if (extname(file) === '.html') {
      const html = await readFile(file, 'utf8');
      const changed = html.replace(policyPattern, (_, head, text, tail) => `${head}${policy(text)}${tail}`);
      const body = Buffer.from(changed);
      response.writeHead(200, { ...headers, 'content-length': body.length });
      response.end(request.method === 'HEAD' ? undefined : body);
      return;
    }

    const range = parseRange(request.headers.range, info.size);
    if (range === 'unsatisfiable') {
      response.writeHead(416, { 'content-range': `bytes */${info.size}` }).end();
      return;
    }
    const start = range?.start ?? 0;
    const end = range?.end ?? info.size - 1;
    headers['content-length'] = end - start + 1;
    if (range) headers['content-range'] = `bytes ${start}-${end}/${info.size}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === 'HEAD' || info.size === 0) {
      response.end();
      return;
    }
    const stream = createReadStream(file, { start, end });
    stream.on('error', () => response.destroy());
    response.on('close', () => stream.destroy());
    stream.pipe(response);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  for (let i = 0; ; i += 1) {
    const wanted = port === 0 ? 0 : port + i;
    /** @type {NodeJS.ErrnoException | undefined} */
    const problem = await new Promise((done) => {
      server.once('error', done);
      server.listen(wanted, '127.0.0.1', () => {
        server.off('error', done);
        done(undefined);
      });
    });
    if (!problem) break;
    const last = i + 1 >= tries;
    if (last || (problem.code !== 'EADDRINUSE' && problem.code !== 'EACCES')) {
      const range = last && tries > 1 ? `${port} to ${wanted}` : `${wanted}`;
      throw new Error(`server: a free port on 127.0.0.1 is needed: ${range}: ${problem.message}`);
    }
  }
  const address = server.address();
  const actual = typeof address === 'object' && address ? address.port : port;
  return {
    url: `http://127.0.0.1:${actual}/`,
    port: actual,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
