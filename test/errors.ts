/** Assertions on cinefuse's typed errors. */
import type { ExecutionContext } from 'ava';
import { CinefuseError, type ErrorCode } from '../lib/errors.js';

export interface ExpectedError {
  name?: string;
  code: ErrorCode;
  field?: string;
  file?: string;
  message?: RegExp;
}

/** `call` must throw or reject with a CinefuseError that has these properties. Returns it. */
export async function throwsTyped(
  t: ExecutionContext,
  call: () => unknown,
  expected: ExpectedError,
): Promise<CinefuseError> {
  let error: unknown;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof CinefuseError)) {
    t.fail(`expected ${JSON.stringify(expected)}, got ${error === undefined ? 'no error' : String(error)}`);
    throw error;
  }
  const { message, ...rest } = expected;
  t.like(error, rest);
  if (message) t.regex(error.message, message);
  return error;
}
