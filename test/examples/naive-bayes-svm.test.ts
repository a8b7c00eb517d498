/** examples/understand/naive-bayes-svm.mjs as a user runs it. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';

const program = path.join(packageRoot(), 'examples', 'understand', 'naive-bayes-svm.mjs');

async function accuracies(...args: string[]): Promise<{ accuracy: Record<string, number>; stdout: string }> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  const found = [...stdout.matchAll(/^([\w-]+) +accuracy ([\d.]+) %/gm)];
  return { stdout, accuracy: Object.fromEntries(found.map(([, kind, value]) => [kind, Number(value)])) };
}

test('made-up reviews: all three learn, and the words that spoke are named', async (t) => {
  const { accuracy, stdout } = await accuracies();
  t.deepEqual(Object.keys(accuracy), ['naive-bayes', 'svm', 'nb-svm']);
  for (const [kind, value] of Object.entries(accuracy)) t.true(value >= 85, `${kind}: ${value}`);
  t.regex(stdout, /positive with a probability of 0\.[5-9]/);
  t.regex(stdout, /\+ \d\.\d\d {2}(clever|moving)/);
});
