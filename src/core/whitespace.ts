/**
 * White space as other languages know it. JavaScript's own \s and trim() differ: they count U+FEFF and not U+0085.
 */

/** Unicode White_Space as the inside of a character class: `\s` of Oniguruma and of Python's `regex`. */
export const whiteSpace = '\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** The same and U+001C to U+001F: `\s` of Python's `re`, and what Python's str.strip() removes. */
export const pythonSpace = `${whiteSpace}\\x1c-\\x1f`;

/**
 * A function that removes characters of a class (its inside, all in the basic plane) from the left and right ends. In
 * linear time, which `/[...]+$/` is not.
 */
export function trimmer(characterClass: string): (text: string, left?: boolean, right?: boolean) => string {
  const one = new RegExp(`^[${characterClass}]$`);
  return (text, left = true, right = true) => {
    let start = 0;
    let end = text.length;
    while (left && start < end && one.test(text.charAt(start))) start++;
    while (right && end > start && one.test(text.charAt(end - 1))) end--;
    return text.slice(start, end);
  };
}
