/** The programs of `npm run verify:gpu`, which need no Node, on the emulated backend: that they work before a GPU is at hand. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';

const run = promisify(execFile);
const root = packageRoot();
const tool = (name: string) => path.join(root, 'build', 'gpu-tools', name);
const EMULATED = [
  '--backend',
  'emulated',
  '--library',
  path.join(root, 'build', 'emulated', 'libcinefuse_emulated.so'),
  '--small',
];

test.before(async () => {
  await run(process.execPath, [path.join(root, 'scripts', 'build-gpu-tools.mjs')]);
});

test('every operator agrees with its CPU twin, in every precision, and leaves no memory behind', async (t) => {
  const { stdout } = await run(tool('cinefuse_verify'), EMULATED);
  const [, passed, failed] = /verify: (\d+) passed, (\d+) failed/.exec(stdout) ?? [];
  t.is(failed, '0', stdout);
  t.true(Number(passed) > 600, stdout);
  t.regex(stdout, /device memory: 0 bytes in use at the end/);
});

test('a check that finds something fails', async (t) => {
  const { status, stdout } = spawnSync(
    tool('cinefuse_verify'),
    [...EMULATED, '--only', 'activation 3 (3, 7)'],
    {
      encoding: 'utf8',
      env: { ...process.env, CINEFUSE_EMULATED_FAULT: 'copy:1' },
    },
  );
  t.is(status, 1);
  t.regex(stdout, /FAILED {2}activation 3 .*planted[\s\S]*0 passed, 1 failed/);
});

test('the bench times every operator on the device and writes table and JSON', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-bench-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const json = path.join(folder, 'gpu.json');
  const markdown = path.join(folder, 'gpu.md');
  const { stdout } = await run(tool('cinefuse_bench'), [...EMULATED, '--json', json, '--markdown', markdown]);
  t.notRegex(stdout, /FAILED/);
  const { cases } = JSON.parse(readFileSync(json, 'utf8'));
  t.true(cases.length >= 25);
  for (const { name, medianUs, bytes } of cases) t.true(medianUs > 0 && bytes > 0, name);
  t.is(
    readFileSync(markdown, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| ')).length,
    cases.length + 2,
  );
});

test('without a GPU verify:gpu says so and fails', (t) => {
  const { status, stderr } = spawnSync('/bin/bash', [path.join(root, 'scripts', 'verify-gpu.sh')], {
    encoding: 'utf8',
    env: { PATH: '/nowhere' },
  });
  t.is(status, 1);
  t.regex(stderr, /was not found/);
});
