/** The loaded model as plans: work, kernels and memory of each part, known before anything runs. */
import type { ReactElement } from 'react';
import { formatBytes, formatCount } from '../../../core/units';
import type { ModelDescription } from '../../../protocol/messages';
import { ScrollBox } from '../../widgets/ScrollBox';
import styles from '../Panel.module.css';

export function PlanTable({ model }: { readonly model: ModelDescription }): ReactElement {
  return (
    <section className={styles.card} aria-labelledby="plans">
      <h2 id="plans">Plans of {model.title}</h2>
      <ScrollBox label="Plans" className={styles.scroll}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col" className={styles.number}>
                Multiply-adds
              </th>
              <th scope="col" className={styles.number}>
                Dispatches
              </th>
              <th scope="col" className={styles.number}>
                Kernels
              </th>
              <th scope="col" className={styles.number}>
                Memory planned
              </th>
              <th scope="col" className={styles.number}>
                created
              </th>
            </tr>
          </thead>
          <tbody>
            {model.plans.map((plan) => (
              <tr key={plan.name}>
                <th scope="row">{plan.name}</th>
                <td className={styles.number}>{formatCount(plan.macs)}</td>
                <td className={styles.number}>{plan.dispatches}</td>
                <td className={styles.number}>{plan.pipelines}</td>
                <td className={styles.number}>{formatBytes(plan.plannedBytes)}</td>
                <td className={styles.number}>{formatBytes(plan.createdBytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </section>
  );
}
