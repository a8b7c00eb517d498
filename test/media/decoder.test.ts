import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import * as C from 'node-av/constants';
import sharp from 'sharp';
import { DisposedError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import { throwsTyped } from '../errors.js';
import { flat420, sine, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-decoder-'));
const temporary = join(folder, 'tmp');
mkdirSync(temporary);
process.env.TMPDIR = temporary;
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const field = 'trailer';
const short = join(folder, 'short.mp4');
const long = join(folder, 'long.mkv');
writeMedia(short, 'mp4', {
  video: {
    width: 64,
    height: 48,
    encoder: 'libx264',
    timesMs: Array.from({ length: 40 }, (_, i) => 40 * i),
    paint: (i) => flat420(64, 48, 20 + 4 * i),
  },
  audio: {
    encoder: 'aac',
    sampleRate: 44100,
    channels: [sine(440, 44100, 44100)],
    sampleFormat: C.AV_SAMPLE_FMT_FLTP,
  },
});
// Takes seconds to decode whole: a job to interrupt.
writeMedia(long, 'matroska', {
  video: {
    width: 960,
    height: 540,
    encoder: 'libx264',
    encoderOptions: { preset: 'ultrafast' },
    gop: 10000,
    timesMs: Array.from({ length: 3000 }, (_, i) => 40 * i),
    paint: (i) => flat420(960, 540, i % 200),
  },
});

const few = { field, sampling: { kind: 'uniform' as const, count: 3 } };
const last = { field, sampling: { kind: 'uniform' as const, count: 1000 }, maxSide: 16 };
const ISOLATIONS = ['thread', 'process'] as const;
const onLinux = existsSync('/proc/self/task');

/** Processes started by this one that still run. */
function children(): number[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

const threads = () => readdirSync('/proc/self/task').length;

for (const isolation of ISOLATIONS) {
  test.serial(`${isolation}: cancelling a running call ends it; the next one works`, async (t) => {
    await using decoder = new MediaDecoder({ isolation, workers: 1 });
    await decoder.video({ path: short }, few);
    for (let round = 0; round < 3; round++) {
      const stop = new AbortController();
      const running = decoder.video({ path: long }, { ...last, signal: stop.signal });
      const queued = decoder.video({ path: short }, few);
      setTimeout(() => stop.abort(new Error('enough')), 60 * round);
      const error = await throwsTyped(t, () => running, { name: 'AbortError', code: 'ERR_CANCELLED' });
      t.is((error.cause as Error).message, 'enough');
      t.is((await queued).frames.length, 3);
    }
  });

  test.serial(
    `${isolation}: cancelled before it starts, while queued, and while a stream is awaited`,
    async (t) => {
      await using decoder = new MediaDecoder({ isolation, workers: 1 });
      const stream = Readable.from([readFileSync(short)]);
      const aborted = AbortSignal.abort();
      await throwsTyped(t, () => decoder.video(stream, { ...few, signal: aborted }), {
        code: 'ERR_CANCELLED',
      });
      t.true(stream.destroyed);

      const stop = new AbortController();
      const silent = new PassThrough();
      const waiting = decoder.video(silent, { ...few, signal: stop.signal });
      const queuedStop = new AbortController();
      const queuedStream = new PassThrough();
      const queued = decoder.image(queuedStream, { field, signal: queuedStop.signal });
      queuedStop.abort();
      await throwsTyped(t, () => queued, { code: 'ERR_CANCELLED' });
      t.true(queuedStream.destroyed);
      stop.abort();
      await throwsTyped(t, () => waiting, { code: 'ERR_CANCELLED' });
      t.true(silent.destroyed);
      t.deepEqual(readdirSync(temporary), []);
      t.is((await decoder.video({ path: short }, few)).frames.length, 3);
    },
  );

  test.serial(`${isolation}: a call that takes too long is given up`, async (t) => {
    await using decoder = new MediaDecoder({ isolation, workers: 1, limits: { timeoutMs: 400 } });
    const silent = new PassThrough();
    await throwsTyped(t, () => decoder.audio(silent, { field, sampleRate: 8000 }), {
      code: 'ERR_MEDIA_TIMEOUT',
      field,
      message: /within 400 ms \(limit timeoutMs\)/,
    });
    t.true(silent.destroyed);
    await using hasty = new MediaDecoder({ isolation, workers: 1, limits: { timeoutMs: 1 } });
    await throwsTyped(t, () => hasty.video({ path: long }, last), { code: 'ERR_MEDIA_TIMEOUT', file: long });
    await throwsTyped(t, () => hasty.video({ path: long }, last), { code: 'ERR_MEDIA_TIMEOUT', file: long });
    t.deepEqual(readdirSync(temporary), []);
  });

  test.serial(`${isolation}: dispose in mid-flight ends everything`, async (t) => {
    const decoder = new MediaDecoder({ isolation, workers: 2 });
    const stream = new PassThrough();
    const calls = [
      decoder.video({ path: long }, last),
      decoder.video(stream, few),
      decoder.video({ path: short }, few),
      decoder.audio(Buffer.from('queued'), { field, sampleRate: 8000 }),
    ];
    const outcomes = Promise.allSettled(calls);
    await sleep(100);
    await Promise.all([decoder.dispose(), decoder.dispose()]);
    for (const outcome of await outcomes) {
      t.true(
        outcome.status === 'rejected' && outcome.reason instanceof DisposedError,
        JSON.stringify(outcome),
      );
    }
    t.true(stream.destroyed);
    await throwsTyped(t, () => decoder.video({ path: short }, few), { code: 'ERR_DISPOSED' });
    await throwsTyped(t, () => decoder.image({ path: short }, few), { code: 'ERR_DISPOSED' });
    t.deepEqual(readdirSync(temporary), []);
    if (onLinux) t.deepEqual(children(), []);
  });

  test.serial(`${isolation}: parallel calls do not mix`, async (t) => {
    await using decoder = new MediaDecoder({ isolation, workers: 3 });
    const whole = { field, sampling: { kind: 'uniform' as const, count: 40 } };
    const expected = await decoder.video({ path: short }, whole);
    t.is(expected.frames.length, 40);
    const images = await Promise.all(
      [10, 90, 200].map((level) =>
        sharp({ create: { width: 5, height: 5, channels: 3, background: { r: level, g: level, b: level } } })
          .png()
          .toBuffer(),
      ),
    );
    const calls = Array.from({ length: 24 }, async (_, i) => {
      if (i % 3 === 0) t.deepEqual(await decoder.video({ path: short }, whole), expected);
      else if (i % 3 === 1)
        t.is((await decoder.image(images[i % 9 === 1 ? 0 : 1]!, { field })).data[0], i % 9 === 1 ? 10 : 90);
      else
        t.is((await decoder.audio({ path: short }, { field, sampleRate: 100 * i })).samples.length, 100 * i);
    });
    await Promise.all(calls);
  });

  test.serial(`${isolation}: many calls leave no threads, processes or files behind`, async (t) => {
    await using decoder = new MediaDecoder({ isolation, workers: 1 });
    const bytes = readFileSync(short);
    await decoder.video(bytes, few);
    await sleep(50);
    const before = onLinux && [threads(), children().length];
    for (let i = 0; i < 50; i++) {
      if (i % 2) t.is((await decoder.video(bytes, few)).frames.length, 3);
      else
        await decoder.video(bytes.subarray(0, 900), few).then(
          () => t.fail(),
          () => {},
        );
    }
    t.deepEqual(readdirSync(temporary), []);
    if (before) {
      t.true(threads() <= before[0]! + 1, `${threads()} threads, ${before[0]} before`);
      t.is(children().length, before[1]!);
    }
  });
}

if (onLinux) {
  test.serial('process: a child that is killed costs its own call only', async (t) => {
    await using decoder = new MediaDecoder({ isolation: 'process', workers: 1 });
    for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const) {
      const running = decoder.video({ path: long }, last);
      const outcome = throwsTyped(t, () => running, {
        code: 'ERR_MEDIA_PROCESS',
        field,
        file: long,
        message: new RegExp(`signal ${signal}`),
      });
      while (children().length === 0) await sleep(5);
      await sleep(150);
      for (const pid of children()) process.kill(pid, signal);
      await outcome;
      t.is((await decoder.video({ path: short }, few)).frames.length, 3);
    }
    // Killed while idle: nobody notices.
    for (const pid of children()) process.kill(pid, 'SIGKILL');
    await sleep(50);
    t.is((await decoder.video({ path: short }, few)).frames.length, 3);
  });

  test.serial('process: too much memory is a limit like the others', async (t) => {
    await using decoder = new MediaDecoder({
      isolation: 'process',
      workers: 1,
      limits: { maxProcessBytes: 30e6 },
    });
    for (let i = 0; i < 2; i++) {
      await throwsTyped(t, () => decoder.video({ path: long }, last), {
        code: 'ERR_MEDIA_LIMIT',
        message:
          /at most 30000000 bytes of memory in the decoding process \(limit maxProcessBytes\).*received \d+ bytes/,
      });
    }
  });
}

// From here on: what a whole process does with the library.

const entry = new URL('../../lib/media/decoder.js', import.meta.url).href;

interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

async function script(source: string): Promise<Outcome> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    env: { ...process.env, ENTRY: entry, SHORT: short, LONG: long },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece) => (stdout += piece));
  child.stderr.on('data', (piece) => (stderr += piece));
  const [code, signal] = await once(child, 'close');
  return { code, signal, stdout, stderr };
}

