import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors';
import type { PngChunk } from '../../src/formats/png/chunks';
import { crc32, isPng, joinChunks, splitChunks } from '../../src/formats/png/chunks';
import { deflate } from '../../src/formats/png/deflate';
import { filterLines, unfilterLines } from '../../src/formats/png/filters';
import type { Picture } from '../../src/formats/png/png';
import { decodePng, encodePng, readPngSettings } from '../../src/formats/png/png';
import { pillow16, pillowCases, pillowTexts } from './pngCases';

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(base64, 'base64'));

/** A picture with flat, smooth and noisy parts, so that every filter is chosen somewhere. */
function testPicture(width: number, height: number, channels: 3 | 4): Picture {
  const data = new Uint8Array(width * height * channels);
  let noise = 1;
  for (let i = 0; i < data.length; i++) {
    noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
    const y = Math.floor(i / (width * channels));
    data[i] = y % 4 === 0 ? 77 : y % 4 === 1 ? noise >>> 24 : (i * 3 + y * y) & 0xff;
  }
  return { width, height, channels, data };
}

/** A PNG from header fields, raw filtered lines and further chunks. */
async function pngOf(
  fields: { width?: number; height?: number; kind?: number[] },
  lines: Uint8Array<ArrayBuffer>,
  extra: PngChunk[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, fields.width ?? 1);
  new DataView(header.buffer).setUint32(4, fields.height ?? 1);
  header.set(fields.kind ?? [8, 2, 0, 0, 0], 8);
  const idat = { type: 'IDAT', data: await deflate(lines) };
  return joinChunks([
    { type: 'IHDR', data: header },
    ...extra,
    idat,
    { type: 'IEND', data: new Uint8Array(0) },
  ]);
}

