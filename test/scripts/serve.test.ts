/** The static file server behind `npm start` and the page tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Server } from '../../scripts/serve.mjs';
import { parseRange, serveFolder } from '../../scripts/serve.mjs';

describe('parseRange', () => {
  test.each([
    ['bytes=0-3', { start: 0, end: 3 }],
    ['bytes=4-', { start: 4, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-30', { start: 0, end: 9 }],
    ['bytes=8-100', { start: 8, end: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=5-4', 'unsatisfiable'],
    ['bytes=-', undefined],
    ['bytes=0-1,4-5', undefined],
    [undefined, undefined],
  ])('%s of 10 bytes', (header, expected) => {
    expect(parseRange(header, 10)).toEqual(expected);
  });
});

describe('serveFolder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tabdit-serve-'));
  const policy = "default-src 'self'; connect-src 'self'";
  let server: Server;

  beforeAll(async () => {
    mkdirSync(join(folder, 'site'));
    writeFileSync(join(folder, 'secret.txt'), 'secret');
    writeFileSync(
      join(folder, 'site', 'index.html'),
      `<meta http-equiv="Content-Security-Policy" content="${policy}" />`,
    );
    writeFileSync(join(folder, 'site', 'data.bin'), '0123456789');
    writeFileSync(join(folder, 'site', 'empty.wasm'), '');
    server = await serveFolder(join(folder, 'site'), {
      policy: (text) => text.replace('connect-src', 'connect-src http://127.0.0.1:1'),
    });
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  test('sends files whole and in ranges', async () => {
    const whole = await fetch(`${server.url}data.bin`);
    expect([whole.status, await whole.text()]).toEqual([200, '0123456789']);
    expect(whole.headers.get('accept-ranges')).toBe('bytes');
    const part = await fetch(`${server.url}data.bin`, { headers: { range: 'bytes=2-4' } });
    expect([part.status, await part.text()]).toEqual([206, '234']);
    expect(part.headers.get('content-range')).toBe('bytes 2-4/10');
    const beyond = await fetch(`${server.url}data.bin`, { headers: { range: 'bytes=10-' } });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    const head = await fetch(`${server.url}data.bin`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '10']);
    const empty = await fetch(`${server.url}empty.wasm`);
    expect([empty.status, empty.headers.get('content-type'), await empty.text()]).toEqual([
      200,
      'application/wasm',
      '',
    ]);
  });

  test('sends the policy with everything, changed as asked', async () => {
    const changed = "default-src 'self'; connect-src http://127.0.0.1:1 'self'";
    const page = await fetch(server.url);
    expect(await page.text()).toContain(`content="${changed}"`);
    const data = await fetch(`${server.url}data.bin`);
    expect(data.headers.get('content-security-policy')).toBe(changed);
  });

  test('refuses what is not there, outside or not a read', async () => {
    expect((await fetch(`${server.url}nothing`)).status).toBe(404);
    expect((await fetch(`${server.url}..%2fsecret.txt`)).status).toBe(403);
    expect((await fetch(`${server.url}%`)).status).toBe(400);
    expect((await fetch(server.url, { method: 'POST' })).status).toBe(405);
  });

  test('takes the next free port, and says when there is none', async () => {
    const next = await serveFolder(folder, { port: server.port, tries: 5 });
    expect(next.port).toBeGreaterThan(server.port);
    await next.close();
    await expect(serveFolder(folder, { port: server.port })).rejects.toThrow(
      `server: a free port on 127.0.0.1 is needed: ${server.port}:`,
    );
  });
});
