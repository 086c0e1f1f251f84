/**
 * GPU memory by purpose: a bar of parts and the list that names them, against a budget where there is one. Colours are
 * Okabe and Ito's, told apart by any kind of colour vision; the list gives every number in words as well.
 */
import type { ReactElement } from 'react';
import { formatBytes } from '../../core/units';
import type { MemoryPart } from '../../protocol/library';
import styles from './MemoryBar.module.css';

const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b5ac1c', '#8a8f94'];

export function totalBytes(parts: readonly MemoryPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

export interface MemoryBarProps {
  readonly parts: readonly MemoryPart[];
  /** Bytes that a model may take: the bar is then as long as the budget, or as what goes beyond it. */
  readonly budget?: number;
}

export function MemoryBar({ parts, budget }: MemoryBarProps): ReactElement {
  const total = totalBytes(parts);
  const coloured = parts.map((part, index) => ({ ...part, colour: colours[index % colours.length] }));
  const end = Math.max(total, budget ?? 0);
  return (
    <div>
      <div className={styles.bar} aria-hidden="true">
        {coloured.map(({ purpose, bytes, colour }) => (
          <span key={purpose} style={{ flexGrow: bytes, background: colour }} />
        ))}
        {end > total && <span style={{ flexGrow: end - total }} />}
        {budget !== undefined && total > budget && (
          <i className={styles.mark} style={{ insetInlineStart: `${(100 * budget) / total}%` }} />
        )}
      </div>
      <ul className={styles.list}>
        {coloured.map(({ purpose, bytes, colour }) => (
          <li key={purpose}>
            <span className={styles.swatch} style={{ background: colour }} aria-hidden="true" />
            <span className={styles.purpose}>{purpose}</span>
            <span>{formatBytes(bytes)}</span>
          </li>
        ))}
        <li className={styles.total}>
          <span className={styles.purpose}>together</span>
          <span>{formatBytes(total)}</span>
        </li>
        {budget !== undefined && (
          <li>
            <span className={styles.purpose}>memory budget</span>
            <span>{formatBytes(budget)}</span>
          </li>
        )}
      </ul>
    </div>
  );
}
