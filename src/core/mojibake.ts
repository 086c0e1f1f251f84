/**
 * Repair of mojibake: UTF-8 that was decoded with a single-byte encoding, once or several times, as ftfy 6.3 does it
 * within fix_text. Where a text looks wrong (see mojibakeBadness.ts) it is encoded again with each encoding that has
 * all of its characters, and the first one whose bytes are UTF-8 is taken. What has no such encoding as a whole is
 * repaired in the places that look like UTF-8.
 *
 * Bytes are kept as strings of characters U+0000 to U+00FF, so that regular expressions work on them.
 */
import { looksMisdecoded } from './mojibakeBadness';
import { highHalves } from './mojibakeTables';

interface Encoding {
  readonly name: keyof typeof highHalves;
  /**
   * Byte 1A stands for U+FFFD: what the wrong decoder could not read, which these encodings with their holes leave
   * often. Otherwise it stands for itself.
   */
  readonly lossy: boolean;
}

/** In the order in which they are tried. */
const encodings: readonly Encoding[] = [
  { name: 'latin-1', lossy: false },
  { name: 'windows-1252', lossy: true },
  { name: 'windows-1251', lossy: true },
  { name: 'windows-1250', lossy: true },
  { name: 'windows-1253', lossy: true },
  { name: 'windows-1254', lossy: true },
  { name: 'windows-1257', lossy: true },
  { name: 'iso-8859-2', lossy: false },
  { name: 'mac-roman', lossy: false },
  { name: 'cp437', lossy: false },
];

const encoders = new Map<Encoding, ReadonlyMap<string, string>>();

/** Bytes by character. */
function encoderOf(encoding: Encoding): ReadonlyMap<string, string> {
  const known = encoders.get(encoding);
  if (known) return known;
  const bytes = new Map<string, string>();
  for (let byte = 0; byte < 0x100; byte++) {
    const own = String.fromCharCode(byte);
    bytes.set(byte < 0x80 ? own : highHalves[encoding.name].charAt(byte - 0x80), own);
  }
  if (encoding.lossy) {
    bytes.delete('\x1a');
    bytes.set('\ufffd', '\x1a');
  }
  encoders.set(encoding, bytes);
  return bytes;
}

/** Bytes of a text; null when the encoding lacks one of its characters. */
function encode(text: string, encoding: Encoding): string | null {
  const encoder = encoderOf(encoding);
  let bytes = '';
  for (let at = 0; at < text.length; at++) {
    const byte = encoder.get(text.charAt(at));
    if (byte === undefined) return null;
    bytes += byte;
  }
  return bytes;
}

/**
 * UTF-8 with byte 20 where A0 would be right: a program took the no-break space that byte A0 is in most encodings for a
 * space. Only where a likely character comes out: of the two-byte ones A0 and the letters à Š Π Р and U+0660; none of
 * three bytes that lies in little used scripts or among Chinese characters; of four bytes those that begin with F0.
 */
const spaced = new RegExp(
  [
    '[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9] ',
    '[\\xe2\\xe3] [\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]',
    '[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf] ',
    '\\xf0(?: [\\x80-\\xbf]{2}|[\\x80-\\xbf] [\\x80-\\xbf]|[\\x80-\\xbf]{2} )',
  ].join('|'),
  'g',
);

/**
 * The letter à, whose second byte is A0, as a word of its own: there the space is the one after the word as well. Not
 * before another space, nor where a Portuguese word begins or ends with it (às, àquele, àquela, àquilo).
 */
const graveWord = /\xc3 (?! |quele|quela|quilo|s )/g;

function restoreNoBreakSpaces(bytes: string): string {
  if (bytes.search(spaced) < 0) return bytes;
  return bytes
    .replace(graveWord, '\xc3\xa0 ')
    .replace(spaced, (sequence) => sequence.replaceAll(' ', '\xa0'));
}

