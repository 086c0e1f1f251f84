/** The one primary button. While a picture is made it shows how far; cancel stands beside it, the queue below. */
import { Button } from '@mantine/core';
import type { ReactElement } from 'react';
import { formatSeconds } from '../../../core/units';
import { useApp, useEngine, useKept } from '../../appContext';
import {
  jobFraction,
  modelChanges,
  queuedGenerations,
  runningGeneration,
  type Job,
} from '../../state/engineView';
import { goTo } from '../../state/panel';
import { generateProblem } from '../../state/settings';
import { ErrorNote } from '../../widgets/ErrorNote';
import { IconButton } from '../../widgets/IconButton';
import styles from './GenerateControl.module.css';

export function GenerateControl(): ReactElement {
  const app = useApp();
  const view = useEngine((engine) => engine);
  const seed = useKept((state) => state.draft.seed);
  const running = runningGeneration(view);
  const queued = queuedGenerations(view);
  const error = view.errors.generate;
  const blocked = generateProblem(view, seed);
  const fraction = running ? (jobFraction(running) ?? 0) : 0;

  return (
    <div className={styles.control}>
      <div className={styles.buttons}>
        <Button
          className={styles.primary}
          size="md"
          fullWidth
          // not `disabled`: the focus stays where it is while the picture is made
          aria-disabled={running !== undefined || blocked !== ''}
          data-running={running !== undefined || undefined}
          data-blocked={(!running && blocked !== '') || undefined}
          onClick={() => {
            if (!running && blocked === '') app.generate();
          }}
        >
          {running && (
            <span className={styles.fill} style={{ inlineSize: `${100 * fraction}%` }} aria-hidden="true" />
          )}
          <span className={styles.label}>{running ? <RunningLabel job={running} /> : 'Generate'}</span>
        </Button>
        {running && (
          <Button
            size="md"
            variant="default"
            disabled={running.phase === 'cancelling'}
            onClick={() => app.cancel(running.id)}
          >
            {running.phase === 'cancelling' ? 'Cancelling' : 'Cancel'}
          </Button>
        )}
      </div>
      {running ? (
        <Button
          className={styles.queueButton}
          size="compact-sm"
          variant="subtle"
          disabled={blocked !== ''}
          onClick={() => app.generate()}
        >
          Queue these fields as the next picture
        </Button>
      ) : (
        <p className={blocked ? styles.hint : styles.keyHint}>{blocked || 'Ctrl or ⌘ + Enter'}</p>
      )}
      {view.state.name === 'ready' && !view.model && !modelChanges(view) && (
        <Button
          className={styles.queueButton}
          size="compact-sm"
          variant="subtle"
          onClick={() => goTo('models')}
        >
          Choose a model
        </Button>
      )}
      {queued.length > 0 && (
        <ul className={styles.queue} aria-label="Queue">
          {queued.map((job) => (
            <QueueCard key={job.id} job={job} />
          ))}
        </ul>
      )}
      {error && !running && (
        <div className={styles.error}>
          <ErrorNote
            title="The picture was not made."
            error={error}
            action={{ label: 'Try again', run: () => app.generate() }}
          />
        </div>
      )}
    </div>
  );
}

function RunningLabel({ job }: { readonly job: Job }): ReactElement {
  if (job.load) return <>Bringing in {job.load.what}</>;
  if (!job.progress) return <>Starting</>;
  const { stage, step, steps, leftMs } = job.progress;
  switch (stage) {
    case 'text':
      return <>Reading the prompt</>;
    case 'sample':
      return (
        <>
          Step {step} of {steps}
          {leftMs !== null && <span className={styles.left}> · {formatSeconds(leftMs / 1000)} left</span>}
        </>
      );
    case 'decode':
      return <>Decoding</>;
    default:
      stage satisfies never;
      return <></>;
  }
}

function QueueCard({ job }: { readonly job: Job }): ReactElement | null {
  const app = useApp();
  if (job.job.kind !== 'generate') return null;
  const { prompts, steps, guidance, seed } = job.job.settings;
  const count = prompts.length > 1 ? `${prompts.length} × ` : '';
  return (
    <li className={styles.card}>
      <div className={styles.cardText}>
        <span className={styles.prompt}>
          {count}
          {prompts[0] || 'no prompt'}
        </span>
        <span className={styles.small}>
          {steps} steps · guidance {guidance} · seed {seed || '0'}
        </span>
      </div>
      <IconButton
        icon="close"
        size="md"
        iconSize={16}
        label="Take out of the queue"
        onClick={() => app.cancel(job.id)}
      />
    </li>
  );
}
