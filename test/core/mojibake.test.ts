/** Repair of wrongly decoded text. Each expected text is what ftfy 6.3.1 gives. */
import { describe, expect, it } from 'vitest';
import { fixText } from '../../src/core/fixText';
import { repairMojibake } from '../../src/core/mojibake';
import { looksMisdecoded } from '../../src/core/mojibakeBadness';
import { highHalves } from '../../src/core/mojibakeTables';

describe('repairMojibake', () => {
  const cases: [string, string, string][] = [
    ['Windows-1252', 'cafÃ© âœ” PrivÃ© Ã–l', 'café ✔ Privé Öl'],
    ['Latin-1', 'It’s â\x80\x9cquotedâ\x80\x9d', 'It’s “quoted”'],
    ['three times over', 'ÃƒÆ’Ã‚Â©', 'é'],
    ['Windows-1252 upon MacRoman', 'â€šÃ„Ã¬quotedâ€šÃ„Ã®', '–quoted—'],
    ['Windows-1251', 'РџСЂРёРІРµС‚ РјРёСЂ вЂ“', 'Привет мир –'],
    ['Windows-1250', 'ĹĽĂłĹ‚w ĹşdĹşbĹ‚o', 'żółw źdźbło'],
    ['Windows-1253', 'β€™ Ξ•Ξ»Ξ»Ξ¬Ξ΄Ξ±', '’ Ελλάδα'],
    ['Windows-1254', 'Ä°stanbul Ä±ÄŸdÄ±r', 'İstanbul ığdır'],
    ['Windows-1257', 'Ä€rijs ā€“ lÄ«dz', 'Ārijs – līdz'],
    ['ISO-8859-2', 'cafĂŠ â\x82Ź', 'café €'],
    ['MacRoman', 'caf√© ‚Äî d√©j√†', 'café — déjà'],
    ['code page 437', 'caf├⌐ ┬½├á┬╗', 'café «à»'],
    ['spaces that were no-break spaces', 'voilÃ le travail, Â© â‚¬ â €', 'voilà le travail, © € ⠀'],
    ['à as a word, and in Portuguese', 'Ã la mode, Ã s vezes Ã quele', 'à la mode, às vezes àquele'],
    ['lost bytes', 'â€œ like this â€�, Ã? ðŸ�‘', '“ like this �, � �'],
    ['U+0000 in two bytes', 'Ã³ À\x80x', 'ó \0x'],
    ['U+0000 and the end of a line', 'Ã³ À\n', 'ó \0'],
    ['surrogates in UTF-8', 'Ã³ í\xa0½í²©', 'ó 💩'],
    ['places in other text', '“â€œ” cafÃ© ÃƒÂ© 日本', '““” café é 日本'],
    ['control characters', '日本 \x93x\x94 \x81', '日本 “x” \x81'],
    ['nothing', '', ''],
  ];
  it.each(cases)('%s', (_, text, expected) => {
    expect(repairMojibake(text)).toBe(expected);
    expect(repairMojibake(expected)).toBe(expected);
  });

  const kept = [
    'plain text\x1a, 100%',
    '¡Sí! ¿Qué? Ångström Å b, 10 °C ±½',
    'Œuvre naïve, façade — “ok” (ò_ó) │ box │',
    'ÀÉÎÕÜ É© Привет, καλημέρα 日本語 🧊',
  ];
  it.each(kept)('keeps %s', (text) => {
    expect(looksMisdecoded(text)).toBe(false);
    expect(repairMojibake(text)).toBe(text);
  });

  it('works within fixText, line by line', () => {
    expect(fixText('&Atilde;&copy; x\nÃ©\n“Ａ” Ã©', repairMojibake)).toBe('é x\né\n"A" é');
  });
});

describe('looksMisdecoded', () => {
  const examples = 'Ã\xa0|a Â ”|ØªØ±|Âœ|â€|×²|à²|Â |√±|≈°|‚Äú|‚âà|вЂ|В°Р|ГўВЂВњa|β€™|Ξ»Ξ|ā€|Œ.|É°|┌Ö|x\x80';
  it.each(examples.split('|'))('by the rule of %s', (text) => {
    expect(looksMisdecoded(text)).toBe(true);
  });
});

describe('tables', () => {
  it.each(Object.entries(highHalves))('%s: 128 characters', (_, characters) => {
    expect(characters.length).toBe(128);
    expect(new Set(characters).size).toBe(128);
  });
});
