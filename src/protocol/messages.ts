/**
 * Every message between the page and the engine's worker, as two discriminated unions.
 *
 * The page sends requests, each with an id of its own. The engine answers each exactly once, with `done` or `failed`;
 * before that it may send `job` (queued, running, cancelling), progress and previews under the same id. Everything else
 * it says unasked: its state, the adapter, which model is loaded. The page shows what the engine said and never its
 * own wish: a job is cancelled when the engine says so. Both sides switch exhaustively over `type`.
 */
import type {
  GenerateProgress,
  GenerateSettings,
  GenerateTimings,
  Picture,
  PictureSettings,
  WeightStorage,
} from './generate';

export type RequestId = number;

/** An error as it crosses the thread: enough to show, to switch on (`code`) and to copy. */
export interface WireError {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly stack: string;
}

/** What a request gives when it is done, by request type. */
export interface Results {
  readonly init: AdapterDescription;
  readonly loadModel: ModelDescription;
  readonly generate: GenerateResult;
  readonly cancel: null;
  readonly selfCheck: SelfCheckReport;
  readonly describeDevice: DeviceReport;
  readonly readPicture: PictureSettings | null;
}

export type RequestType = keyof Results;

/** Page to worker. */
export type PageMessage =
  /** Opens the device. Answered with the adapter; a missing one is also told as state. */
  | { readonly type: 'init'; readonly id: RequestId }
  /** Loads the bundle whose folder is at `base` (absolute, ends with a slash) in place of the present model. */
  | {
      readonly type: 'loadModel';
      readonly id: RequestId;
      readonly base: string;
      readonly weights: WeightStorage;
    }
  | { readonly type: 'generate'; readonly id: RequestId; readonly settings: GenerateSettings }
  /** Ends job `job`, queued or running; that job then fails with code `cancelled`. */
  | { readonly type: 'cancel'; readonly id: RequestId; readonly job: RequestId }
  /** Runs every op on the device against its float64 reference. */
  | { readonly type: 'selfCheck'; readonly id: RequestId }
  | { readonly type: 'describeDevice'; readonly id: RequestId }
  /** Settings inside a picture file; null when it carries none. */
  | {
      readonly type: 'readPicture';
      readonly id: RequestId;
      readonly name: string;
      readonly bytes: Uint8Array<ArrayBuffer>;
    };

/** Worker to page. */
export type WorkerMessage =
  | { readonly type: 'state'; readonly state: EngineState }
  | { readonly type: 'adapter'; readonly adapter: AdapterDescription }
  | { readonly type: 'model'; readonly model: ModelDescription | null }
  | { readonly type: 'job'; readonly id: RequestId; readonly job: JobDescription; readonly phase: JobPhase }
  | {
      readonly type: 'loadProgress';
      readonly id: RequestId;
      readonly done: number;
      readonly total: number;
      readonly what: string;
    }
  | { readonly type: 'progress'; readonly id: RequestId; readonly progress: GenerateProgress }
  | {
      readonly type: 'preview';
      readonly id: RequestId;
      readonly step: number;
      readonly pictures: readonly Picture[];
    }
  | { readonly type: 'checkRow'; readonly id: RequestId; readonly row: SelfCheckRow; readonly of: number }
  | Done
  | { readonly type: 'failed'; readonly id: RequestId; readonly of: RequestType; readonly error: WireError };

/** The good answer to a request. */
export type Done = {
  readonly [K in RequestType]: {
    readonly type: 'done';
    readonly id: RequestId;
    readonly of: K;
    readonly value: Results[K];
  };
}[RequestType];

/** Work that occupies the GPU, done one after another in the order of asking. */
export type JobDescription =
  | { readonly kind: 'loadModel'; readonly base: string }
  | { readonly kind: 'generate'; readonly settings: GenerateSettings }
  | { readonly kind: 'selfCheck' };

export type JobPhase = 'queued' | 'running' | 'cancelling';

