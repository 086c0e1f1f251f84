/**
 * What the page knows about the engine: a pure function of the messages that came, in order. Nothing here is a wish; a
 * job is in the list because the engine said it queued it, and gone because the engine said it ended.
 */
import type { GenerateProgress, Picture } from '../../protocol/generate';
import type {
  AdapterDescription,
  DeviceReport,
  EngineState,
  JobDescription,
  JobPhase,
  ModelDescription,
  RequestId,
  SelfCheckRow,
  WireError,
  WorkerMessage,
} from '../../protocol/messages';

/** A job that the engine has taken on. */
export interface Job {
  readonly id: RequestId;
  readonly job: JobDescription;
  readonly phase: JobPhase;
  /** Of a generation; null until the engine said something. */
  readonly progress: GenerateProgress | null;
  /** Noise level after each finished step. */
  readonly sigmas: readonly number[];
  readonly preview: { readonly step: number; readonly pictures: readonly Picture[] } | null;
  /** Of a model being loaded, or a self-check under way. */
  readonly load: { readonly done: number; readonly total: number; readonly what: string } | null;
}

export interface SelfCheckView {
  readonly id: RequestId;
  readonly rows: readonly SelfCheckRow[];
  /** How many rows there will be; 0 while not known. */
  readonly of: number;
  /** Total time in milliseconds once done; null while running. */
  readonly ms: number | null;
}

export interface EngineView {
  readonly state: EngineState;
  readonly adapter: AdapterDescription | null;
  readonly model: ModelDescription | null;
  /** The last model that was loaded: its defaults stay in the fields while none is (a lost device, a reload). */
  readonly lastModel: ModelDescription | null;
  /** In the engine's order: the first is the one that runs. */
  readonly jobs: readonly Job[];
  readonly selfCheck: SelfCheckView | null;
  readonly device: DeviceReport | null;
  /** How the last generation ended; null before the first and while one is asked for. */
  readonly lastEnd: 'done' | 'cancelled' | 'failed' | null;
  /** The last failure of each kind of work; gone when such work starts again. Cancelling is no failure. */
  readonly errors: {
    readonly loadModel: WireError | null;
    readonly generate: WireError | null;
    readonly selfCheck: WireError | null;
  };
}

export const initialEngineView: EngineView = {
  state: { name: 'starting' },
  adapter: null,
  model: null,
  lastModel: null,
  jobs: [],
  selfCheck: null,
  device: null,
  lastEnd: null,
  errors: { loadModel: null, generate: null, selfCheck: null },
};

/** The view after `message`. */
export function reduceEngine(view: EngineView, message: WorkerMessage): EngineView {
  switch (message.type) {
    case 'state':
      return reduceState(view, message.state);
    case 'adapter':
      return { ...view, adapter: message.adapter };
    case 'model':
      return { ...view, model: message.model, lastModel: message.model ?? view.lastModel };
    case 'job':
      return reduceJob(view, message.id, message.job, message.phase);
    case 'loadProgress': {
      const { done, total, what } = message;
      return changeJob(view, message.id, () => ({ load: { done, total, what } }));
    }
    case 'progress': {
      const { progress } = message;
      return changeJob(view, message.id, (job) => ({
        progress,
        sigmas:
          progress.stage === 'sample' && progress.step > job.sigmas.length
            ? [...job.sigmas, progress.sigma]
            : job.sigmas,
      }));
    }
    case 'preview': {
      const { step, pictures } = message;
      return changeJob(view, message.id, () => ({ preview: { step, pictures } }));
    }
    case 'checkRow': {
      const { selfCheck } = view;
      if (selfCheck?.id !== message.id) return view;
      const rows = [...selfCheck.rows, message.row];
      return { ...view, selfCheck: { ...selfCheck, rows, of: message.of } };
    }
    case 'done': {
      const after = withoutJob(view, message.id);
      switch (message.of) {
        case 'selfCheck': {
          const { rows, ms } = message.value;
          return { ...after, selfCheck: { id: message.id, rows, of: rows.length, ms } };
        }
        case 'describeDevice':
          return { ...after, device: message.value };
        case 'generate':
          return { ...after, lastEnd: 'done' };
        case 'init':
        case 'loadModel':
        case 'cancel':
        case 'readPicture':
          return after;
        default:
          message satisfies never;
          return after;
      }
    }
    case 'failed': {
      const { of, error } = message;
      const cancelled = error.code === 'cancelled';
      const without = withoutJob(view, message.id);
      const after =
        of === 'generate'
          ? { ...without, lastEnd: cancelled ? ('cancelled' as const) : ('failed' as const) }
          : without;
      if (cancelled) return after;
      if (of !== 'loadModel' && of !== 'generate' && of !== 'selfCheck') return after;
      return { ...after, errors: { ...after.errors, [of]: error } };
    }
    default:
      message satisfies never;
      return view;
  }
}

function reduceState(view: EngineView, state: EngineState): EngineView {
  switch (state.name) {
    case 'starting':
    case 'ready':
      return { ...view, state };
    // without a device there is no model and no work
    case 'no-webgpu':
    case 'no-adapter':
    case 'device-lost':
    case 'failed':
      return { ...view, state, model: null, jobs: [] };
    default:
      state satisfies never;
      return view;
  }
}

function reduceJob(view: EngineView, id: RequestId, job: JobDescription, phase: JobPhase): EngineView {
  if (view.jobs.some((known) => known.id === id)) return changeJob(view, id, () => ({ phase }));
  const added: Job = { id, job, phase, progress: null, sigmas: [], preview: null, load: null };
  return {
    ...view,
    jobs: [...view.jobs, added],
    errors: { ...view.errors, [job.kind]: null },
    selfCheck: job.kind === 'selfCheck' ? { id, rows: [], of: 0, ms: null } : view.selfCheck,
    lastEnd: job.kind === 'generate' ? null : view.lastEnd,
  };
}

function changeJob(view: EngineView, id: RequestId, change: (job: Job) => Partial<Job>): EngineView {
  return { ...view, jobs: view.jobs.map((job) => (job.id === id ? { ...job, ...change(job) } : job)) };
}

function withoutJob(view: EngineView, id: RequestId): EngineView {
  const jobs = view.jobs.filter((job) => job.id !== id);
  return jobs.length === view.jobs.length ? view : { ...view, jobs };
}

/** The generation that occupies the engine now. */
export function runningGeneration(view: EngineView): Job | undefined {
  return view.jobs.find((job) => job.job.kind === 'generate' && job.phase !== 'queued');
}

/** Generations that wait. */
export function queuedGenerations(view: EngineView): readonly Job[] {
  return view.jobs.filter((job) => job.job.kind === 'generate' && job.phase === 'queued');
}

/** The model being loaded. */
export function loadingJob(view: EngineView): Job | undefined {
  return view.jobs.find((job) => job.job.kind === 'loadModel');
}

/** How far a job is, 0 to 1; null when nobody knows. */
export function jobFraction(job: Job): number | null {
  if (job.load) return job.load.total > 0 ? Math.min(1, job.load.done / job.load.total) : null;
  if (!job.progress) return null;
  return job.progress.steps > 0 ? Math.min(1, job.progress.step / job.progress.steps) : null;
}
