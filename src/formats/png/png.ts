/**
 * PNG pictures: 8-bit RGB and RGBA out, any non-interlaced 8-bit kind in. No canvas, so the same in the page, in its
 * worker and in Node, and the same pixels give the same bytes (on one platform's zlib).
 *
 * A picture can carry its settings as JSON in a text chunk `tabdit`: tEXt where it is plain ASCII, iTXt (UTF-8)
 * otherwise, before the pixels so that reading it needs the beginning of the file only.
 */
import { FormatError, InputError } from '../../core/errors';
import { joinChunks, splitChunks } from './chunks';
import type { PngChunk } from './chunks';
import { deflate, inflate, inflateUpTo } from './deflate';
import { filterLines, unfilterLines } from './filters';

/** A picture of 8-bit samples: rows from the top, pixels from the left, channels together. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** 3: red, green, blue. 4: and alpha, not multiplied in. */
  readonly channels: 3 | 4;
  /** width x height x channels bytes. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A decoded file: its picture, and its text chunks by keyword. */
export interface DecodedPng {
  readonly picture: Picture;
  readonly texts: ReadonlyMap<string, string>;
}

/** Keyword of the chunk with the settings. */
export const settingsKeyword = 'tabdit';

/** Largest picture that is decoded: 2^26 pixels (256 MiB as RGBA). */
export const maxPixels = 2 ** 26;
const maxTextBytes = 16 * 1024 * 1024;

/**
 * Encodes a picture.
 * @param settings any JSON value, stored under `tabdit`
 * @throws InputError when sizes do not fit each other
 */
export async function encodePng(picture: Picture, settings?: unknown): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, channels, data } = picture;
  const whole = Number.isInteger(width) && Number.isInteger(height) && width >= 1 && height >= 1;
  if (!whole || width * height > maxPixels || data.length !== width * height * channels) {
    throw new InputError(
      `PNG: a picture must have 1 to ${maxPixels} pixels and one byte per channel: ` +
        `${width} x ${height} x ${channels} with ${data.length} bytes`,
    );
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 3 ? 2 : 6, 0, 0, 0], 8); // bit depth, colour type, zlib, filters, no interlace
  const lines = filterLines(data, height, width * channels, channels);
  const chunks: PngChunk[] = [{ type: 'IHDR', data: header }];
  if (settings !== undefined) chunks.push(textChunk(settingsKeyword, JSON.stringify(settings)));
  chunks.push({ type: 'IDAT', data: await deflate(lines) }, { type: 'IEND', data: new Uint8Array(0) });
  return joinChunks(chunks);
}

function textChunk(keyword: string, text: string): PngChunk {
  const ascii = /^[\x20-\x7e\n]*$/.test(text);
  // iTXt: keyword, 0, not compressed, method 0, no language, no translated keyword, UTF-8 text.
  const joined = ascii ? `${keyword}\0${text}` : `${keyword}\0\0\0\0\0${text}`;
  return { type: ascii ? 'tEXt' : 'iTXt', data: new TextEncoder().encode(joined) };
}

/**
 * Decodes a picture: gray, gray with alpha, RGB, RGBA or palette of 8 bits (palettes also of 1, 2 and 4), not
 * interlaced. Gray becomes RGB; transparency (alpha, or tRNS) gives 4 channels.
 * @param name the file's, for messages
 * @throws FormatError when the file is damaged or of another kind
 */