const PRELUDE = `
  const { MediaDecoder } = await import(process.env.ENTRY);
  const few = { field: 'x', sampling: { kind: 'uniform', count: 3 } };
  const last = { field: 'x', sampling: { kind: 'uniform', count: 1000 }, maxSide: 16 };
  const loaded = () => process.report.getReport().sharedObjects.filter((path) => /node-av|sharp|vips/.test(path)).length;
`;

test.serial('importing loads neither sharp nor FFmpeg; video loads no sharp', async (t) => {
  const { code, stdout, stderr } = await script(`${PRELUDE}
    process.stdout.write(loaded() + ' ');
    const decoder = new MediaDecoder();
    process.stdout.write(loaded() + ' ');
    await decoder.video({ path: process.env.SHORT }, few);
    process.stdout.write(process.report.getReport().sharedObjects.filter((path) => /sharp|vips/.test(path)).length + ' ');
    await decoder.dispose();`);
  t.deepEqual([code, stdout, stderr], [0, '0 0 0 ', '']);
});

for (const isolation of ISOLATIONS) {
  test.serial(`${isolation}: idle workers do not keep the process alive`, async (t) => {
    const { code, stdout, stderr } = await script(`${PRELUDE}
      const decoder = new MediaDecoder({ isolation: '${isolation}' });
      const [a, b] = await Promise.all([decoder.video({ path: process.env.SHORT }, few), decoder.video({ path: process.env.SHORT }, few)]);
      console.log(a.frames.length + b.frames.length);`);
    t.deepEqual([code, stdout, stderr], [0, '6\n', '']);
  });

  test.serial(`${isolation}: the process may exit, or fail, in the middle of a decode`, async (t) => {
    for (const [how, code] of [
      ['process.exit(7)', 7],
      ["queueMicrotask(() => { throw new Error('deliberate'); })", 1],
    ] as const) {
      for (const delay of [0, 30, 120, 250]) {
        const outcome = await script(`${PRELUDE}
          const decoder = new MediaDecoder({ isolation: '${isolation}' });
          decoder.video({ path: process.env.LONG }, last).catch(() => {});
          decoder.video(new Blob([await (await import('node:fs/promises')).readFile(process.env.LONG)]).stream(), last).catch(() => {});
          setTimeout(() => { ${how}; }, ${delay});`);
        t.deepEqual([outcome.code, outcome.signal], [code, null], outcome.stderr);
      }
      t.deepEqual(readdirSync(temporary), []);
    }
  });
}

