import { describe, expect, test } from 'vitest';
import type { GenerateSettings } from '../../src/protocol/generate';
import type { WireError, WorkerMessage } from '../../src/protocol/messages';
import {
  initialEngineView,
  jobFraction,
  loadingFrom,
  loadingJob,
  modelChanges,
  queuedGenerations,
  reduceEngine,
  runningGeneration,
  type EngineView,
} from '../../src/ui/state/engineView';
import { jobStatus } from '../../src/ui/state/jobWords';

const settings: GenerateSettings = {
  prompts: ['fox'],
  steps: 4,
  guidance: 3,
  seed: '0',
  noiseLayout: 'cuda',
};
const job = { kind: 'generate', settings } as const;
const error = (code: string): WireError => ({ name: 'E', code, message: code, stack: '' });
/** The view after messages that came `everyMs` after each other. */
const hear = (
  messages: readonly WorkerMessage[],
  from: EngineView = initialEngineView,
  everyMs = 1,
): EngineView =>
  messages.reduce((view, message, index) => reduceEngine(view, message, 1e12 + index * everyMs), from);
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

  const library = { kind: 'library' } as const;
  const load = { kind: 'loadModel', source: library } as const;
  const loadProgress = (done: number, what = 'transformer'): WorkerMessage => ({
    type: 'loadProgress',
    id: 2,
    done,
    total: 40,
    what,
  });

  test('loading a model, and what it failed on', () => {
    const loading = hear([{ type: 'job', id: 2, job: load, phase: 'running' }, loadProgress(30)]);
    expect(jobFraction(loadingJob(loading)!)).toBe(0.75);
    expect(loadingFrom(loading, 'library')?.id).toBe(2);
    expect(loadingFrom(loading, 'bundle')).toBeUndefined();
    expect(modelChanges(loading)).toBe(true);
    const failed = hear([{ type: 'failed', id: 2, of: 'loadModel', error: error('network') }], loading);
    expect(failed.errors.loadModel).toMatchObject({ source: library, error: { code: 'network' } });
    expect(loadingJob(failed)).toBeUndefined();
    expect(modelChanges(failed)).toBe(false);
  });

  test('time left comes from the speed so far, once there is one', () => {
    const running: WorkerMessage = { type: 'job', id: 2, job: load, phase: 'running' };
    const messages = [running, loadProgress(10), loadProgress(20), loadProgress(25)];
    expect(loadingJob(hear(messages.slice(0, 2), undefined, 600))?.load?.leftMs).toBeNull();
    expect(loadingJob(hear(messages.slice(0, 3), undefined, 600))?.load?.leftMs).toBeNull();
    // 15 in 1.2 s, and 15 more to come
    expect(loadingJob(hear(messages, undefined, 600))?.load?.leftMs).toBeCloseTo(1200);
    // what starts anew is measured anew
    const again = hear([...messages, loadProgress(5, 'text tower')], undefined, 600);
    expect(loadingJob(again)?.load).toMatchObject({ what: 'text tower', leftMs: null });
  });

  test('what broke a load can be read while the model before comes back', () => {
    const demo = { kind: 'loadModel', source: { kind: 'bundle', base: 'x/' } } as const;
    const lost = hear([
      { type: 'job', id: 2, job: load, phase: 'running' },
      { type: 'state', state: { name: 'device-lost', message: '', attempt: 1, attempts: 5 } },
      { type: 'failed', id: 2, of: 'loadModel', error: error('device-lost') },
      { type: 'state', state: { name: 'ready', rebuilt: 1 } },
      { type: 'job', id: 3, job: demo, phase: 'running' },
    ]);
    expect(lost.errors.loadModel).toMatchObject({ source: library, error: { code: 'device-lost' } });
    const again = hear([{ type: 'job', id: 4, job: load, phase: 'queued' }], lost);
    expect(again.errors.loadModel).toBeNull();
  });

  test('a part that comes in does not change how far a generation is', () => {
    const view = hear([{ type: 'job', id: 5, job, phase: 'running' }, progress(2)]);
    const loading = hear([{ type: 'loadProgress', id: 5, done: 3, total: 4, what: 'autoencoder' }], view);
    const [bringing] = loading.jobs;
    expect(jobFraction(bringing!)).toBe(0.5);
    expect(jobStatus(bringing!)).toBe('autoencoder, 3 B of 4 B');
    const [on] = hear([progress(3)], loading).jobs;
    expect(on).toMatchObject({ load: null, progress: { step: 3 } });
    expect(jobStatus(on!)).toBe('step 3 of 4');
  });

  test('the library is what the engine last said', () => {
    const chosen = { dit: null, vae: null, text: null, tokenizer: null };
    const told = { items: [], chosen, missing: [], conflicts: [], plans: [], budget: 4e9 };
    expect(hear([{ type: 'library', library: told }]).library).toEqual(told);
    // it outlives the device
    const lost: WorkerMessage = {
      type: 'state',
      state: { name: 'device-lost', message: '', attempt: 1, attempts: 5 },
    };
    expect(hear([{ type: 'library', library: told }, lost]).library).toEqual(told);
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
