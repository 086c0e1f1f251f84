/**
 * HTML character references to text, as Python's `html.unescape` does it: captions reach the tokenizer through that
 * function, so its corner cases count, also where the HTML standard parses otherwise.
 */
import { bareEntityNames, entityTable } from './htmlEntities';

let entities: Map<string, string> | undefined;

/** Every name, with its semicolon where it needs one, and what it stands for. */
export function htmlEntities(): ReadonlyMap<string, string> {
  if (entities) return entities;
  entities = new Map();
  for (const item of entityTable.trim().split(/\s+/)) {
    const [name = '', codes = ''] = item.split('=');
    const points = codes.split('+').map((code) => parseInt(code, 16));
    entities.set(`${name};`, String.fromCodePoint(...points));
  }
  for (const name of bareEntityNames.trim().split(/\s+/)) entities.set(name, entities.get(`${name};`) ?? '');
  return entities;
}

/** What numbers 0x80 to 0x9F mean: the characters of Windows-1252; five have none and stay control characters. */
const windows1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

/** Text of a numeric reference. */
export function characterOf(code: number): string {
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return '\ufffd';
  if (code === 0x0d) return '\r';
  if (code >= 0x80 && code <= 0x9f) return windows1252.charAt(code - 0x80);
  return isInvalid(code) ? '' : String.fromCodePoint(code);
}

/** Controls and noncharacters, which Python drops. */
function isInvalid(code: number): boolean {
  return (
    (code >= 1 && code <= 8) ||
    code === 0x0b ||
    (code >= 0x0e && code <= 0x1f) ||
    (code >= 0x7f && code <= 0x9f) ||
    (code >= 0xfdd0 && code <= 0xfdef) ||
    (code & 0xfffe) === 0xfffe
  );
}

/** Replaces every character reference once: `&amp;lt;` becomes `&lt;`. */
export function unescapeHtml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#(?:([0-9]+)|[xX]([0-9a-fA-F]+));?|([^\t\n\f <&#;]{1,32};?))/gu,
    (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
      if (decimal !== undefined) return characterOf(Number(decimal));
      if (hex !== undefined) return characterOf(parseInt(hex, 16));
      return name === undefined ? whole : namedReference(name);
    },
  );
}

/** The text of `&name`: the name itself, else its longest beginning that counts without a semicolon. */
function namedReference(name: string): string {
  const table = htmlEntities();
  const exact = table.get(name);
  if (exact !== undefined) return exact;
  for (let length = name.length - 1; length > 1; length--) {
    const found = table.get(name.slice(0, length));
    if (found !== undefined) return found + name.slice(length);
  }
  return `&${name}`;
}
