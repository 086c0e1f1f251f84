/**
 * Error classes of the whole program.
 *
 * Every message reads "<what>: <rule>: <actual>", so that the command line can print it as it is and the page can
 * show it beside its cause. `code` is stable and machine readable; the page switches on it.
 */

/** Base of every error this program raises on purpose. */
export class TabditError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A tensor's shape or dtype breaks an operation's rule. */
export class ShapeError extends TabditError {
  constructor(message: string) {
    super('shape', message);
  }
}

/** A file is not what it should be: damaged, unsupported or of another kind. */
export class FormatError extends TabditError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('format', message, options);
  }
}

/** A value given by the user (option, setting, config field) breaks a rule. */
export class InputError extends TabditError {
  constructor(message: string) {
    super('input', message);
  }
}

/** Wrong command-line usage (exit code 2). */
export class UsageError extends TabditError {
  constructor(message: string) {
    super('usage', message);
  }
}

/** Something needed is not there: a file, a tensor, a model part. */
export class NotFoundError extends TabditError {
  constructor(message: string) {
    super('not-found', message);
  }
}

/** The device's limits or the memory budget do not allow what was asked. */
export class LimitError extends TabditError {
  constructor(message: string) {
    super('limit', message);
  }
}

/** The GPU ran out of memory while creating a buffer. */
export class OutOfMemoryError extends TabditError {
  constructor(message: string) {
    super('out-of-memory', message);
  }
}

/** No WebGPU adapter or device can be had. */
export class NoDeviceError extends TabditError {
  constructor(message: string) {
    super('no-device', message);
  }
}

/** The GPU device was lost while in use. */
export class DeviceLostError extends TabditError {
  constructor(message: string) {
    super('device-lost', message);
  }
}

/**
 * What storage of the browser may refuse. `quota`: no room; `storage-unavailable`: the browser keeps nothing for this
 * site; `storage-newer`: written by a newer version of this program; `storage-blocked`: another tab stands in the way;
 * `storage-held`: another tab has what was asked for; `storage-failed`: anything else.
 */
export type StorageCode =
  'quota' | 'storage-unavailable' | 'storage-newer' | 'storage-blocked' | 'storage-held' | 'storage-failed';

/** Stored data cannot be read or written as things are; the data need not be damaged. */
export class StorageError extends TabditError {
  constructor(code: StorageCode, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
  }
}

/** The user cancelled the job. */
export class CancelledError extends TabditError {
  constructor(message = 'cancelled') {
    super('cancelled', message);
  }
}

/** A rule inside the program was broken: a defect, not the user's fault. */
export class InternalError extends TabditError {
  constructor(message: string) {
    super('internal', message);
  }
}

/** Throws an InternalError unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