/** Where the engine stands. `message` is the engine's own sentence, for the details. */
export type EngineState =
  | { readonly name: 'starting' }
  /** `rebuilt`: how often the device was lost and opened again since the page was opened. */
  | { readonly name: 'ready'; readonly rebuilt: number }
  /** The worker sees no navigator.gpu. `secure`: whether the page came over https or from this machine. */
  | { readonly name: 'no-webgpu'; readonly secure: boolean }
  /** WebGPU is there, but no adapter or no device. */
  | { readonly name: 'no-adapter'; readonly message: string }
  /** The device went away and is being opened again: attempt `attempt` of `attempts`. */
  | {
      readonly name: 'device-lost';
      readonly message: string;
      readonly attempt: number;
      readonly attempts: number;
    }
  /** The engine itself broke; only a reload of the page helps. */
  | { readonly name: 'failed'; readonly error: WireError };

/** A graphics adapter and what this program took of it. */
export interface AdapterDescription {
  /** For people: "NVIDIA GeForce RTX 4090". */
  readonly words: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Computes on the CPU. */
  readonly software: boolean;
  /** Features and limits that the adapter offers. */
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** Those of the features, and the limits, that the device was asked for. */
  readonly usedFeatures: readonly string[];
  readonly usedLimits: Readonly<Record<string, number>>;
}

/** GPU memory of one purpose. */
export interface MemoryPart {
  /** For people: "weights". */
  readonly purpose: string;
  readonly bytes: number;
}

/** A loaded model: what it is, what it wants by default, what it takes. */
export interface ModelDescription {
  /** Where it came from, as asked for in `loadModel`. */
  readonly base: string;
  readonly name: string;
  readonly title: string;
  readonly licence: string;
  /** Edge of its pictures in pixels. */
  readonly imageSize: number;
  readonly weights: WeightStorage;
  readonly defaults: {
    readonly steps: number;
    readonly guidance: number;
    readonly prompts: readonly string[];
  };
  /** Parameters by part ("diffusion transformer", ...). */
  readonly parameters: readonly { readonly part: string; readonly count: number }[];
  readonly memory: readonly MemoryPart[];
  readonly plans: readonly PlanFacts[];
  /** Time from asking to ready. */
  readonly loadMs: number;
}

/** A plan in numbers. */
export interface PlanFacts {
  /** For people: "one evaluation". */
  readonly name: string;
  readonly macs: number;
  readonly dispatches: number;
  readonly pipelines: number;
  /** Bytes that the plan asked for, and bytes of the buffers then created. */
  readonly plannedBytes: number;
  readonly createdBytes: number;
}

/** One finished generation. */
export interface GenerateResult {
  readonly pictures: readonly FinishedPicture[];
  readonly timings: GenerateTimings;
}

/** A finished picture as a file: PNG with its settings inside. */
export interface FinishedPicture {
  readonly png: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  readonly settings: PictureSettings;
}

/** One case of the self-check: an op at one small shape, on the device against float64 on the CPU. */
export interface SelfCheckRow {
  /** The four files of an op share this name. */
  readonly stem: string;
  /** For people: "[7, 64] x [96, 64], bias". */
  readonly what: string;
  /** Largest error over largest value; Infinity when the device gave something that is not a number. */
  readonly error: number;
  readonly tolerance: number;
  readonly passed: boolean;
  /** Plan, compile, run and read back, in milliseconds. */
  readonly ms: number;
  /** What was thrown instead of a result; '' otherwise. */
  readonly problem: string;
}

export interface SelfCheckReport {
  readonly rows: readonly SelfCheckRow[];
  readonly ms: number;
}

/** What the Device panel shows besides the adapter. */
export interface DeviceReport {
  readonly adapter: AdapterDescription;
  /** Compute pipelines compiled so far. */
  readonly pipelines: number;
  /** GPU memory that the engine holds now, by purpose. */
  readonly memory: readonly MemoryPart[];
}
