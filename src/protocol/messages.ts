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
  WeightChoice,
  WeightStorage,
} from './generate';
import type {
  LibraryItem,
  LibraryView,
  MemoryPart,
  PartChoice,
  Role,
  TensorFacts,
  TensorStatistics,
} from './library';

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
  /** What the added files are. */
  readonly addFiles: readonly LibraryItem[];
  readonly removeItem: null;
  readonly choosePart: null;
  readonly setBudget: null;
  readonly readTensors: readonly TensorFacts[];
  readonly readStatistics: TensorStatistics;
  readonly loadModel: ModelDescription;
  readonly unloadModel: null;
  readonly generate: GenerateResult;
  readonly cancel: null;
  readonly selfCheck: SelfCheckReport;
  readonly describeDevice: DeviceReport;
  readonly readPicture: PictureSettings | null;
}

export type RequestType = keyof Results;

/** A file as it was dropped: `path` has the folders it came in, with forward slashes. */
export interface DroppedFile {
  readonly path: string;
  readonly file: Blob;
}

/** Where a model comes from: a bundle's folder (address, absolute, ends with a slash), or what is chosen in the library. */
export type ModelSource = { readonly kind: 'bundle'; readonly base: string } | { readonly kind: 'library' };

/** Page to worker. */
export type PageMessage =
  /**
   * Opens the device. Answered with the adapter; a missing one is also told as state. `assets`: address of the program's
   * own files (tokenizers/), absolute, ends with a slash.
   */
  | { readonly type: 'init'; readonly id: RequestId; readonly assets: string }
  /** Adds files to the library: says what each is, without reading weights. Not a job: answered while others run. */
  | { readonly type: 'addFiles'; readonly id: RequestId; readonly files: readonly DroppedFile[] }
  | { readonly type: 'removeItem'; readonly id: RequestId; readonly item: string }
  /** Which part fills a role of the next model; null: none. */
  | {
      readonly type: 'choosePart';
      readonly id: RequestId;
      readonly role: Role;
      readonly choice: PartChoice | null;
    }
  /** Bytes that a model may take on the device; holds for the next model that is loaded. */
  | { readonly type: 'setBudget'; readonly id: RequestId; readonly bytes: number }
  /** The tensors of a library item. */
  | { readonly type: 'readTensors'; readonly id: RequestId; readonly item: string }
  /** Reads a tensor's values and sums them up. */
  | {
      readonly type: 'readStatistics';
      readonly id: RequestId;
      readonly item: string;
      readonly tensor: string;
    }
  /** Loads a model in place of the present one, once the jobs before it are done. */
  | {
      readonly type: 'loadModel';
      readonly id: RequestId;
      readonly source: ModelSource;
      readonly weights: WeightChoice;
    }
  /** Takes the model off the device. */
  | { readonly type: 'unloadModel'; readonly id: RequestId }
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
  | { readonly type: 'library'; readonly library: LibraryView }
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
  | { readonly kind: 'loadModel'; readonly source: ModelSource }
  | { readonly kind: 'unloadModel' }
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
  /** Bytes that a model may take where the user has not said: memory cannot be asked for, so it goes by the adapter. */
  readonly defaultBudget: number;
}

/** A loaded model: what it is, what it wants by default, what it takes. */
export interface ModelDescription {
  /** As asked for in `loadModel`. */
  readonly source: ModelSource;
  readonly name: string;
  readonly title: string;
  readonly licence: string;
  /** Edge of its pictures in pixels. */
  readonly imageSize: number;
  /** As stored on the device. */
  readonly weights: WeightStorage;
  /** What was asked for. */
  readonly weightChoice: WeightChoice;
  /** Whether all parts stay on the device, or come and go to keep within the budget. */
  readonly residency: 'resident' | 'staged';
  /** Bytes that it may take. */
  readonly budget: number;
  /** What int8 costs in exactness, the worst tensors first; empty for other weights. */
  readonly quantization: readonly QuantizationFacts[];
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

/** The error of a tensor stored as int8. */
export interface QuantizationFacts {
  readonly tensor: string;
  readonly maxError: number;
  /** sqrt(sum of squared errors / sum of squares). */
  readonly relativeError: number;
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
