/** examples/understand/lstm-mel.mjs as a user runs it: what it says of windows that it has not learnt from. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';
import { sharedPath, sharedTest } from '../shared.js';

const program = path.join(packageRoot(), 'examples', 'understand', 'lstm-mel.mjs');

async function heldOut(...args: string[]): Promise<{ share: number; windows: number; losses: number[] }> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args]);
  const [, right, windows] = /held out: (\d+) of (\d+) windows right/.exec(stdout) ?? [];
  const losses = [...stdout.matchAll(/loss ([\d.]+)/g)].map(([, value]) => Number(value));
  return { share: Number(right) / Number(windows), windows: Number(windows), losses };
}

test('the trailer: an LSTM tells its halves apart by half a second of sound', async (t) => {
  const { share, windows, losses } = await heldOut();
  t.true(windows >= 12 && share >= 0.75, `${share} of ${windows}`);
  t.true(losses.length === 8 && losses[7]! < 0.7 * losses[0]!);
});

test('the trailer: the same by half a second of its pictures', async (t) => {
  const { share, windows } = await heldOut('--pictures');
  t.true(windows >= 12 && share >= 0.75, `${share} of ${windows}`);
});

const MUSIC = 'data/movies/media/music_outfoxing.mp3';
sharedTest('music: forwards or backwards, which only the order of the steps tells', [MUSIC], async (t) => {
  const { share, windows } = await heldOut('--arrow', sharedPath(MUSIC));
  t.true(windows >= 100 && share >= 0.75, `${share} of ${windows}`);
});