export async function decodePng(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<DecodedPng> {
  const chunks = splitChunks(name, bytes);
  const header = readHeader(name, chunks);
  const pieces = chunks.filter((chunk) => chunk.type === 'IDAT').map((chunk) => chunk.data);
  if (pieces.length === 0)
    throw new FormatError(`${name}: PNG: must have pixels in IDAT chunks: there is none`);
  const unknown = chunks.find((chunk) => /^[A-Z]/.test(chunk.type) && !knownChunks.includes(chunk.type));
  if (unknown)
    throw new FormatError(`${name}: PNG: must have no critical chunk but the standard ones: ${unknown.type}`);

  const { width, height, samples, depth } = header;
  const lineBytes = Math.ceil((width * samples * depth) / 8);
  const step = Math.max(1, (samples * depth) / 8);
  const lines = await inflate(`${name}: PNG pixels`, pieces, height * (1 + lineBytes));
  const stored = unfilterLines(name, lines, height, lineBytes, step);
  return {
    picture: toPicture(name, header, stored, lineBytes, chunks),
    texts: await readTexts(name, chunks),
  };
}

/**
 * Only the settings of a picture, or undefined when it carries none.
 * @throws FormatError when the file is damaged or the settings are not JSON
 */
export async function readPngSettings(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<unknown> {
  const text = (await readTexts(name, splitChunks(name, bytes))).get(settingsKeyword);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FormatError(`${name}: PNG: the settings must be JSON: they are not`, { cause: error });
  }
}

const knownChunks = ['IHDR', 'PLTE', 'IDAT', 'IEND'];

interface Header {
  width: number;
  height: number;
  depth: number;
  /** 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA. */
  colour: number;
  /** Samples per stored pixel. */
  samples: number;
}

const samplesOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function readHeader(name: string, chunks: readonly PngChunk[]): Header {
  const first = chunks[0];
  if (first?.type !== 'IHDR' || first.data.length !== 13) {
    throw new FormatError(
      `${name}: PNG: must begin with an IHDR chunk of 13 bytes: ${first?.type ?? 'none'}`,
    );
  }
  const view = new DataView(first.data.buffer, first.data.byteOffset, 13);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const [depth = 0, colour = 0, zlib = 0, filter = 0, interlace = 0] = first.data.subarray(8);
  if (width === 0 || height === 0 || width * height > maxPixels) {
    throw new FormatError(`${name}: PNG: must have 1 to ${maxPixels} pixels: ${width} x ${height}`);
  }
  const samples = samplesOf[colour];
  if (samples === undefined || zlib !== 0 || filter !== 0 || interlace > 1) {
    throw new FormatError(
      `${name}: PNG: must be of a known kind: colour type ${colour}, compression ${zlib}, filter ${filter}, interlace ${interlace}`,
    );
  }
  if (interlace === 1) throw new FormatError(`${name}: PNG: must not be interlaced: it is (Adam7)`);
  const depths = colour === 3 ? [1, 2, 4, 8] : [8];
  if (!depths.includes(depth)) {
    throw new FormatError(
      `${name}: PNG: must have ${depths.join(', ')} bits per sample: ${depth} (colour type ${colour})`,
    );
  }
  return { width, height, depth, colour, samples };
}

function toPicture(
  name: string,
  header: Header,
  stored: Uint8Array<ArrayBuffer>,
  lineBytes: number,
  chunks: readonly PngChunk[],
): Picture {
  const { width, height, colour } = header;
  const transparent = chunks.find((chunk) => chunk.type === 'tRNS')?.data;
  const pixels = width * height;
  if (colour === 3) return fromPalette(name, header, stored, lineBytes, chunks, transparent);
  const channels = colour >= 4 || transparent ? 4 : 3;
  if (channels === 4 && colour === 6) return { width, height, channels, data: stored.slice() };
  if (channels === 3 && colour === 2) return { width, height, channels, data: stored.slice() };
  // tRNS of gray and RGB names one colour, as 16-bit samples, that is fully transparent.
  const key = colour < 4 && transparent ? transparent.filter((_, i) => i % 2 === 1) : undefined;
  const data = new Uint8Array(pixels * channels);
  for (let i = 0; i < pixels; i++) {
    const from = i * header.samples;
    const gray = colour === 0 || colour === 4;
    const red = stored[from] as number;
    const green = gray ? red : (stored[from + 1] as number);
    const blue = gray ? red : (stored[from + 2] as number);
    const to = i * channels;
    data[to] = red;
    data[to + 1] = green;
    data[to + 2] = blue;
    if (colour === 4) data[to + 3] = stored[from + 1] as number;
    else if (key) {
      const same = gray ? red === key[0] : red === key[0] && green === key[1] && blue === key[2];
      data[to + 3] = same ? 0 : 255;
    }
  }
  return { width, height, channels, data };
}

function fromPalette(
  name: string,
  { width, height, depth }: Header,
  stored: Uint8Array,
  lineBytes: number,
  chunks: readonly PngChunk[],
  transparent: Uint8Array | undefined,
): Picture {
  const palette = chunks.find((chunk) => chunk.type === 'PLTE')?.data;
  if (!palette || palette.length % 3 !== 0 || palette.length > 768) {
    throw new FormatError(
      `${name}: PNG: must have a palette of 1 to 256 colours: ${palette?.length ?? 0} bytes of PLTE`,
    );
  }
  const channels = transparent ? 4 : 3;
  const data = new Uint8Array(width * height * channels);
  const mask = (1 << depth) - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = stored[y * lineBytes + (bit >> 3)] as number;
      const index = (byte >> (8 - depth - (bit & 7))) & mask;
      if (index * 3 >= palette.length) {
        throw new FormatError(
          `${name}: PNG: pixels must name colours of the palette of ${palette.length / 3}: pixel (${x}, ${y}) names ${index}`,
        );
      }
      const to = (y * width + x) * channels;
      for (let c = 0; c < 3; c++) data[to + c] = palette[index * 3 + c] as number;
      if (transparent) data[to + 3] = transparent[index] ?? 255;
    }
  }
  return { width, height, channels, data };
}

/** tEXt (Latin-1), zTXt and iTXt chunks by keyword; the first of a keyword counts. */
async function readTexts(name: string, chunks: readonly PngChunk[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const { type, data } of chunks) {
    if (type !== 'tEXt' && type !== 'iTXt' && type !== 'zTXt') continue;
    const end = data.indexOf(0);
    if (end < 1) continue; // a keyword is at least one character
    const keyword = latin1(data.subarray(0, end));
    if (texts.has(keyword)) continue;
    const what = `${name}: PNG text ${JSON.stringify(keyword)}`;
    if (type === 'tEXt') texts.set(keyword, latin1(data.subarray(end + 1)));
    else if (type === 'zTXt') {
      texts.set(keyword, latin1(await inflateUpTo(what, data.slice(end + 2), maxTextBytes)));
    } else texts.set(keyword, await internationalText(what, data, end));
  }
  return texts;
}

/** Latin-1 text; TextDecoder's `latin1` is Windows-1252. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

async function internationalText(what: string, data: Uint8Array<ArrayBuffer>, end: number): Promise<string> {
  const compressed = data[end + 1] === 1;
  const languageEnd = data.indexOf(0, end + 3);
  const start = data.indexOf(0, languageEnd + 1) + 1;
  if (languageEnd < 0 || start === 0)
    throw new FormatError(`${what}: must have language and translated keyword: it is cut short`);
  const body = compressed ? await inflateUpTo(what, data.slice(start), maxTextBytes) : data.subarray(start);
  return new TextDecoder().decode(body);
}
