/**
 * Every error cinefuse throws. `code` is stable and is what programs should test; the message is for people:
 * what was expected, for which field or file, and what came. docs/errors.md lists the same codes.
 */

/** The one table of codes: class name by code. Tests hold it against docs/errors.md and the native addon. */
export const ERROR_CODES = {
  // what the caller passed
  ERR_INPUT_TYPE: 'InputError',
  ERR_INPUT_VALUE: 'InputError',
  ERR_INPUT_UNKNOWN_FIELD: 'InputError',
  ERR_INPUT_EMPTY: 'InputError',
  ERR_INPUT_FILE: 'InputError',
  ERR_INPUT_LANGUAGE: 'InputError',
  ERR_SHAPE: 'ShapeError',
  // the machine and the addon
  ERR_BACKEND: 'BackendError',
  ERR_NATIVE_LOAD: 'BackendError',
  ERR_DEVICE: 'BackendError',
  ERR_DEVICE_LOST: 'BackendError',
  ERR_HANDLE: 'BackendError',
  ERR_MEMORY: 'BackendError',
  ERR_INTERNAL: 'BackendError',
  // the life of a call or an object
  ERR_CANCELLED: 'CancelledError',
  ERR_DISPOSED: 'DisposedError',
  // images, video, sound
  ERR_MEDIA_NOT_FOUND: 'MediaError',
  ERR_MEDIA_READ: 'MediaError',
  ERR_MEDIA_FORMAT: 'MediaError',
  ERR_MEDIA_EMPTY: 'MediaError',
  ERR_MEDIA_LIMIT: 'MediaError',
  ERR_MEDIA_TIMEOUT: 'MediaError',
  ERR_MEDIA_PROCESS: 'MediaError',
  ERR_MEDIA_RUNTIME: 'MediaError',
  // encoders
  ERR_MODEL_NOT_FOUND: 'ModelError',
  ERR_MODEL_SPEC: 'ModelError',
  ERR_MODEL_LOAD: 'ModelError',
  ERR_MODEL_CHECKSUM: 'ModelError',
  ERR_MODEL_IO: 'ModelError',
  ERR_MODEL_RUN: 'ModelError',
  ERR_MODEL_QUEUE: 'ModelError',
  ERR_MODEL_RUNTIME: 'ModelError',
  ERR_MODEL_DOWNLOAD: 'ModelError',
  // bundles
  ERR_BUNDLE_NOT_FOUND: 'BundleError',
  ERR_BUNDLE_FORMAT: 'BundleError',
  ERR_BUNDLE_VERSION: 'BundleError',
  ERR_BUNDLE_CHECKSUM: 'BundleError',
  ERR_BUNDLE_SHAPE: 'BundleError',
  ERR_BUNDLE_PATH: 'BundleError',
  ERR_BUNDLE_LIMIT: 'BundleError',
  ERR_BUNDLE_WRITE: 'BundleError',
  // data sets
  ERR_DATA_NOT_FOUND: 'DataError',
  ERR_DATA_READ: 'DataError',
  ERR_DATA_FORMAT: 'DataError',
  ERR_DATA_COLUMN: 'DataError',
  ERR_DATA_LEAK: 'DataError',
  ERR_DATA_EMPTY: 'DataError',
  ERR_DATA_WRITE: 'DataError',
  // training
  ERR_TRAIN_CONFIG: 'TrainError',
  ERR_TRAIN_DIVERGED: 'TrainError',
  ERR_TRAIN_SINGULAR: 'TrainError',
  ERR_TRAIN_CHECKPOINT: 'TrainError',
  ERR_TRAIN_WRITE: 'TrainError',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

type CodeOf<Name extends string> = {
  [C in ErrorCode]: (typeof ERROR_CODES)[C] extends Name ? C : never;
}[ErrorCode];

export interface ErrorDetails {
  /** The input field, argument or tensor concerned, e.g. `trailer.path`. */
  field?: string | undefined;
  /** The file concerned. */
  file?: string | undefined;
  /** What would have been right, as a noun phrase: "a JPEG, PNG or WebP image". */
  expected?: string | undefined;
  /** What came, as a noun phrase: "a file of 0 bytes". */
  got?: string | undefined;
  cause?: unknown;
}

/** Base of all cinefuse errors. */
export class CinefuseError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code;
  declare readonly field?: string;
  declare readonly file?: string;
  declare readonly expected?: string;
  declare readonly got?: string;

  /**
   * @param message  given whole, or left out to be composed of the details:
   *   "Expected EXPECTED for FIELD (FILE), received GOT"
   */
  constructor(code: Code, details: ErrorDetails & { message?: string } = {}) {
    super(
      details.message ?? composeMessage(details),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.name = ERROR_CODES[code];
    if (details.field !== undefined) this.field = details.field;
    if (details.file !== undefined) this.file = details.file;
    if (details.expected !== undefined) this.expected = details.expected;
    if (details.got !== undefined) this.got = details.got;
  }

  /** Plain data for logs and machine-readable output: no stack, no cause. */
  toJSON(): { name: string; code: Code; message: string; field?: string; file?: string } {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      ...(this.field !== undefined && { field: this.field }),
      ...(this.file !== undefined && { file: this.file }),
    };
  }
}