describe('PNG', () => {
  it('gives back what it encoded, in the same bytes each time', async () => {
    for (const [width, height, channels] of [
      [1, 1, 3],
      [64, 64, 3],
      [17, 31, 4],
      [1, 50, 4],
      [300, 1, 3],
    ] as const) {
      const picture = testPicture(width, height, channels);
      const bytes = await encodePng(picture);
      expect(await encodePng(picture)).toEqual(bytes);
      expect(isPng(bytes)).toBe(true);
      const { picture: back, texts } = await decodePng('p', bytes);
      expect(back).toEqual(picture);
      expect(texts.size).toBe(0);
    }
  });

  it.each([
    ['plain', { prompt: 'a fox', seed: '2024', steps: 30, guidance: 5 }, 'tEXt'],
    ['beyond ASCII', { prompt: 'ein Füchslein 🦊, "日本"\n' }, 'iTXt'],
    ['a list', [1, null, 'x'], 'tEXt'],
  ])('carries settings: %s', async (_, settings, type) => {
    const bytes = await encodePng(testPicture(3, 2, 3), settings);
    expect(splitChunks('p', bytes).map((chunk) => chunk.type)).toEqual(['IHDR', type, 'IDAT', 'IEND']);
    expect(await readPngSettings('p', bytes)).toEqual(settings);
    expect((await decodePng('p', bytes)).texts.get('tabdit')).toBe(JSON.stringify(settings));
    expect(await readPngSettings('p', await encodePng(testPicture(3, 2, 3)))).toBeUndefined();
  });

  it.each(pillowCases)('reads Pillow: %s', async (_, file, channels, pixels) => {
    const { picture } = await decodePng('p', bytesOf(file));
    expect({ ...picture, data: Buffer.from(picture.data).toString('base64') }).toEqual({
      width: 7,
      height: 6,
      channels,
      data: pixels,
    });
  });

  it('reads every kind of text', async () => {
    const { texts } = await decodePng('p', bytesOf(pillowTexts));
    expect(Object.fromEntries(texts)).toEqual({
      tabdit: '{"a": "b"}',
      z: 'packed é '.repeat(20),
      i: '日本 '.repeat(20),
      j: '日本',
    });
    expect(await readPngSettings('p', bytesOf(pillowTexts))).toEqual({ a: 'b' });
  });

  it('undoes each filter', () => {
    const picture = testPicture(9, 40, 3);
    const lines = filterLines(picture.data, 40, 27, 3);
    const used = new Set(Array.from({ length: 40 }, (_, y) => lines[y * 28]));
    expect(used.size).toBeGreaterThanOrEqual(4);
    expect(unfilterLines('p', lines, 40, 27, 3)).toEqual(picture.data);
    // One line of each rule over known neighbours: above 10 20 30 40, differences all 1.
    const expected = {
      0: [1, 1, 1, 1],
      1: [1, 2, 3, 4],
      2: [11, 21, 31, 41],
      3: [6, 14, 23, 32],
      4: [11, 21, 31, 41],
    };
    for (const [filter, line] of Object.entries(expected)) {
      const two = Uint8Array.of(0, 10, 20, 30, 40, Number(filter), 1, 1, 1, 1);
      expect([...unfilterLines('p', two, 2, 4, 1)].slice(4)).toEqual(line);
    }
  });

  it('knows CRC-32', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  it('refuses broken and unsupported files', async () => {
    const good = await encodePng(testPicture(5, 4, 3), { a: 1 });
    const refuse = async (bytes: Uint8Array<ArrayBuffer>, message: RegExp): Promise<void> => {
      const thrown: unknown = await decodePng('p.png', bytes).catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(FormatError);
      expect((thrown as FormatError).message).toMatch(/^p\.png: PNG/);
      expect((thrown as FormatError).message).toMatch(message);
    };
    const changed = (at: number, value: number): Uint8Array<ArrayBuffer> => {
      const copy = good.slice();
      copy[at] = value;
      return copy;
    };
    await refuse(new Uint8Array(0), /must begin with the PNG signature/);
    await refuse(new TextEncoder().encode('GIF89a'), /signature/);
    await refuse(good.slice(0, -12), /must end with an IEND chunk/);
    await refuse(good.slice(0, -20), /cut short/);
    await refuse(changed(20, 99), /chunk IHDR must have CRC [0-9a-f]{8}: the file says [0-9a-f]{8}/);
    await refuse(changed(12, 0x31), /four letters: "1HDR"/);
    await refuse(changed(8, 0xff), /must end inside the file/);
    const pixel = Uint8Array.of(0, 1, 2, 3);
    await refuse(await pngOf({ kind: [8, 2, 0, 0, 1] }, pixel), /must not be interlaced/);
    await refuse(await pngOf({ kind: [8, 5, 0, 0, 0] }, pixel), /known kind: colour type 5/);
    await refuse(await pngOf({ kind: [16, 2, 0, 0, 0] }, pixel), /8 bits per sample: 16/);
    await refuse(bytesOf(pillow16), /8 bits per sample: 16 \(colour type 0\)/);
    await refuse(await pngOf({ width: 0 }, pixel), /1 to 67108864 pixels: 0 x 1/);
    await refuse(await pngOf({ width: 2 ** 31, height: 2 ** 31 }, pixel), /pixels: 2147483648 x 2147483648/);
    await refuse(
      await pngOf({ width: 8192, height: 8192 }, pixel),
      /must hold 201334784 bytes: 12 compressed bytes cannot/,
    );
    await refuse(await pngOf({ height: 2 }, pixel), /must hold 8 bytes: it holds 4/);
    await refuse(await pngOf({}, Uint8Array.of(0, 1, 2, 3, 4)), /must hold 4 bytes: it holds more/);
    await refuse(await pngOf({}, Uint8Array.of(5, 1, 2, 3)), /filter must be 0 to 4: line 0 has 5/);
    await refuse(
      await pngOf({ kind: [8, 3, 0, 0, 0] }, Uint8Array.of(0, 0)),
      /palette of 1 to 256 colours: 0 bytes/,
    );
    const palette = { type: 'PLTE', data: Uint8Array.of(1, 2, 3) };
    await refuse(
      await pngOf({ kind: [8, 3, 0, 0, 0] }, Uint8Array.of(0, 1), [palette]),
      /palette of 1: pixel \(0, 0\) names 1/,
    );
    await refuse(await pngOf({}, pixel, [{ type: 'CGBI', data: new Uint8Array(0) }]), /standard ones: CGBI/);
    const end = { type: 'IEND', data: new Uint8Array(0) };
    await refuse(joinChunks([end]), /begin with an IHDR chunk/);
    await refuse(
      joinChunks([...splitChunks('p', good).filter((chunk) => chunk.type !== 'IDAT')]),
      /IDAT chunks: there is none/,
    );
    const damaged = splitChunks('p', good).map((chunk) =>
      chunk.type === 'IDAT'
        ? { type: 'IDAT', data: chunk.data.map((byte, i) => (i > 8 ? byte ^ 0x55 : byte)) }
        : chunk,
    );
    await refuse(joinChunks(damaged), /pixels/);
  });

  it('refuses settings that are no JSON, and pictures whose sizes differ', async () => {
    const text = { type: 'tEXt', data: new TextEncoder().encode('tabdit\0{nope') };
    const bytes = await pngOf({}, Uint8Array.of(0, 1, 2, 3), [text]);
    await expect(readPngSettings('p', bytes)).rejects.toThrow('the settings must be JSON');
    await expect(encodePng({ ...testPicture(2, 2, 3), width: 3 })).rejects.toThrow('3 x 2 x 3 with 12 bytes');
    await expect(encodePng({ width: 0, height: 1, channels: 3, data: new Uint8Array(0) })).rejects.toThrow(
      '1 to',
    );
  });

  it('holds a text that claims to be large to its limit', async () => {
    const packed = await deflate(new Uint8Array(17 * 1024 * 1024));
    const data = new Uint8Array(3 + packed.length);
    data.set([0x6b, 0, 0]);
    data.set(packed, 3);
    const bytes = await pngOf({}, Uint8Array.of(0, 1, 2, 3), [{ type: 'zTXt', data }]);
    await expect(decodePng('p', bytes)).rejects.toThrow('PNG text "k": must hold at most 16777216 bytes');
  });
});
