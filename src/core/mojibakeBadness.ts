/**
 * Whether a text looks as if it had been decoded wrongly: whether it holds characters side by side that hardly any
 * writing puts there. The rules are those of ftfy 6.3's badness heuristic, so that the same texts are repaired; a few
 * hundred characters occur in text of a wrong encoding, and a rule is a row of their classes.
 */
import { characterClasses } from './mojibakeTables';
import { pythonSpace } from './whitespace';

const { bad, common, law, currency, opening, closing, numeric, faces, box } = characterClasses;
const { upperAccented: upper, lowerAccented: lower, upperCommon, lowerCommon } = characterClasses;
const controls = '\\x80-\\x9f';
const latin = 'A-Za-z';

/** What is odd next to a bad character, on either side. */
const odd = lower + upper + box + opening + closing + currency + numeric + law;

/** Second bytes of Arabic in UTF-8, read as Windows-1252; frequent signs among them, so one pair proves nothing. */
const arabic = `${common}${currency}${bad}${numeric}${opening}ŸŠ®°µ»`;

/** Each row: the classes that characters in a row must belong to, as insides of character classes. */
const rows: readonly (readonly string[])[] = [
  // by class
  [controls],
  [bad + odd, bad],
  [bad, odd],
  [latin, lowerCommon + upperCommon, bad],
  [lower + lowerCommon + box + closing + currency + numeric, upper],
  [box + closing + currency + numeric, lower],
  [lower + box + closing, currency],
  [pythonSpace, upper, currency],
  ['a-z', upper, opening + currency],
  [upper + box, numeric + law],
  [currency + numeric + box, opening],
  [lower + upper + box + currency + closing, opening, numeric],
  [lower + upper + box + currency + numeric + law, closing, opening],
  [lower + upper, opening + closing, '\\p{L}\\p{N}_'],
  [lower + upper + opening + closing + currency + numeric + law, box],
  [box, faces + closing],
  [upper, '°'],
  ['Œœ', `^${latin}`],
  // UTF-8 as Windows-1252: Latin letters and signs, then Arabic, then scripts of South Asia
  ['ÂÃÎÐ', `€œŠš¢£Ÿž\\xa0\\xad®©°·»–—´${opening}${closing}`],
  ['Ã', '\\xa0¡'],
  ['×', '²³'],
  ['ØÙ', arabic, 'ØÙ', arabic],
  ['à', '²µ¹¼½¾'],
  // the same where spaces were made of no-break spaces
  ['a-z', 'ÂÃ', ' '],
  ['a-z', pythonSpace, 'ÂÃ', ' '],
  [`a-z.,?!${closing}`, 'Â', ` ${opening}${closing}`],
  // as MacRoman
  ['√', '±∂†≠®™´≤≥¥µø'],
  ['≈', '°¢'],
  ['‚', 'Ä', 'ìîïòôúùû†°¢π'],
  ['‚', 'âó', 'àä°ê'],
  // as Windows-1251: punctuation, letters, and Windows-1252 upon that
  ['в', 'Ђ'],
  ['ВГРС', `${controls}${bad}${opening}${closing}${currency}°µ`, 'ВГРС'],
  ['Г', 'ў', 'В', 'Ђ', 'В', '^\\n', `${latin} `],
  // as Windows-1253: the same
  ['β', '€', '™\\xa0Ά\\xad®°'],
  ['ΒΓΞΟ', `${controls}${bad}${opening}${closing}${currency}°`, 'ΒΓΞΟ'],
  // as Windows-1257
  ['ā', '€'],
];

/** A lone letter at the very start, whose no-break space became a space. */
const atStart = '^[ÂÃ] ';

const pattern = new RegExp(
  [...rows.map((row) => row.map((inside) => `[${inside}]`).join('')), atStart].join('|'),
  'u',
);

/** Whether at least one of the rules applies. Text of ASCII alone never does. */
export function looksMisdecoded(text: string): boolean {
  return pattern.test(text);
}
