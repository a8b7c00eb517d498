/**
 * Tests on material that is not part of the project: the real films, clips, models and the full set of golden
 * vectors, which lie beside a development checkout. Where they are not, the test is skipped under a name that says so.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../lib/native.js';

/** The folder with the material, by CINEFUSE_SHARED or beside the checkout. */
export const SHARED = process.env.CINEFUSE_SHARED ?? path.join(packageRoot(), '..', 'shared');

export function sharedPath(...parts: string[]): string {
  return path.join(SHARED, ...parts);
}

/** A test that needs `needs` (paths under the shared folder). */
export function sharedTest(title: string, needs: string[], body: (t: ExecutionContext) => unknown): void {
  const absent = needs.filter((need) => !existsSync(sharedPath(need)));
  if (absent.length === 0) test(title, (t) => body(t) as Promise<void>);
  else test.skip(`SKIPPED, not there: ${absent.join(', ')}: ${title}`, () => {});
}
