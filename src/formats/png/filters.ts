/**
 * PNG's line filters: each line of bytes is stored as differences to what lies left (a), above (b) and above left (c),
 * by one of five rules named in the line's first byte.
 */
import { FormatError } from '../../core/errors';

/** Whichever of left, above, above left is nearest to left + above - above left; ties in that order. */
function paeth(a: number, b: number, c: number): number {
  const p = a + b - c;
  const pa = Math.abs(p - a);
  const pb = Math.abs(p - b);
  const pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

function predict(filter: number, a: number, b: number, c: number): number {
  switch (filter) {
    case 1:
      return a;
    case 2:
      return b;
    case 3:
      return (a + b) >> 1;
    case 4:
      return paeth(a, b, c);
    default:
      return 0;
  }
}

/**
 * Filters lines: for each the rule whose differences have the smallest sum of absolute values (the usual heuristic,
 * the lowest number on ties), so the result depends on the pixels alone.
 *
 * @param pixels height lines of lineBytes
 * @param step bytes of one pixel
 * @returns height lines of 1 + lineBytes
 */
export function filterLines(
  pixels: Uint8Array,
  height: number,
  lineBytes: number,
  step: number,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(height * (1 + lineBytes));
  const trial = new Uint8Array(lineBytes);
  for (let y = 0; y < height; y++) {
    const line = y * lineBytes;
    const to = y * (1 + lineBytes);
    let least = Infinity;
    for (let filter = 0; filter <= 4; filter++) {
      let sum = 0;
      for (let x = 0; x < lineBytes; x++) {
        const a = x >= step ? (pixels[line + x - step] as number) : 0;
        const b = y > 0 ? (pixels[line + x - lineBytes] as number) : 0;
        const c = x >= step && y > 0 ? (pixels[line + x - lineBytes - step] as number) : 0;
        const difference = ((pixels[line + x] as number) - predict(filter, a, b, c)) & 0xff;
        trial[x] = difference;
        sum += difference < 128 ? difference : 256 - difference;
      }
      if (sum < least) {
        least = sum;
        out[to] = filter;
        out.set(trial, to + 1);
      }
    }
  }
  return out;
}

/**
 * Undoes the filters.
 * @returns height lines of lineBytes, at the beginning of `lines`' own memory
 * @throws FormatError for an unknown rule; `name` is the file's
 */
export function unfilterLines(
  name: string,
  lines: Uint8Array<ArrayBuffer>,
  height: number,
  lineBytes: number,
  step: number,
): Uint8Array<ArrayBuffer> {
  for (let y = 0; y < height; y++) {
    const from = y * (1 + lineBytes) + 1;
    const to = y * lineBytes; // always before `from`: lines close up in place
    const filter = lines[from - 1] as number;
    if (filter > 4)
      throw new FormatError(`${name}: PNG: a line's filter must be 0 to 4: line ${y} has ${filter}`);
    for (let x = 0; x < lineBytes; x++) {
      const a = x >= step ? (lines[to + x - step] as number) : 0;
      const b = y > 0 ? (lines[to + x - lineBytes] as number) : 0;
      const c = x >= step && y > 0 ? (lines[to + x - lineBytes - step] as number) : 0;
      lines[to + x] = (lines[from + x] as number) + predict(filter, a, b, c);
    }
  }
  return lines.subarray(0, height * lineBytes);
}
