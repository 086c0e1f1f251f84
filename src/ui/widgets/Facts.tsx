/** Names and values in two columns, as a description list. */
import type { ReactElement, ReactNode } from 'react';
import styles from './Facts.module.css';

export interface FactsProps {
  readonly rows: readonly (readonly [name: string, value: ReactNode])[];
}

export function Facts({ rows }: FactsProps): ReactElement {
  return (
    <dl className={styles.facts}>
      {rows.map(([name, value]) => (
        <div key={name} className={styles.row}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
