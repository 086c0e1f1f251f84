/** Errors of tensors stored as int8, the worst first. */
import type { ReactElement } from 'react';
import type { QuantizationFacts } from '../../../protocol/messages';
import sheet from '../Panel.module.css';
import { percentText } from './figures';
import styles from './ModelsPanel.module.css';

export function QuantizationTable({ rows }: { readonly rows: readonly QuantizationFacts[] }): ReactElement {
  return (
    <div className={styles.tall} tabIndex={0} role="region" aria-label="Errors of int8 weights, worst first">
      <table className={sheet.table}>
        <thead>
          <tr>
            <th scope="col">Tensor</th>
            <th scope="col" className={sheet.number}>
              Relative error
            </th>
            <th scope="col" className={sheet.number}>
              Largest error
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ tensor, relativeError, maxError }) => (
            <tr key={tensor}>
              <th scope="row" className={styles.tensorName}>
                {tensor}
              </th>
              <td className={sheet.number}>{percentText(relativeError)}</td>
              <td className={sheet.number}>{maxError.toPrecision(3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
