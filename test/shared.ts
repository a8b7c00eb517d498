/**
 * Tests on material that is not part of the project: the real films, clips, models and the full set of golden
 * vectors, which lie beside a development checkout. Where they are not, the test is skipped under a name that says so.
 */
import { existsSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { sharedPath } from './shared-path.js';

export { SHARED, sharedPath } from './shared-path.js';

/** A test that needs `needs` (paths under the shared folder). */
export function sharedTest(title: string, needs: string[], body: (t: ExecutionContext) => unknown): void {
  const absent = needs.filter((need) => !existsSync(sharedPath(need)));
  if (absent.length === 0) test(title, (t) => body(t) as Promise<void>);
  else test.skip(`SKIPPED, not there: ${absent.join(', ')}: ${title}`, () => {});
}
