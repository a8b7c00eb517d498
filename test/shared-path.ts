/** Where the material is that is not part of the project; benchmarks ask too, which run without a test runner. */
import path from 'node:path';
import { packageRoot } from '../lib/native.js';

/** The folder with the material, by CINEFUSE_SHARED or beside the checkout. */
export const SHARED = process.env.CINEFUSE_SHARED ?? path.join(packageRoot(), '..', 'shared');

export function sharedPath(...parts: string[]): string {
  return path.join(SHARED, ...parts);
}
