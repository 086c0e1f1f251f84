import { describe, expect, test } from 'vitest';
import type { GenerateSettings } from '../../src/protocol/generate';
import type { WireError, WorkerMessage } from '../../src/protocol/messages';
import {
  initialEngineView,
  jobFraction,
  loadingJob,
  queuedGenerations,
  reduceEngine,
  runningGeneration,
  type EngineView,
} from '../../src/ui/state/engineView';

const settings: GenerateSettings = {
  prompts: ['fox'],
  steps: 4,
  guidance: 3,
  seed: '0',
  noiseLayout: 'cuda',
};
const job = { kind: 'generate', settings } as const;
const error = (code: string): WireError => ({ name: 'E', code, message: code, stack: '' });
const hear = (messages: readonly WorkerMessage[], from: EngineView = initialEngineView): EngineView =>
  messages.reduce(reduceEngine, from);
const progress = (step: number): WorkerMessage => ({
  type: 'progress',
  id: 5,
  progress: { stage: 'sample', step, steps: 4, sigma: 80 / (step + 1), elapsedMs: 10 * step, leftMs: null },
});

describe('engine view', () => {
  test('a generation from queue to end', () => {
    const queued = hear([{ type: 'job', id: 5, job, phase: 'queued' }]);
    expect(queuedGenerations(queued).map(({ id }) => id)).toEqual([5]);
    expect(runningGeneration(queued)).toBeUndefined();
    const running = hear(
      [{ type: 'job', id: 5, job, phase: 'running' }, progress(0), progress(1), progress(2)],
      queued,
    );
    expect(runningGeneration(running)).toMatchObject({ id: 5, sigmas: [40, 80 / 3], progress: { step: 2 } });
    expect(jobFraction(runningGeneration(running)!)).toBe(0.5);
    const done = hear(
      [
        {
          type: 'done',
          id: 5,
          of: 'generate',
          value: { pictures: [], timings: { textMs: 0, sampleMs: 0, decodeMs: 0, totalMs: 0 } },
        },
      ],
      running,
    );
    expect(done).toMatchObject({ jobs: [], lastEnd: 'done' });
  });

  test('cancelling is no failure; a failure stays until the next start', () => {
    const running = hear([{ type: 'job', id: 5, job, phase: 'running' }]);
    const cancelling = hear([{ type: 'job', id: 5, job, phase: 'cancelling' }], running);
    expect(cancelling.jobs).toMatchObject([{ id: 5, phase: 'cancelling' }]);
    const cancelled = hear(
      [{ type: 'failed', id: 5, of: 'generate', error: error('cancelled') }],
      cancelling,
    );
    expect(cancelled).toMatchObject({ jobs: [], lastEnd: 'cancelled', errors: { generate: null } });
    const failed = hear([{ type: 'failed', id: 5, of: 'generate', error: error('limit') }], running);
    expect(failed).toMatchObject({ lastEnd: 'failed', errors: { generate: { code: 'limit' } } });
    const next = hear([{ type: 'job', id: 6, job, phase: 'queued' }], failed);
    expect(next).toMatchObject({ lastEnd: null, errors: { generate: null } });
  });

  test('a lost device takes the model and the work along', () => {
    const busy = hear([
      { type: 'state', state: { name: 'ready', rebuilt: 0 } },
      { type: 'job', id: 5, job, phase: 'running' },
    ]);
    const lost = hear(
      [{ type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 5 } }],
      busy,
    );
    expect(lost).toMatchObject({ model: null, jobs: [], state: { name: 'device-lost' } });
    // the failure of the job comes after the loss
    expect(
      hear([{ type: 'failed', id: 5, of: 'generate', error: error('device-lost') }], lost),
    ).toMatchObject({
      errors: { generate: { code: 'device-lost' } },
    });
  });

  test('loading a model, and what it failed on', () => {
    const load = { kind: 'loadModel', base: 'x/' } as const;
    const loading = hear([
      { type: 'job', id: 2, job: load, phase: 'running' },
      { type: 'loadProgress', id: 2, done: 30, total: 40, what: 'transformer' },
    ]);
    expect(jobFraction(loadingJob(loading)!)).toBe(0.75);
    const failed = hear([{ type: 'failed', id: 2, of: 'loadModel', error: error('network') }], loading);
    expect(failed.errors.loadModel?.code).toBe('network');
    expect(loadingJob(failed)).toBeUndefined();
  });

  test('the self-check collects rows of its own run only', () => {
    const row = { stem: 'add', what: '', error: 0, tolerance: 0, passed: true, ms: 1, problem: '' };
    const view = hear([
      { type: 'job', id: 9, job: { kind: 'selfCheck' }, phase: 'running' },
      { type: 'checkRow', id: 9, row, of: 2 },
      { type: 'checkRow', id: 4, row, of: 2 },
    ]);
    expect(view.selfCheck).toMatchObject({ rows: [row], of: 2, ms: null });
    const done = hear([{ type: 'done', id: 9, of: 'selfCheck', value: { rows: [row, row], ms: 12 } }], view);
    expect(done.selfCheck).toMatchObject({ of: 2, ms: 12 });
    expect(done.selfCheck?.rows).toHaveLength(2);
  });

  test('requests that are no jobs leave no error behind', () => {
    const view = hear([{ type: 'failed', id: 3, of: 'readPicture', error: error('format') }]);
    expect(view).toEqual(initialEngineView);
  });
});
