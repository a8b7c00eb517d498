/** examples/understand/bilstm.mjs and textcnn.mjs as a user runs them. */
import { execFile } from 'node:child_process';
import { mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';

async function run(name: string, ...args: string[]): Promise<{ stdout: string; accuracy: number }> {
  const program = path.join(packageRoot(), 'examples', 'understand', name);
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  return { stdout, accuracy: Number(/^accuracy: ([\d.]+)$/m.exec(stdout)?.[1]) };
}

test('the BiLSTM tells made-up reviews that it has not seen, and is written as ONNX', async (t) => {
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'cinefuse-test-')), 'bilstm.onnx');
  const { stdout, accuracy } = await run('bilstm.mjs', '--onnx', file);
  t.true(accuracy >= 0.85, stdout);
  t.true((await stat(file)).size > 10_000);
});

test('TextCNN tells them too, and says which words spoke', async (t) => {
  const { stdout, accuracy } = await run('textcnn.mjs');
  t.true(accuracy >= 0.85, stdout);
  t.regex(stdout, /^ +-?\d\.\d\d wonderful$/m);
});
