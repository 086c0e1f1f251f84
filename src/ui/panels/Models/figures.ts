/** Numbers of the Models panel: as people read and type them, and which rows of a long list are seen. */
import { formatCount } from '../../../core/units';
import { maxBudget, minBudget } from '../../state/kept';

export const gigabyte = 1e9;

/** Bytes from a budget typed in GB, to two digits; null where it is none. */
export function budgetFrom(value: number | string): number | null {
  const number = typeof value === 'number' ? value : Number.parseFloat(value);
  const bytes = Math.round(number * 100) * (gigabyte / 100);
  return bytes >= minBudget && bytes <= maxBudget ? bytes : null;
}

/** `0.41 %`, from a share of 1. */
export function percentText(share: number): string {
  if (!Number.isFinite(share)) return 'not a number';
  if (share === 0 || share >= 1) return `${(100 * share).toFixed(0)} %`;
  return `${(100 * share).toPrecision(2)} %`;
}

/** Four significant digits; a word where there is no number. */
export function valueText(value: number): string {
  if (!Number.isFinite(value)) return 'none';
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(3);
}

/** `12, 0.5 % of all`. */
export function shareText(part: number, of: number): string {
  if (part === 0 || of === 0) return '0';
  const percent = (100 * part) / of;
  const digits = percent >= 10 || Number.isInteger(percent) ? percent.toFixed(0) : percent.toPrecision(2);
  return `${formatCount(part)}, ${percent < 1e-3 ? 'below 0.001' : digits} %`;
}

/** Rows drawn beyond each end of what is visible. */
const beyond = 10;

/** The rows to draw for a scroll position: from `first` up to but not including `end`. */
export function visibleRows(
  scroll: number,
  height: number,
  rowHeight: number,
  count: number,
): { readonly first: number; readonly end: number } {
  const first = Math.max(0, Math.floor(scroll / rowHeight) - beyond);
  return { first, end: Math.min(count, Math.ceil((scroll + height) / rowHeight) + beyond) };
}
