import { spawnSync } from 'node:child_process';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test from 'ava';
import * as C from 'node-av/constants';
import sharp from 'sharp';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { MediaInput } from '../../lib/media/source.js';
import { throwsTyped } from '../errors.js';
import { flat420, sine, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-source-'));
// What the library writes for buffers and streams goes here, so that leavings show.
const temporary = join(folder, 'tmp');
mkdirSync(temporary);
process.env.TMPDIR = temporary;

const decoders = {
  thread: new MediaDecoder(),
  process: new MediaDecoder({ isolation: 'process', workers: 1 }),
};
test.after.always(async () => {
  await Promise.all(Object.values(decoders).map((decoder) => decoder.dispose()));
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const field = 'trailer';
const video = { field, sampling: { kind: 'uniform' as const, count: 4 } };

const clip = file('clip.mp4');
writeMedia(clip, 'mp4', {
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
    channels: [sine(440, 44100, 70560)],
    sampleFormat: C.AV_SAMPLE_FMT_FLTP,
  },
});
const poster = file('poster.png');
for (const path of [clip, poster]) symlinkSync(path, `${path}.link`);
test.before(async () => {
  await sharp({ create: { width: 9, height: 7, channels: 3, background: '#123456' } }).toFile(poster);
});

function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The same content in every form a caller may have it in. */
function forms(path: string): [string, () => MediaInput][] {
  const bytes = readFileSync(path);
  const odd = new Uint8Array(bytes.length + 3);
  odd.set(bytes, 3);
  return [
    ['path', () => ({ path })],
    [
      'relative path',
      () => ({
        path: join(
          '.',
          path
            .split('/')
            .map(() => '..')
            .join('/'),
          path,
        ),
      }),
    ],
    ['symbolic link', () => ({ path: `${path}.link` })],
    ['Buffer', () => Buffer.from(bytes)],
    ['slice at an odd offset', () => odd.subarray(3)],
    ['file stream', () => createReadStream(path)],
    ['stream of small pieces', () => Readable.from(pieces(bytes, 37))],
    ['web stream', () => new Blob([bytes]).stream() as unknown as MediaInput],
  ];
}

for (const [isolation, decoder] of Object.entries(decoders)) {
  test.serial(`${isolation}: every form of input gives the same video, sound, image and facts`, async (t) => {
    const expected = await decoder.video({ path: clip }, video);
    t.is(expected.frames.length, 4);
    const sound = await decoder.audio({ path: clip }, { field, sampleRate: 8000 });
    t.is(sound.samples.length, 12800);
    for (const [name, form] of forms(clip)) {
      t.deepEqual(await decoder.video(form(), video), expected, name);
      t.deepEqual(await decoder.audio(form(), { field, sampleRate: 8000 }), sound, name);
      t.like(await decoder.probe(form(), { field }), {
        format: 'mov',
        video: { codec: 'h264', width: 64, height: 48, frameRate: 25 },
        audio: { codec: 'aac', sampleRate: 44100, channels: 1 },
      });
    }
    for (const [name, form] of forms(poster)) {
      const image = await decoder.image(form(), { field: 'poster' });
      t.deepEqual([image.width, image.height, ...image.data.subarray(186)], [9, 7, 0x12, 0x34, 0x56], name);
      t.deepEqual(await decoder.probe(form(), { field: 'poster' }), {
        format: 'png',
        image: { width: 9, height: 7 },
      });
    }
    t.deepEqual(readdirSync(temporary), []);
  });

  test.serial(`${isolation}: what is not a regular file is refused at once`, async (t) => {
    const fifo = file(`fifo ${isolation}`);
    t.is(spawnSync('mkfifo', [fifo]).status, 0);
    const socket = file(`socket ${isolation}`);
    const server = createServer().listen(socket);
    try {
      for (const [path, kind] of [
        [fifo, /a FIFO/],
        [socket, /a socket/],
        [folder, /a directory/],
        ['/dev/zero', /a device/],
      ] as const) {
        const calls = [
          () => decoder.image({ path }, { field }),
          () => decoder.video({ path }, video),
          () => decoder.audio({ path }, { field, sampleRate: 8000 }),
          () => decoder.probe({ path }, { field }),
        ];
        for (const call of calls)
          await throwsTyped(t, call, { code: 'ERR_MEDIA_READ', field, file: path, message: kind });
      }
    } finally {
      server.close();
    }
    const missing = file('missing.mp4');
    await throwsTyped(t, () => decoder.video({ path: missing }, video), {
      code: 'ERR_MEDIA_NOT_FOUND',
      file: missing,
    });
    await throwsTyped(t, () => decoder.video({ path: `${clip}/x` }, video), { code: 'ERR_MEDIA_NOT_FOUND' });
    const empty = file('empty.mp4');
    writeFileSync(empty, '');
    await throwsTyped(t, () => decoder.video({ path: empty }, video), {
      code: 'ERR_MEDIA_EMPTY',
      file: empty,
    });
  });

  test.serial(`${isolation}: no path and no file content leads FFmpeg elsewhere`, async (t) => {
    // Reached only by protocols: each of these would open the clip if FFmpeg were to parse it.
    for (const path of [
      `concat:${clip}`,
      `subfile,,start,0,end,0,,:${clip}`,
      `file:${clip}`,
      'http://127.0.0.1:9/x.mp4',
      'pipe:0',
      'data:,x',
    ]) {
      await throwsTyped(t, () => decoder.video({ path }, video), { code: 'ERR_MEDIA_NOT_FOUND', field });
    }
    const tricks = {
      'list.m3u8': `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n${clip}\n#EXT-X-ENDLIST\n`,
      'list.mp4': `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n${clip}\n#EXT-X-ENDLIST\n`,
      'list.ffconcat': `ffconcat version 1.0\nfile '${clip}'\n`,
      'list.txt': `file '${clip}'\n`,
      'list.mpd': `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation id="1"><BaseURL>${clip}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
      'list.sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n',
    };
    for (const [name, content] of Object.entries(tricks)) {
      const path = file(`${isolation} ${name}`);
      writeFileSync(path, content);
      await throwsTyped(t, () => decoder.video({ path }, video), { code: 'ERR_MEDIA_FORMAT', file: path });
      await throwsTyped(t, () => decoder.audio(Buffer.from(content), { field, sampleRate: 8000 }), {
        code: 'ERR_MEDIA_FORMAT',
      });
    }
    // Names that look like protocols, patterns or options are names.
    for (const name of ['concat:a.mp4', '%03d.mp4', '-i.mp4', 'a b\n"\'$(x)🎬.mp4']) {
      const path = file(`${isolation === 'thread' ? '' : 'p'}${name}`);
      writeFileSync(path, readFileSync(clip));
      t.is((await decoder.video({ path }, video)).frames.length, 4, name);
    }
  });

  test.serial(`${isolation}: streams are bounded, and their failures come back`, async (t) => {
    let given = 0;
    const endless = () =>
      Readable.from(
        (function* () {
          for (;;) {
            given += 65536;
            yield Buffer.alloc(65536);
          }
        })(),
      );
    await using strict = new MediaDecoder({
      isolation: isolation as 'thread' | 'process',
      limits: { maxBytes: 2_000_000, maxImageBytes: 1_000_000 },
    });
    const big = endless();
    await throwsTyped(t, () => strict.video(big, video), {
      code: 'ERR_MEDIA_LIMIT',
      field,
      message: /more than 2000000 bytes/,
    });
    t.true(big.destroyed);
    t.true(given < 4_000_000, `read ${given}`);
    await throwsTyped(t, () => strict.image(endless(), { field }), {
      code: 'ERR_MEDIA_LIMIT',
      message: /limit maxImageBytes/,
    });
    await throwsTyped(t, () => strict.audio(Buffer.alloc(2_000_001), { field, sampleRate: 8000 }), {
      code: 'ERR_MEDIA_LIMIT',
      message: /received 2000001 bytes/,
    });
    const failing = () =>
      Readable.from(
        (async function* () {
          yield Buffer.alloc(10);
          throw new Error('the disk is gone');
        })(),
      );
    await throwsTyped(t, () => decoder.video(failing(), video), {
      code: 'ERR_MEDIA_READ',
      message: /the disk is gone/,
    });
    await throwsTyped(t, () => decoder.image(failing(), { field }), {
      code: 'ERR_MEDIA_READ',
      message: /the disk is gone/,
    });
    await throwsTyped(t, () => decoder.video(Readable.from([]), video), { code: 'ERR_MEDIA_EMPTY' });
    await throwsTyped(t, () => decoder.video(Readable.from(['text']), video), {
      code: 'ERR_INPUT_TYPE',
      field,
    });
    t.deepEqual(readdirSync(temporary), []);
  });
}

test.serial('what is no input at all is told apart', async (t) => {
  const { thread } = decoders;
  for (const input of [undefined, null, 42, 'clip.mp4', {}, { path: 7 }, []]) {
    await throwsTyped(t, () => thread.video(input as never, video), {
      name: 'InputError',
      code: 'ERR_INPUT_TYPE',
      field,
    });
  }
  await throwsTyped(t, () => thread.video({ path: '' }, video), {
    code: 'ERR_INPUT_EMPTY',
    field: 'trailer.path',
  });
  await throwsTyped(t, () => thread.video({ path: 'a\0b' }, video), {
    code: 'ERR_INPUT_VALUE',
    field: 'trailer.path',
  });
  const locked = new Blob(['x']).stream();
  locked.getReader();
  await throwsTyped(t, () => thread.video(locked as never, video), { code: 'ERR_INPUT_VALUE', field });
  for (const sampling of [
    { kind: 'every' },
    { kind: 'uniform', count: 0 },
    { kind: 'uniform', count: 1.5 },
    { kind: 'fps', fps: 0, maxCount: 3 },
    { kind: 'fps', fps: Number.NaN, maxCount: 3 },
    { kind: 'keyframes', maxCount: -1 },
    undefined,
  ]) {
    await throwsTyped(t, () => thread.video({ path: clip }, { field, sampling: sampling as never }), {
      code: 'ERR_INPUT_VALUE',
    });
  }
  await throwsTyped(t, () => thread.video({ path: clip }, { ...video, maxSide: 0 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'trailer.maxSide',
  });
  await throwsTyped(t, () => thread.audio({ path: clip }, { field, sampleRate: 0.5 }), {
    code: 'ERR_INPUT_VALUE',
  });
  await throwsTyped(t, () => thread.audio({ path: clip }, { field, sampleRate: 8000, maxDurationMs: -1 }), {
    code: 'ERR_INPUT_VALUE',
  });
  await throwsTyped(t, () => new MediaDecoder({ workers: 0 }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, () => new MediaDecoder({ isolation: 'vm' as never }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, () => new MediaDecoder({ limits: { maxByte: 1 } as never }), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
  });
  await throwsTyped(t, () => new MediaDecoder({ limits: { maxBytes: -1 } }), {
    code: 'ERR_INPUT_VALUE',
    field: 'limits.maxBytes',
  });
});

test.serial('random bytes and mutated files: an error or a result, never a crash', async (t) => {
  const { process: child } = decoders;
  const whole = readFileSync(clip);
  let state = 99;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let errors = 0;
  for (let round = 0; round < 60; round++) {
    const bytes = round % 6 === 0 ? Buffer.alloc(3000) : Buffer.from(whole);
    const changes = round % 6 === 0 ? bytes.length : 1 + Math.floor(random() * 40);
    for (let i = 0; i < changes; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    for (const decoder of [decoders.thread, child]) {
      const results = await Promise.allSettled([
        decoder.video(bytes, video),
        decoder.audio(bytes, { field, sampleRate: 8000 }),
      ]);
      for (const result of results) {
        if (result.status === 'fulfilled') continue;
        errors++;
        t.is(result.reason.name, 'MediaError', String(result.reason));
        t.not(result.reason.code, 'ERR_MEDIA_PROCESS', String(result.reason));
      }
    }
  }
  t.true(errors > 20, `only ${errors} of the calls failed`);
  t.is((await decoders.thread.video({ path: clip }, video)).frames.length, 4);
  t.deepEqual(readdirSync(temporary), []);
});