/** Bytes of UTF-8 sequences of which some are lost (1A) or became one question mark, also of halves of a pair. */
const damaged = (() => {
  const lost = '[\\x1a?]';
  const maybe = '[\\x1a\\x80-\\xbf]';
  const low = '\\xed[\\xb0-\\xbf]';
  return new RegExp(
    [
      '[\\xc2-\\xdf]\\x1a|[\\xc2\\xc3]\\?',
      `\\xed[\\xa0-\\xaf](?:${lost}${low}[\\x1a?\\x80-\\xbf]|[\\x1a?\\x80-\\xbf]${low}${lost})`,
      `[\\xe0-\\xef](?:${lost}${maybe}|${maybe}${lost})`,
      `[\\xf0-\\xf4](?:${lost}${maybe}{2}|${maybe}${lost}${maybe}|${maybe}{2}${lost})`,
      '\\x1a',
    ].join('|'),
    'g',
  );
})();

/** U+FFFD in UTF-8. */
const replacement = '\xef\xbf\xbd';

/**
 * Bytes that common variants of UTF-8 have: U+0000 in two bytes, and characters beyond U+FFFF as two surrogates of three
 * bytes each. ftfy takes a line feed at the very end for the last byte of either, and so does this.
 */
const variants = /\xc0(?:\x80|\n$)|\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf]|\n$)/g;

function withoutVariants(bytes: string): string {
  return bytes.replace(variants, (whole, ...parts: string[]) => {
    if (whole.startsWith('\xc0')) return '\0';
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map((byte) => byte.charCodeAt(0));
    const code = 0x10000 + ((a & 15) << 16) + ((b & 63) << 10) + ((c & 15) << 6) + (d & 63);
    const tail = [12, 6, 0].map((shift) => 0x80 | ((code >> shift) & 63));
    return String.fromCharCode(0xf0 | (code >> 18), ...tail);
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes; null when they are none. */
function decodeUtf8(bytes: string): string | null {
  try {
    return utf8.decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** Text whose encoding was `encoding` though it should have been UTF-8; null when that cannot be. */
function decodeAgain(text: string, encoding: Encoding): string | null {
  let bytes = encode(text, encoding);
  if (bytes === null) return null;
  // in MacRoman, a dash and a space would match
  if (encoding.name !== 'mac-roman') bytes = restoreNoBreakSpaces(bytes);
  if (encoding.lossy) bytes = bytes.replace(damaged, replacement);
  return decodeUtf8(withoutVariants(bytes));
}

/** Encodings that are like Latin-1, with letters from C0 on. */
const latinLike = encodings.slice(0, 7);

/** Characters that stand for one of these bytes in an encoding like Latin-1, as the inside of a class. */
function standingFor(from: number, to: number, except = ''): string {
  const all = latinLike.flatMap(({ name }) => [...highHalves[name].slice(from - 0x80, to - 0x7f)]);
  return [...new Set(all)].filter((character) => !except.includes(character)).join('');
}

/** Likely UTF-8 in a wrong encoding, not right after a byte that continues a sequence. */
const embedded = (() => {
  const follow = `[${standingFor(0x80, 0xbf)} ]`;
  // dashes, quotation marks, bullet and ellipsis stand next to such sequences in their own right
  const strict = `[${standingFor(0x80, 0xbf, '–—―‘’‚“”„•…')}]`;
  const two = `[${standingFor(0xc2, 0xdf)}]${follow}`;
  const three = `[${standingFor(0xe0, 0xef)}]${follow}{2}`;
  const four = `[${standingFor(0xf0, 0xf0)}${standingFor(0xf3, 0xf3)}]${follow}{3}`;
  return new RegExp(`(?<!${strict})(?:${two}|${three}|${four})+`, 'gu');
})();

/** Control characters of Latin-1 as what Windows-1252 has in their place. */
function withoutControls(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (control) =>
    highHalves['windows-1252'].charAt(control.charCodeAt(0) - 0x80),
  );
}

function repairOnce(text: string): string {
  if (!looksMisdecoded(text)) return text;
  for (const encoding of encodings) {
    const decoded = decodeAgain(text, encoding);
    if (decoded !== null) return decoded;
  }
  const inner = text.replace(embedded, (part) =>
    part !== text && looksMisdecoded(part) ? repairMojibake(part) : part,
  );
  return inner === text ? withoutControls(text) : inner;
}

/** The line with its encoding repaired, as often as it takes; as it is when nothing looks wrong. */
export function repairMojibake(line: string): string {
  for (let text = line; ;) {
    const before = text;
    text = repairOnce(text);
    if (text === before) return text;
  }
}
