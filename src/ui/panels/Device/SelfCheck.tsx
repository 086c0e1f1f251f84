/** The self-check: a button, and a row for every kernel as its result comes. */
import { Button, Progress } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatSeconds } from '../../../core/units';
import type { SelfCheckRow } from '../../../protocol/messages';
import { useApp, useEngine } from '../../appContext';
import type { SelfCheckView } from '../../state/engineView';
import { ErrorNote } from '../../widgets/ErrorNote';
import { classNames } from '../../widgets/classNames';
import { Icon } from '../../widgets/Icon';
import { ScrollBox } from '../../widgets/ScrollBox';
import styles from '../Panel.module.css';
import { errorText } from './deviceReport';

/** What a check came to, in a sentence. */
export function verdict({ rows, of, ms }: SelfCheckView): string {
  const bad = rows.filter((row) => !row.passed);
  const kernels = (some: readonly SelfCheckRow[]): number => new Set(some.map(({ stem }) => stem)).size;
  if (ms === null)
    return `${rows.length} of ${of || '…'} cases done${bad.length > 0 ? `, ${bad.length} wrong` : ''}`;
  const time = formatSeconds(ms / 1000);
  return bad.length === 0
    ? `All ${kernels(rows)} kernels are right: ${rows.length} cases in ${time}`
    : `${kernels(bad)} of ${kernels(rows)} kernels are wrong: ${bad.length} of ${rows.length} cases, ${time}`;
}

export function SelfCheck({ check }: { readonly check: SelfCheckView | null }): ReactElement {
  const app = useApp();
  const job = useEngine((view) => view.jobs.find(({ job: { kind } }) => kind === 'selfCheck'));
  const ready = useEngine((view) => view.state.name === 'ready');
  const error = useEngine((view) => view.errors.selfCheck);
  const running = job !== undefined;
  const bad = check?.rows.some((row) => !row.passed) ?? false;
  return (
    <section className={styles.card} aria-labelledby="self-check">
      <div className={styles.cardHead}>
        <div>
          <h2 id="self-check">Self-check</h2>
          <p className={styles.dim}>
            Runs every kernel at small sizes on this device and compares with the processor, computed with 64
            bits.
          </p>
        </div>
        {running ? (
          <Button variant="default" disabled={job.phase === 'cancelling'} onClick={() => app.cancel(job.id)}>
            Cancel
          </Button>
        ) : (
          <Button disabled={!ready} onClick={() => app.selfCheck()}>
            {check ? 'Check again' : 'Check the kernels'}
          </Button>
        )}
      </div>
      {error && !running && <ErrorNote title="The self-check broke off." error={error} />}
      {check && (
        <>
          <p
            className={classNames(
              styles.verdict,
              check.ms === null ? styles.dim : bad ? styles.bad : styles.good,
            )}
            role="status"
          >
            {check.ms !== null && <Icon name={bad ? 'alert' : 'check'} size={18} />}
            {job?.phase === 'queued' ? 'Waits for the work before it' : verdict(check)}
          </p>
          {running && (
            <Progress
              value={check.of > 0 ? (100 * check.rows.length) / check.of : 0}
              size={4}
              mt={8}
              aria-label="Self-check"
            />
          )}
          {check.rows.length > 0 && <CheckTable rows={check.rows} />}
        </>
      )}
    </section>
  );
}

function CheckTable({ rows }: { readonly rows: readonly SelfCheckRow[] }): ReactElement {
  return (
    <ScrollBox label="Results of the self-check" className={styles.scroll}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Kernel</th>
            <th scope="col" className={styles.number}>
              Error
            </th>
            <th scope="col" className={classNames(styles.number, styles.wide)}>
              Allowed
            </th>
            <th scope="col" className={styles.number}>
              Time
            </th>
            <th scope="col">Result</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.stem} ${row.what}`}>
              <th scope="row">
                {row.stem}
                <span className={styles.small}>{row.what}</span>
                {row.problem && <span className={styles.technical}>{row.problem}</span>}
              </th>
              <td className={styles.number}>{errorText(row.error)}</td>
              <td className={classNames(styles.number, styles.wide)}>{errorText(row.tolerance)}</td>
              <td className={styles.number}>{formatSeconds(row.ms / 1000)}</td>
              <td>
                <span className={row.passed ? styles.good : styles.bad}>
                  <Icon name={row.passed ? 'check' : 'alert'} size={16} />
                  {row.passed ? 'right' : 'wrong'}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}
