/** An adapter's features and limits, for people: what they are called, what is offered, what is used. */
import type { ReactElement } from 'react';
import type { AdapterDescription } from '../../../protocol/messages';
import { ScrollBox } from '../../widgets/ScrollBox';
import styles from '../Panel.module.css';
import { limitNames, limitText } from './limitNames';

export function Features({ adapter }: { readonly adapter: AdapterDescription }): ReactElement {
  const used = new Set(adapter.usedFeatures);
  const sorted = [...adapter.features].sort(
    (a, b) => Number(used.has(b)) - Number(used.has(a)) || a.localeCompare(b),
  );
  return (
    <section className={styles.card} aria-labelledby="features">
      <h2 id="features">Features</h2>
      {sorted.length === 0 ? (
        <p className={styles.dim}>None beyond the standard.</p>
      ) : (
        <ul className={styles.tags}>
          {sorted.map((feature) => (
            <li key={feature} className={used.has(feature) ? styles.used : undefined}>
              {feature}
              {used.has(feature) ? ', asked for' : ''}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

export function Limits({ adapter }: { readonly adapter: AdapterDescription }): ReactElement {
  const { limits, usedLimits } = adapter;
  const named = Object.keys(limitNames).filter((name) => name in limits);
  return (
    <section className={styles.card} aria-labelledby="limits">
      <h2 id="limits">Limits</h2>
      <ScrollBox label="Limits" className={styles.scroll}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col" className={styles.number}>
                Offered
              </th>
              <th scope="col" className={styles.number}>
                Asked for
              </th>
            </tr>
          </thead>
          <tbody>
            {named.map((name) => (
              <tr key={name}>
                <th scope="row">
                  {limitNames[name]}
                  <span className={styles.technical}>{name}</span>
                </th>
                <td className={styles.number}>{limitText(name, limits[name])}</td>
                <td className={styles.number}>{limitText(name, usedLimits[name])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollBox>
    </section>
  );
}
