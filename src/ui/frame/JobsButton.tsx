/** What the engine works on: how many jobs and how far, and on asking each of them with its cancel. */
import { Button, Popover, Progress, UnstyledButton } from '@mantine/core';
import type { ReactElement } from 'react';
import { useApp, useEngine } from '../appContext';
import { jobFraction } from '../state/engineView';
import { jobStatus, jobTitle } from '../state/jobWords';
import { Icon } from '../widgets/Icon';
import styles from './TopStrip.module.css';

export function JobsButton(): ReactElement | null {
  const jobs = useEngine((view) => view.jobs);
  const app = useApp();
  const first = jobs[0];
  if (!first) return null;
  const fraction = jobFraction(first);
  const count = `${jobs.length} ${jobs.length === 1 ? 'job' : 'jobs'}`;
  const percent = fraction === null ? '' : ` · ${Math.round(100 * fraction)} %`;
  return (
    <Popover width={300} position="bottom-end" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={styles.gauge} aria-label={`Running: ${count}${percent}`}>
          <Icon name="jobs" size={18} />
          <span>
            {count}
            {percent}
          </span>
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <ul className={styles.jobs} aria-label="Jobs">
          {jobs.map((job) => (
            <li key={job.id}>
              <div className={styles.jobLine}>
                <span className={styles.jobTitle}>{jobTitle(job)}</span>
                <Button
                  size="compact-xs"
                  variant="default"
                  disabled={job.phase === 'cancelling'}
                  onClick={() => app.cancel(job.id)}
                >
                  Cancel
                </Button>
              </div>
              <span className={styles.dim}>{jobStatus(job)}</span>
              {job.phase !== 'queued' && (
                <Progress value={100 * (jobFraction(job) ?? 0)} size={4} mt={4} aria-label={jobTitle(job)} />
              )}
            </li>
          ))}
        </ul>
      </Popover.Dropdown>
    </Popover>
  );
}
