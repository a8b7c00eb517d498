import { describeValue, InputError, MediaError } from '../errors.js';

/** Bounds on what one media call may use. Every breach is a MediaError that names the limit, the value and the field. */
export interface MediaLimits {
  /** Bytes of a video or sound file, buffer or stream. */
  maxBytes: number;
  /** Bytes of an image file, buffer or stream. */
  maxImageBytes: number;
  /** Pixels (width × height) of an image. */
  maxImagePixels: number;
  /** Pixels (width × height) of one picture of a video. */
  maxFramePixels: number;
  /** Duration of a video, or of the sound asked for. */
  maxDurationMs: number;
  /** Pictures taken from one video. */
  maxFrames: number;
  /** Bytes of all samples that one call returns. */
  maxDecodedBytes: number;
  /** Wall time of one call, from the moment it leaves the queue. */
  timeoutMs: number;
  /** Resident memory of a decoding child process (`isolation: 'process'` only). */
  maxProcessBytes: number;
}

const MiB = 2 ** 20;

/** docs/media.md shows the same table; a test holds the two together. */
export const DEFAULT_LIMITS: Readonly<MediaLimits> = Object.freeze({
  maxBytes: 2048 * MiB,
  maxImageBytes: 64 * MiB,
  maxImagePixels: 100_000_000,
  maxFramePixels: 36_000_000,
  maxDurationMs: 4 * 3_600_000,
  maxFrames: 4096,
  maxDecodedBytes: 1024 * MiB,
  timeoutMs: 120_000,
  maxProcessBytes: 2048 * MiB,
});

/** The defaults with the caller's changes. @throws InputError ERR_INPUT_UNKNOWN_FIELD, ERR_INPUT_TYPE, ERR_INPUT_VALUE */
export function resolveLimits(changes: Partial<MediaLimits> = {}): MediaLimits {
  const limits: MediaLimits = { ...DEFAULT_LIMITS };
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
        field: `limits.${name}`,
        expected: `one of ${Object.keys(DEFAULT_LIMITS).join(', ')}`,
        got: describeValue(name),
      });
    }
    if (value === undefined) continue;
    if (typeof value !== 'number') {
      throw new InputError('ERR_INPUT_TYPE', {
        field: `limits.${name}`,
        expected: 'a number',
        got: describeValue(value),
      });
    }
    if (!(value > 0)) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `limits.${name}`,
        expected: 'a number above 0 (Infinity for no limit)',
        got: describeValue(value),
      });
    }
    limits[name as keyof MediaLimits] = value;
  }
  return limits;
}

const UNITS: Record<keyof MediaLimits, string> = {
  maxBytes: 'bytes',
  maxImageBytes: 'bytes',
  maxImagePixels: 'pixels',
  maxFramePixels: 'pixels a picture',
  maxDurationMs: 'ms',
  maxFrames: 'pictures',
  maxDecodedBytes: 'bytes of decoded samples',
  timeoutMs: 'ms',
  maxProcessBytes: 'bytes of memory in the decoding process',
};

/** Whose input is being read: goes into every error. */
export interface Subject {
  field: string;
  file?: string | undefined;
}

export function limitError(
  subject: Subject,
  limit: keyof MediaLimits,
  bound: number,
  value: string,
): MediaError {
  return new MediaError('ERR_MEDIA_LIMIT', {
    ...subject,
    expected: `at most ${bound} ${UNITS[limit]} (limit ${limit})`,
    got: value,
  });
}

/** @throws MediaError ERR_MEDIA_LIMIT when `value` is above the limit */
export function checkLimit(
  subject: Subject,
  limits: MediaLimits,
  limit: keyof MediaLimits,
  value: number,
  described = `${value} ${UNITS[limit]}`,
): void {
  if (value > limits[limit]) throw limitError(subject, limit, limits[limit], described);
}

/** The parent's clock has run out. */
export function timeoutError(subject: Subject, limits: MediaLimits): MediaError {
  return new MediaError('ERR_MEDIA_TIMEOUT', {
    ...subject,
    expected: `a result within ${limits.timeoutMs} ms (limit timeoutMs)`,
    got: 'none in that time',
  });
}
