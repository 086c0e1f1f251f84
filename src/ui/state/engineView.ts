/**
 * What the page knows about the engine: a pure function of the messages that came, in order, and of when they came.
 * Nothing here is a wish; a job is in the list because the engine said it queued it, and gone because the engine said it
 * ended.
 */
import type { GenerateProgress, Picture } from '../../protocol/generate';
import type { LibraryView } from '../../protocol/library';
import type {
  AdapterDescription,
  DeviceReport,
  EngineState,
  JobDescription,
  JobPhase,
  ModelDescription,
  ModelSource,
  RequestId,
  RequestType,
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
  /** Of a model being loaded, or a part that a generation brings back onto the device; null once it goes on. */
  readonly load: LoadView | null;
}

/** How far weights are loaded: `done` of `total` bytes. */
export interface LoadView {
  readonly done: number;
  readonly total: number;
  readonly what: string;
  /** Where it stood at the first report, and when that came, in milliseconds since 1970. */
  readonly first: { readonly at: number; readonly done: number };
  /** Estimate for the rest in milliseconds; null until there is a measurement. */
  readonly leftMs: number | null;
}

/** Why a model was not loaded, and where it should have come from. */
export interface LoadFailure {
  readonly source: ModelSource;
  readonly error: WireError;
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
  /** Dropped files, and what they make together; null until the engine told of any. */
  readonly library: LibraryView | null;
  /** The last request to load a model that the engine took on. */
  readonly lastLoad: { readonly id: RequestId; readonly source: ModelSource } | null;
  /** In the engine's order: the first is the one that runs. */
  readonly jobs: readonly Job[];
  readonly selfCheck: SelfCheckView | null;
  readonly device: DeviceReport | null;
  /** How the last generation ended; null before the first and while one is asked for. */
  readonly lastEnd: 'done' | 'cancelled' | 'failed' | null;
  /**
   * The last failure of each kind of work; gone when such work starts again, of a load only when the same source is
   * loaded: what broke is still to be read while the model before comes back. Cancelling is no failure.
   */
  readonly errors: {
    readonly loadModel: LoadFailure | null;
    readonly unloadModel: WireError | null;
    readonly generate: WireError | null;
    readonly selfCheck: WireError | null;
  };
}

/** States in which there is no engine to work with. */
export type UnavailableState = Extract<EngineState, { name: 'no-webgpu' | 'no-adapter' | 'failed' }>;

export const initialEngineView: EngineView = {
  state: { name: 'starting' },
  adapter: null,
  model: null,
  lastModel: null,
  library: null,
  lastLoad: null,
  jobs: [],
  selfCheck: null,
  device: null,
  lastEnd: null,
  errors: { loadModel: null, unloadModel: null, generate: null, selfCheck: null },
};

/** The view after `message`, which came at `now`, in milliseconds since 1970. */
export function reduceEngine(view: EngineView, message: WorkerMessage, now: number): EngineView {
  switch (message.type) {
    case 'state':
      return reduceState(view, message.state);
    case 'adapter':
      return { ...view, adapter: message.adapter };
    case 'model':
      return { ...view, model: message.model, lastModel: message.model ?? view.lastModel };
    case 'library':
      return { ...view, library: message.library };
    case 'job':
      return reduceJob(view, message.id, message.job, message.phase);
    case 'loadProgress': {
      const { done, total, what } = message;
      return changeJob(view, message.id, ({ load }) => {
        // a second part begins anew
        const first = load && load.done <= done ? load.first : { at: now, done };
        return { load: { done, total, what, first, leftMs: timeLeft(first, done, total, now) } };
      });
    }
    case 'progress': {
      const { progress } = message;
      return changeJob(view, message.id, (job) => ({
        progress,
        load: null,
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
        case 'addFiles':
        case 'removeItem':
        case 'choosePart':
        case 'setBudget':
        case 'readTensors':
        case 'readStatistics':
        case 'loadModel':
        case 'unloadModel':
        case 'cancel':
        case 'readPicture':
          return after;
        default:
          message satisfies never;
          return after;
      }
    }
    case 'failed':
      return reduceFailure(view, message.id, message.of, message.error);
    default:
      message satisfies never;
      return view;
  }
}

function reduceFailure(view: EngineView, id: RequestId, of: RequestType, error: WireError): EngineView {
  const cancelled = error.code === 'cancelled';
  const without = withoutJob(view, id);
  const after =
    of === 'generate'
      ? { ...without, lastEnd: cancelled ? ('cancelled' as const) : ('failed' as const) }
      : without;
  if (cancelled) return after;
  if (of === 'loadModel') {
    // a request that the engine never took on has no source to show it beside
    if (after.lastLoad?.id !== id) return after;
    return { ...after, errors: { ...after.errors, loadModel: { source: after.lastLoad.source, error } } };
  }
  if (of !== 'unloadModel' && of !== 'generate' && of !== 'selfCheck') return after;
  return { ...after, errors: { ...after.errors, [of]: error } };
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
  const after = { ...view, jobs: [...view.jobs, added] };
  switch (job.kind) {
    case 'loadModel': {
      const { loadModel } = view.errors;
      const same = loadModel?.source.kind === job.source.kind;
      const errors = { ...view.errors, loadModel: same ? null : loadModel };
      return { ...after, errors, lastLoad: { id, source: job.source } };
    }
    case 'unloadModel':
      return { ...after, errors: { ...view.errors, unloadModel: null } };
    case 'generate':
      return { ...after, errors: { ...view.errors, generate: null }, lastEnd: null };
    case 'selfCheck':
      return {
        ...after,
        errors: { ...view.errors, selfCheck: null },
        selfCheck: { id, rows: [], of: 0, ms: null },
      };
    default:
      job satisfies never;
      return after;
  }
}

/** Time for the rest at the speed so far, in milliseconds; null before a second has passed. */
function timeLeft(first: LoadView['first'], done: number, total: number, now: number): number | null {
  const passed = now - first.at;
  const read = done - first.done;
  if (passed < 1000 || read <= 0) return null;
  return (passed / read) * Math.max(0, total - done);
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

/** The model being loaded, or waiting for it. */
export function loadingJob(view: EngineView): Job | undefined {
  return view.jobs.find((job) => job.job.kind === 'loadModel');
}

/** The load from one kind of source. */
export function loadingFrom(view: EngineView, kind: ModelSource['kind']): Job | undefined {
  return view.jobs.find(({ job }) => job.kind === 'loadModel' && job.source.kind === kind);
}

/** Whether the model will be another one, or none, once the jobs are done. */
export function modelChanges(view: EngineView): boolean {
  return view.jobs.some(({ job }) => job.kind === 'loadModel' || job.kind === 'unloadModel');
}

/** Whether there is nothing to compute with: the page shows what is missing in place of its panels. */
export function isUnavailable(state: EngineState): state is UnavailableState {
  return state.name === 'no-webgpu' || state.name === 'no-adapter' || state.name === 'failed';
}

/** How far a job is, 0 to 1; null when nobody knows. A generation goes by its steps. */
export function jobFraction({ job, load, progress }: Job): number | null {
  if (job.kind === 'loadModel') return load && load.total > 0 ? Math.min(1, load.done / load.total) : null;
  return progress && progress.steps > 0 ? Math.min(1, progress.step / progress.steps) : null;
}
