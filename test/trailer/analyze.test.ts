/** analyzeTrailer whole: key frames on disk, what is missing, inputs of every form, errors, cancelling, the command. */
import { execFile } from 'node:child_process';
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import * as C from 'node-av/constants';
import sharp from 'sharp';
import { MediaDecoder } from '../../lib/media/decoder.js';
import { packageRoot } from '../../lib/native.js';
import { analyzeTrailer, type TrailerProgress } from '../../lib/trailer/index.js';
import { throwsTyped } from '../errors.js';
import { sine, writeMedia } from '../media/zoo.js';
import { shot, take, writeFilm } from './shot-films.js';

const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-test-analyze-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const example = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', 'trailer.mp4');
const silent = path.join(folder, 'silent.mp4');
writeFilm(
  silent,
  [1, 2, 1, 3].flatMap((seed, i) => take(shot(seed), 20, 4 * i)),
);
const song = path.join(folder, 'song.flac');
writeMedia(song, 'flac', {
  audio: {
    encoder: 'flac',
    sampleRate: 44100,
    channels: [sine(440, 44100, 44100)],
    sampleFormat: C.AV_SAMPLE_FMT_S16,
  },
});

for (const format of ['jpeg', 'png'] as const) {
  test(`key frames are saved as ${format}: distinct, of their time, in the video's size`, async (t) => {
    const directory = path.join(folder, 'frames', format);
    const { pictures } = await analyzeTrailer(
      { path: example },
      { keyFrames: { directory, format }, motion: false, sound: false },
    );
    const { keyFrames, shots, width, height } = pictures!;
    t.deepEqual(
      keyFrames.map(({ shot }) => shot),
      [0, 1, 2, 3],
    );
    t.deepEqual(readdirSync(directory).sort(), keyFrames.map(({ file }) => path.basename(file!)).sort());
    await using decoder = new MediaDecoder();
    const input = { path: example };
    for (const { file, timeMs, shot, index } of keyFrames) {
      t.true(timeMs >= shots[shot]!.startMs && timeMs < shots[shot]!.endMs);
      t.true(index >= shots[shot]!.first && index <= shots[shot]!.last);
      const name = path.basename(file!);
      t.true(name.includes(`00h00m${(timeMs / 1000).toFixed(3).padStart(6, '0')}s`), name);
      const { data, info } = await sharp(file!).raw().toBuffer({ resolveWithObject: true });
      t.deepEqual([info.width, info.height, info.format], [width, height, 'raw']);
      t.is((await sharp(file!).metadata()).format, format);
      // The picture is the one of that time: its brightness is that of the video's Y there.
      const { frames } = await decoder.video(input, {
        field: 'x',
        sampling: { kind: 'times', timesMs: [timeMs] },
      });
      const [frame] = frames;
      const y = frame!.data.subarray(0, width * height).reduce((sum, v) => sum + v, 0) / (width * height);
      const rgb = data.reduce((sum, v) => sum + v, 0) / data.length;
      t.true(Math.abs(((y - 16) * 255) / 219 - rgb) < 12, `${y} ${rgb}`);
    }
  });
}

test('pictures of one place are one key frame; the count is kept', async (t) => {
  const options = { motion: false, sound: false };
  const { pictures } = await analyzeTrailer({ path: silent }, options);
  t.is(pictures!.shots.length, 4);
  t.is(pictures!.keyFrames.length, 3);
  const two = await analyzeTrailer({ path: silent }, { ...options, keyFrames: { maxCount: 2 } });
  t.is(two.pictures!.keyFrames.length, 2);
  const none = await analyzeTrailer({ path: silent }, { ...options, keyFrames: false });
  t.deepEqual(none.pictures!.keyFrames, []);
});

