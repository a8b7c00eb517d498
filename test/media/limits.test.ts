import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { DEFAULT_LIMITS } from '../../lib/media/limits.js';
import { packageRoot } from '../../lib/native.js';

test('docs/media.md lists the limits and their defaults', (t) => {
  const text = readFileSync(join(packageRoot(), 'docs', 'media.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name, value]) => [
    name,
    Number(value),
  ]);
  t.deepEqual(Object.fromEntries(rows), { ...DEFAULT_LIMITS });
});