function composeMessage({ field, file, expected, got }: ErrorDetails): string {
  const where = [field && ` for ${field}`, file && ` (${file})`].filter(Boolean).join('');
  return `Expected ${expected ?? 'something else'}${where}${got === undefined ? '' : `, received ${got}`}`;
}

/** What the caller passed is of the wrong type, value or name. */
export class InputError extends CinefuseError<CodeOf<'InputError'>> {}
/** Array lengths and shapes do not fit together. */
export class ShapeError extends CinefuseError<CodeOf<'ShapeError'>> {}
/** The native addon, the chosen device or its memory. */
export class BackendError extends CinefuseError<CodeOf<'BackendError'>> {}
/** Using an object after `dispose()`. */
export class DisposedError extends CinefuseError<CodeOf<'DisposedError'>> {}
/** An image, video or sound file could not be used. */
export class MediaError extends CinefuseError<CodeOf<'MediaError'>> {}
/** An ONNX encoder, its spec or its tokenizer could not be used. */
export class ModelError extends CinefuseError<CodeOf<'ModelError'>> {}
/** A bundle could not be read, verified or written. */
export class BundleError extends CinefuseError<CodeOf<'BundleError'>> {}
/** A data set, one of its tables or the cache of its embeddings could not be read, understood or written. */
export class DataError extends CinefuseError<CodeOf<'DataError'>> {}
/** A training configuration, run or checkpoint is not right. */
export class TrainError extends CinefuseError<CodeOf<'TrainError'>> {}
/** The caller's AbortSignal ended the call. `name` is 'AbortError', as the platform's own cancellations have it. */
export class CancelledError extends CinefuseError<CodeOf<'CancelledError'>> {
  constructor(details: ErrorDetails & { message?: string } = {}) {
    super('ERR_CANCELLED', { message: 'The call was cancelled by its AbortSignal', ...details });
    this.name = 'AbortError';
  }
}

const CLASSES = {
  InputError,
  ShapeError,
  BackendError,
  DisposedError,
  MediaError,
  ModelError,
  BundleError,
  DataError,
  TrainError,
};

/** An error of the class that belongs to `code`. For codes that arrive as data: from native code, a worker, a file. */
export function errorFromCode(
  code: ErrorCode,
  details: ErrorDetails & { message?: string } = {},
): CinefuseError {
  const name = ERROR_CODES[code];
  if (name === 'CancelledError') return new CancelledError(details);
  const Class = CLASSES[name] as new (code: ErrorCode, details: ErrorDetails) => CinefuseError;
  return new Class(code, details);
}

/** The error itself if it is ours; anything else as ERR_INTERNAL with its cause. */
export function asCinefuseError(error: unknown): CinefuseError {
  if (error instanceof CinefuseError) return error;
  const got = error instanceof Error ? error.message : String(error);
  return new BackendError('ERR_INTERNAL', { message: `A failure that should not be: ${got}`, cause: error });
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

/** Throws CancelledError when `signal` has fired. Called between the stages of everything that takes long. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
}

/** A short noun phrase for any value, for the `got` of an error: `the string "abc"`, `an array of 3`. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') {
    return value === ''
      ? 'an empty string'
      : `the string ${JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)}`;
  }
  if (typeof value === 'number') return `the number ${value}`;
  if (typeof value === 'boolean' || typeof value === 'bigint') return `the ${typeof value} ${value}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  if (typeof value === 'object') return `an object of type ${value.constructor?.name ?? 'null-prototype'}`;
  return `a ${typeof value}`;
}
