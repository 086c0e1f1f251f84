/** Square cells, as large as the space allows: one picture fills it, several share it in a near-square grid. */
import type { CSSProperties, ReactElement, ReactNode } from 'react';
import styles from './PictureGrid.module.css';

export interface PictureGridProps {
  readonly count: number;
  readonly cell: (index: number) => ReactNode;
  /** Stands under the pictures, as wide as they are. */
  readonly footer: ReactNode;
}

/** Columns of a near-square grid. */
export function columnsFor(count: number): number {
  return Math.max(1, Math.ceil(Math.sqrt(count)));
}

export function PictureGrid({ count, cell, footer }: PictureGridProps): ReactElement {
  const columns = columnsFor(count);
  const rows = Math.ceil(count / columns);
  const variables: CSSProperties & Record<`--${string}`, number> = { '--columns': columns, '--rows': rows };
  return (
    <div className={styles.space}>
      <div className={styles.both} style={variables}>
        <div className={styles.grid}>
          {Array.from({ length: count }, (_, index) => (
            <div key={index} className={styles.cell}>
              {cell(index)}
            </div>
          ))}
        </div>
        <div className={styles.footer}>{footer}</div>
      </div>
    </div>
  );
}
