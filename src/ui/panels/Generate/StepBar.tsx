/** The steps as a thin bar, one segment each; pointing at one tells its noise level. */
import { useState, type MouseEvent, type ReactElement } from 'react';
import { formatSeconds } from '../../../core/units';
import type { Job } from '../../state/engineView';
import { loadWords } from '../../state/jobWords';
import styles from './StepBar.module.css';

/** Sigma in three digits. */
export function sigmaText(sigma: number): string {
  return sigma >= 100 || Number.isInteger(sigma) ? sigma.toFixed(0) : sigma.toPrecision(3);
}

export function StepBar({ job }: { readonly job: Job }): ReactElement | null {
  const [pointed, setPointed] = useState<number | null>(null);
  if (job.job.kind !== 'generate') return null;
  const { steps } = job.job.settings;
  const { progress, sigmas } = job;
  const done = progress?.stage === 'decode' ? steps : (progress?.step ?? 0);
  const point = (event: MouseEvent<HTMLElement>): void => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setPointed(Math.min(steps - 1, Math.max(0, Math.floor((steps * (event.clientX - left)) / width))));
  };
  const sigma = pointed === null ? undefined : sigmas[pointed];
  const pointedText = sigma === undefined ? 'still to come' : `noise level σ ${sigmaText(sigma)} after it`;
  return (
    <div className={styles.bar}>
      <div
        className={styles.segments}
        role="progressbar"
        aria-label="Steps"
        aria-valuemin={0}
        aria-valuemax={steps}
        aria-valuenow={done}
        onMouseMove={point}
        onMouseLeave={() => setPointed(null)}
      >
        {Array.from({ length: steps }, (_, index) => (
          <span key={index} data-done={index < done || undefined} data-now={index === done || undefined} />
        ))}
      </div>
      <div className={styles.line}>
        {pointed !== null ? (
          <span>
            Step {pointed + 1}: {pointedText}
          </span>
        ) : (
          <span>{statusText(job, steps)}</span>
        )}
        {progress && <span>{formatSeconds(progress.elapsedMs / 1000)}</span>}
      </div>
    </div>
  );
}

function statusText({ phase, progress, load }: Job, steps: number): string {
  if (phase === 'cancelling') return 'Cancelling after the work that is already on the GPU';
  if (load) return `Bringing in ${loadWords(load)}`;
  if (!progress) return 'Starting';
  const { stage, step, sigma, leftMs } = progress;
  switch (stage) {
    case 'text':
      return 'Reading the prompt';
    case 'sample': {
      if (step === 0) return 'Taking the first step out of the noise';
      const left = leftMs === null ? '' : `, ${formatSeconds(leftMs / 1000)} left`;
      return `Step ${step} of ${steps}, noise level σ ${sigmaText(sigma)}${left}`;
    }
    case 'decode':
      return 'Decoding the picture';
    default:
      stage satisfies never;
      return '';
  }
}
