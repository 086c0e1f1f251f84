/** CRC-32 against zlib's, at every length around its rounds of eight bytes, whole and in parts. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32 } from '../../src/core/crc32';
import { crc32 as pngCrc } from '../../src/formats/png/chunks';

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);

test('the check value of the catalogue', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
  expect(pngCrc(bytes)).toBe(crc32(bytes));
});

test('equals the trailer of a gzip file', () => {
  for (const length of [1, 7, 8, 9, 15, 16, 17, 100, 999, 1000]) {
    const part = bytes.subarray(0, length);
    expect(crc32(part), `${length} bytes`).toBe(gzipSync(part).readUInt32LE(gzipSync(part).length - 8));
  }
});

test('in two parts is the same as in one', () => {
  const whole = crc32(bytes);
  for (const at of [0, 1, 7, 8, 500, 999, 1000]) {
    expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at)))).toBe(whole);
  }
});
