/**
 * Text repair as ftfy's fix_text does it by default, which the reference runs before it tokenizes or cleans a text.
 * Line by line, each until nothing changes: HTML references, wrong encoding, C1 controls, ligatures, full and half
 * width, curled quotes, line breaks, surrogates, terminal escapes, control characters, NFC.
 *
 * The repair of text that was decoded with the wrong encoding is a function that the caller gives (see mojibake.ts).
 */
import { characterOf, htmlEntities, unescapeHtml } from './html';

/** Repairs one line that may have been decoded wrongly; gives others back as they are. */
export type EncodingRepair = (line: string) => string;

/** The whole repair. */
export function fixText(text: string, repairEncoding: EncodingRepair = (line) => line): string {
  let out = '';
  let references = true; // until a line holds markup
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at) + 1 || text.length;
    const line = text.slice(at, end);
    if (line.includes('<')) references = false;
    out += fixLine(line, references, repairEncoding);
    at = end;
  }
  return out;
}

function fixLine(line: string, references: boolean, repairEncoding: EncodingRepair): string {
  for (let text = line; ;) {
    const before = text;
    if (references) text = unescapeReferences(text);
    text = fixCharacters(repairEncoding(text)).normalize('NFC');
    if (text === before) return text;
  }
}

let capitals: Map<string, string> | undefined;

/** References that are Latin letters' and signs' names in capitals, such as `EACUTE;`. */
function capitalEntities(): Map<string, string> {
  if (capitals) return capitals;
  capitals = new Map();
  for (const [name, text] of htmlEntities()) {
    const upper = name.toUpperCase();
    const isPlain = name.endsWith(';') && name === name.toLowerCase();
    if (isPlain && unescapeHtml(`&${upper}`) === `&${upper}`) capitals.set(upper, text.toUpperCase());
  }
  return capitals;
}

/** Only whole references, with their semicolon. */
function unescapeReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(#?[0-9A-Za-z]{1,24};)/g, (whole, name: string) => {
    const known = htmlEntities().get(name) ?? capitalEntities().get(name);
    if (known !== undefined) return known;
    if (!name.startsWith('#')) return whole;
    const plain = unescapeHtml(whole);
    return plain.includes(';') ? whole : plain;
  });
}

const ligatures: Readonly<Record<string, string>> = {
  ...{
    Ĳ: 'IJ',
    ĳ: 'ij',
    ŉ: 'ʼn',
    Ǳ: 'DZ',
    ǲ: 'Dz',
    ǳ: 'dz',
    Ǆ: 'DŽ',
    ǅ: 'Dž',
    ǆ: 'dž',
    Ǉ: 'LJ',
    ǈ: 'Lj',
    ǉ: 'lj',
  },
  ...{ Ǌ: 'NJ', ǋ: 'Nj', ǌ: 'nj', ﬀ: 'ff', ﬁ: 'fi', ﬂ: 'fl', ﬃ: 'ffi', ﬄ: 'ffl', ﬅ: 'ſt', ﬆ: 'st' },
};
const ligaturePattern = new RegExp(`[${Object.keys(ligatures).join('')}]`, 'g');

/** Inside of a class: the control characters and invisible marks that are removed. */
const controls = '\\0-\\x08\\x0b\\x0e-\\x1f\\x7f\\u206a-\\u206f\\ufeff\\ufff9-\\ufffc';
const controlPattern = new RegExp(`[${controls}]`, 'g');
const escapeCode = '\\x1b';
const terminalPattern = new RegExp(`${escapeCode}\\[[\\p{Nd};]*[a-zA-Z]`, 'gu');

/** The steps that look at characters only, in ftfy's order. */
function fixCharacters(text: string): string {
  if (/^[\x20-\x7e\n]*$/.test(text)) return text;
  return text
    .replace(/[\x80-\x9f]/g, (control) => characterOf(control.charCodeAt(0)))
    .replace(ligaturePattern, (ligature) => ligatures[ligature] ?? ligature)
    .replace(/[\u3000\uff01-\uffef]/g, (wide) => wide.normalize('NFKC'))
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(/\r\n?|[\u2028\u2029\x85]/g, '\n')
    .replace(/[\ud800-\udfff]/gu, '\ufffd') // with u: lone ones only
    .replace(terminalPattern, '')
    .replace(controlPattern, '');
}
