/** Checks of what a Predictor is told beside the films. */
import { describeValue, InputError } from './errors.js';
import type { ExplainOptions } from './explain/types.js';
import type { WhatIfOptions } from './explain/what-if.js';
import { nearestName } from './nearest.js';
import type { PredictManyOptions, PredictOptions, PredictorOptions } from './options.js';
import { Stopwatch } from './stopwatch.js';
import { Trace } from './trace.js';

const namesOf = <Options extends object>(names: Record<keyof Required<Options>, true>) => Object.keys(names);

export const LOAD_OPTIONS = namesOf<PredictorOptions>({
  threads: true,
  encoderWorkers: true,
  device: true,
  encodersDevice: true,
  precision: true,
  isolation: true,
  mediaLimits: true,
  bundleLimits: true,
  concurrency: true,
  trace: true,
  signal: true,
});
export const PREDICT_OPTIONS = namesOf<PredictOptions>({ signal: true, onInputError: true });
export const PREDICT_MANY_OPTIONS = namesOf<PredictManyOptions>({
  signal: true,
  onInputError: true,
  batchSize: true,
  onProgress: true,
});
export const EXPLAIN_OPTIONS = namesOf<ExplainOptions>({
  signal: true,
  onInputError: true,
  head: true,
  maxSentences: true,
  maxWords: true,
  posterCells: true,
  draws: true,
  seed: true,
  index: true,
  comparables: true,
  onProgress: true,
});
export const WHAT_IF_OPTIONS = namesOf<WhatIfOptions>({ signal: true, onInputError: true });

/**
 * Options are an object of known names; `signal` is an AbortSignal.
 *
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_UNKNOWN_FIELD with the nearest name
 */
export function checkOptions(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'options',
      expected: `an object with any of ${known.join(', ')}`,
      got: describeValue(options),
    });
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, known);
    throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: `options.${unknown}`,
      expected: nearest ? `a known option (did you mean ${nearest}?)` : `one of ${known.join(', ')}`,
      got: 'an unknown option',
    });
  }
  const { signal } = options as { signal?: unknown };
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== 'function') {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'options.signal',
      expected: 'an AbortSignal',
      got: describeValue(signal),
    });
  }
}

/** @throws InputError ERR_INPUT_VALUE */
export function checkCount(field: string, value: number | undefined, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `an integer from 1 to ${most}`,
    got: describeValue(value),
  });
}

/** @throws InputError ERR_INPUT_TYPE */
export function checkTrace(trace: unknown): void {
  if (trace === undefined || trace instanceof Trace) return;
  throw new InputError('ERR_INPUT_TYPE', {
    field: 'options.trace',
    expected: 'a Trace',
    got: describeValue(trace),
  });
}

/** @throws InputError ERR_INPUT_VALUE */
export function checkInputErrors({ onInputError }: PredictOptions): void {
  if (onInputError === undefined || onInputError === 'throw' || onInputError === 'skip') return;
  throw new InputError('ERR_INPUT_VALUE', {
    field: 'onInputError',
    expected: "'throw' or 'skip'",
    got: describeValue(onInputError),
  });
}

/** The options of one encoding, with clocks of its own. */
export function encodeOptions({ signal, onInputError = 'throw' }: PredictOptions) {
  return { signal, onInputError, decoding: new Stopwatch(), encoding: new Stopwatch() };
}
