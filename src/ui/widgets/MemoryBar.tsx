/**
 * GPU memory by purpose: a bar of parts and the list that names them. Colours are Okabe and Ito's, told apart by any kind
 * of colour vision; the list gives every number in words as well.
 */
import type { ReactElement } from 'react';
import { formatBytes } from '../../core/units';
import type { MemoryPart } from '../../protocol/messages';
import styles from './MemoryBar.module.css';

const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b5ac1c', '#8a8f94'];

export function totalBytes(parts: readonly MemoryPart[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}

export function MemoryBar({ parts }: { readonly parts: readonly MemoryPart[] }): ReactElement {
  const total = totalBytes(parts);
  const coloured = parts.map((part, index) => ({ ...part, colour: colours[index % colours.length] }));
  return (
    <div>
      <div className={styles.bar} aria-hidden="true">
        {coloured.map(({ purpose, bytes, colour }) => (
          <span key={purpose} style={{ flexGrow: bytes, background: colour }} />
        ))}
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
      </ul>
    </div>
  );
}
