/** examples/understand/film-in-one-call.mjs as a user runs it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import sharp from 'sharp';
import { packageRoot } from '../../lib/native.js';

const root = packageRoot();

test('key words, sentiment and key frames of one film in one call', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-one-call-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const program = path.join(root, 'examples', 'understand', 'film-in-one-call.mjs');
  const trailer = path.join(root, 'examples', 'the-lighthouse-keeper', 'trailer.mp4');
  const { stdout } = await promisify(execFile)(process.execPath, [program, trailer, folder]);
  t.regex(stdout, /^key words, synopsis: .*lighthouse/m);
  t.regex(stdout, /^key words, script: .*lamp/m);
  t.regex(stdout, /^reviews: 50 % of 4 positive$/m);
  const tensions = [...stdout.matchAll(/tension ([\d.]+)/g)].map(([, value]) => Number(value));
  t.is(tensions.length, 8);
  t.is(tensions[6], Math.max(...tensions), 'the generator drowns');
  const frames = (await readdir(folder)).filter((name) => /\.jpe?g$/.test(name));
  t.is(frames.length, Number(/(\d+) key frames/.exec(stdout)?.[1]));
  t.true(frames.length >= 2);
  for (const frame of frames) {
    const { width, height } = await sharp(path.join(folder, frame)).metadata();
    t.true(width > 0 && height > 0);
    t.true(stdout.includes(frame));
  }
});
