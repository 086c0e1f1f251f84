/** Says to a screen reader how a load or a generation goes: its start, its quarters, its end. */
import { VisuallyHidden } from '@mantine/core';
import type { ReactElement } from 'react';
import { useEngine } from '../appContext';
import { jobFraction, loadingJob, runningGeneration, type EngineView } from '../state/engineView';

const endWords = {
  done: 'The picture is done.',
  cancelled: 'Cancelled.',
  failed: 'The picture was not made.',
} as const;

/** What is worth saying now; the same text as long as nothing is. */
export function progressWords(view: EngineView): string {
  const loading = loadingJob(view);
  if (loading && loading.phase !== 'queued') {
    const quarter = Math.floor(4 * (jobFraction(loading) ?? 0));
    return quarter === 0 ? 'Loading the model.' : `Loading the model, ${quarter * 25} percent.`;
  }
  const running = runningGeneration(view);
  if (!running)
    return view.lastEnd ? endWords[view.lastEnd] : view.model ? `${view.model.title} is ready.` : '';
  if (running.phase === 'cancelling') return 'Cancelling.';
  if (!running.progress || running.job.kind !== 'generate') return 'Making the picture.';
  const { step, steps } = running.progress;
  const quarter = Math.floor((4 * step) / Math.max(1, steps));
  return quarter === 0 ? 'Making the picture.' : `${quarter * 25} percent of the steps done.`;
}

export function ProgressVoice(): ReactElement {
  const words = useEngine(progressWords);
  return (
    <VisuallyHidden role="status" aria-live="polite">
      {words}
    </VisuallyHidden>
  );
}
