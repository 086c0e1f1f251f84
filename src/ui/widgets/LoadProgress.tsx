/** A model on its way to the device: what is read, how far it is, how long it takes. */
import { Progress } from '@mantine/core';
import type { ReactElement } from 'react';
import { jobFraction, type Job } from '../state/engineView';
import { loadWords } from '../state/jobWords';
import styles from './LoadProgress.module.css';

/** What helps where a model was not loaded, by kind of error; undefined where the usual advice holds. */
export function loadAdvice(code: string): string | undefined {
  switch (code) {
    case 'limit':
    case 'out-of-memory':
    case 'device-lost':
      return 'Choose smaller weights (int8) or another memory budget, or close other tabs and programs that use the GPU.';
    default:
      return undefined;
  }
}

/** Where a load stands, as a sentence. */
function words({ phase, load }: Job): string {
  if (phase === 'queued') return 'Waits for the work before it';
  if (phase === 'cancelling') return 'Is being cancelled';
  return load && load.total > 0 ? loadWords(load) : 'Reading what it consists of';
}

export function LoadProgress({ job }: { readonly job: Job }): ReactElement {
  return (
    <div>
      <Progress value={100 * (jobFraction(job) ?? 0)} size={4} aria-label="Loading the model" />
      <p className={styles.words}>{words(job)}</p>
    </div>
  );
}
