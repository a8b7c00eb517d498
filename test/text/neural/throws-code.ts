import type { ExecutionContext } from 'ava';
import { CinefuseError, type ErrorCode } from '../../../lib/errors.js';

/** Asserts that a call fails with our error of this code. */
export async function throwsCode(t: ExecutionContext, call: () => unknown, code: ErrorCode): Promise<void> {
  const error = await t.throwsAsync(async () => void (await call()), { instanceOf: CinefuseError });
  t.is(error?.code, code, error?.message);
}