test('the example: everything at once, as plain data, whatever form the input has', async (t) => {
  const stages = new Map<string, number[]>();
  const onProgress = ({ stage, done }: TrailerProgress) =>
    stages.set(stage, [...(stages.get(stage) ?? []), done]);
  const whole = await analyzeTrailer({ path: example }, { onProgress });
  t.deepEqual(JSON.parse(JSON.stringify(whole)), whole);
  const { pictures, sound, durationMs } = whole;
  t.true(Math.abs(durationMs - 8000) < 50);
  // 192 packets, of which one holds no picture to show: ffprobe -count_frames.
  t.deepEqual([pictures!.width, pictures!.height, pictures!.frameCount], [320, 180, 191]);
  t.true(sound!.loudness.integratedLufs! > -30 && sound!.loudness.integratedLufs! < -5);
  for (const curve of Object.values(pictures!.curves)) {
    t.is(curve.values.length, 80);
    t.true(curve.values.every(Number.isFinite));
  }
  t.true(pictures!.figures.motion! > 0);
  // The storm moves more than the title.
  t.true(pictures!.shots[2]!.motion! > pictures!.shots[3]!.motion!);
  for (const [stage, shares] of stages) {
    t.deepEqual(
      shares,
      [...shares].sort((a, b) => a - b),
      stage,
    );
    t.is(shares.at(-1), 1, stage);
  }
  t.deepEqual([...stages.keys()].sort(), ['motion', 'pictures', 'shots', 'sound']);
  const of = { motion: false, sound: false, keyFrames: false } as const;
  const shots = pictures!.shots.map(({ startMs }) => startMs);
  for (const media of [readFileSync(example), createReadStream(example)]) {
    const again = await analyzeTrailer(media, of);
    t.deepEqual(
      again.pictures!.shots.map(({ startMs }) => startMs),
      shots,
    );
  }
  const isolated = await analyzeTrailer({ path: example }, { ...of, isolation: 'process' });
  t.deepEqual(
    isolated.pictures!.shots.map(({ startMs }) => startMs),
    shots,
  );
});

test('results do not depend on the number of threads', async (t) => {
  const [one, three] = await Promise.all(
    [1, 3].map((threads) => analyzeTrailer({ path: example }, { exec: { threads } })),
  );
  t.deepEqual(one, three);
});

test('without pictures, without sound', async (t) => {
  const heard = await analyzeTrailer({ path: song });
  t.is(heard.pictures, null);
  t.true(Math.abs(heard.durationMs - 1000) < 1);
  t.is(heard.sound!.channels, 1);
  const seen = await analyzeTrailer({ path: silent }, { motion: false });
  t.is(seen.sound, null);
  t.is(seen.pictures!.frameCount, 80);
});

test('errors say what is wrong', async (t) => {
  const wrong = path.join(folder, 'text.mp4');
  writeFileSync(wrong, 'no video at all, but long enough to be looked at');
  const poster = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', 'poster.jpg');
  await throwsTyped(t, () => analyzeTrailer({ path: wrong }), { code: 'ERR_MEDIA_FORMAT' });
  await throwsTyped(t, () => analyzeTrailer({ path: poster }), { code: 'ERR_MEDIA_FORMAT' });
  await throwsTyped(t, () => analyzeTrailer({ path: path.join(folder, 'none.mp4') }), {
    code: 'ERR_MEDIA_NOT_FOUND',
  });
  await throwsTyped(t, () => analyzeTrailer(5 as never), { code: 'ERR_INPUT_TYPE' });
  const badly = (keyFrames: object) => () => analyzeTrailer({ path: example }, { keyFrames });
  await throwsTyped(t, badly({ maxCount: 0 }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, badly({ maxCount: 257 }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, badly({ quality: 1.5 }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, badly({ format: 'gif' }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, badly({ directory: path.join(wrong, 'below-a-file') }), { code: 'ERR_INPUT_FILE' });
  await throwsTyped(t, () => analyzeTrailer({ path: example }, { limits: { maxDecodedBytes: 1000 } }), {
    code: 'ERR_MEDIA_LIMIT',
  });
});

test('a signal ends it, before and in the middle', async (t) => {
  await throwsTyped(t, () => analyzeTrailer({ path: example }, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  for (const stage of ['pictures', 'shots', 'motion'] as const) {
    const controller = new AbortController();
    const onProgress = (progress: TrailerProgress) => {
      if (progress.stage === stage) controller.abort();
    };
    await throwsTyped(t, () => analyzeTrailer({ path: example }, { signal: controller.signal, onProgress }), {
      code: 'ERR_CANCELLED',
    });
  }
});

test('cinefuse trailer: a page for people, JSON for programs', async (t) => {
  const run = promisify(execFile);
  const main = path.join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  const frames = path.join(folder, 'cli');
  const { stdout, stderr } = await run(process.execPath, [main, 'trailer', example, '--frames', frames]);
  t.is(stderr, '');
  for (const part of ['0:08.00 · 320 x 180', '4 shots', '1 flash', 'LUFS', 'fade (black)', 'key frames']) {
    t.true(stdout.includes(part), part);
  }
  t.is(readdirSync(frames).length, 4);
  const json = await run(process.execPath, [
    main,
    'trailer',
    song,
    '--json',
    '--no-motion',
    '--isolation',
    'process',
  ]);
  const { pictures, sound } = JSON.parse(json.stdout) as { pictures: null; sound: { channels: number } };
  t.deepEqual([pictures, sound.channels], [null, 1]);
  const failed = await t.throwsAsync(run(process.execPath, [main, 'trailer', example, '--count', 'x']));
  t.is((failed as Error & { code: number }).code, 2);
});
