/** Jobs in a few words: what they are, and where they stand. */
import { formatBytes, formatSeconds } from '../../core/units';
import type { Job, LoadView } from './engineView';

/** A job in a few words. */
export function jobTitle({ job }: Job): string {
  switch (job.kind) {
    case 'loadModel':
      return job.source.kind === 'library' ? 'Loading the chosen model' : 'Loading the demo model';
    case 'unloadModel':
      return 'Taking the model off the device';
    case 'generate': {
      const count = job.settings.prompts.length;
      const prompt = job.settings.prompts[0] || 'no prompt';
      return count > 1 ? `${count} × “${prompt}”` : `“${prompt}”`;
    }
    case 'selfCheck':
      return 'Self-check';
    default:
      job satisfies never;
      return '';
  }
}

/** Where a job stands, in a few words. */
export function jobStatus({ phase, load, progress }: Pick<Job, 'phase' | 'load' | 'progress'>): string {
  if (phase === 'queued') return 'waits';
  if (phase === 'cancelling') return 'is being cancelled';
  if (load) return loadWords(load);
  if (!progress) return 'runs';
  const { step, steps, leftMs } = progress;
  return `step ${step} of ${steps}${leftWords(leftMs)}`;
}

/** `transformer, 1.2 GB of 4.67 GB, 12 s left`. */
export function loadWords({ what, done, total, leftMs }: LoadView): string {
  return `${what}, ${formatBytes(done)} of ${formatBytes(total)}${leftWords(leftMs)}`;
}

function leftWords(leftMs: number | null): string {
  return leftMs === null ? '' : `, ${formatSeconds(leftMs / 1000)} left`;
}