test.serial('without the optional decoders the error says what to install', async (t) => {
  const bare = join(folder, 'bare');
  const lib = fileURLToPath(new URL('../../lib/', import.meta.url));
  mkdirSync(join(bare, 'lib'), { recursive: true });
  writeFileSync(join(bare, 'package.json'), '{ "type": "module" }');
  cpSync(join(lib, 'media'), join(bare, 'lib', 'media'), { recursive: true });
  for (const file of ['errors.js', 'exit.js', 'slots.js', 'trace.js'])
    cpSync(join(lib, file), join(bare, 'lib', file));
  const png = (
    await sharp({ create: { width: 2, height: 2, channels: 3, background: '#fff' } })
      .png()
      .toBuffer()
  ).toString('base64');
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    `const { MediaDecoder } = await import(${JSON.stringify(join(bare, 'lib/media/decoder.js'))});
     for (const isolation of ['thread', 'process']) {
       const decoder = new MediaDecoder({ isolation });
       const report = (error) => console.log(error.code, error.field, error.message);
       await decoder.video({ path: ${JSON.stringify(short)} }, { field: 'trailer', sampling: { kind: 'uniform', count: 1 } }).catch(report);
       await decoder.image(Buffer.from('${png}', 'base64'), { field: 'poster' }).catch(report);
       await decoder.dispose();
     }`,
  ]);
  const lines = stdout.trim().split('\n');
  t.is(lines.length, 4);
  for (const i of [0, 2]) t.regex(lines[i]!, /^ERR_MEDIA_RUNTIME trailer .*npm install node-av/);
  for (const i of [1, 3]) t.regex(lines[i]!, /^ERR_MEDIA_RUNTIME poster .*npm install sharp/);
});
