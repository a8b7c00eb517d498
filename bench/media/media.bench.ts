import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as C from 'node-av/constants';
import sharp from 'sharp';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { DecodedVideo, RgbImage } from '../../lib/media/types.js';
import { flat420, sine, writeMedia } from '../../test/media/zoo.js';
import { defineSuite } from '../harness.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-bench-'));
const thread = new MediaDecoder({ workers: 1 });
const child = new MediaDecoder({ isolation: 'process', workers: 1 });

const PICTURES = 750;
const [WIDTH, HEIGHT] = [640, 360];
const clip = { path: join(folder, 'clip.mp4') };
const song = { path: join(folder, 'song.mp3') };

/** Moving diagonal stripes with a little noise: neither trivial nor hopeless to code. */
function stripes(i: number): Buffer {
  const planes = flat420(WIDTH, HEIGHT, 0);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      planes[y * WIDTH + x] = 40 + ((x + y + 3 * i) % 160) + ((x * 7 + y * 13 + i * 29) % 11);
    }
  }
  return planes;
}

function prepare(): void {
  writeMedia(clip.path, 'mp4', {
    video: {
      width: WIDTH,
      height: HEIGHT,
      encoder: 'libx264',
      encoderOptions: { preset: 'veryfast' },
      gop: 50,
      bFrames: 2,
      timesMs: Array.from({ length: PICTURES }, (_, i) => 40 * i),
      paint: stripes,
    },
  });
  const channels = [sine(440, 44100, 44100 * 30), sine(660, 44100, 44100 * 30)];
  const sampleFormat = C.AV_SAMPLE_FMT_FLTP;
  writeMedia(song.path, 'mp3', {
    audio: { encoder: 'libmp3lame', sampleRate: 44100, channels, sampleFormat },
  });
}

const field = 'bench';
const uniform = (count: number) => ({ field, sampling: { kind: 'uniform' as const, count } });

/** 8 of all pictures, at the middle of 8 equal parts: what a program without seeking does. */
async function decodeAllThenPick(): Promise<DecodedVideo> {
  const all = await thread.video(clip, uniform(4096));
  const frames = Array.from({ length: 8 }, (_, i) => {
    const instant = ((i + 0.5) * all.durationMs) / 8;
    return all.frames.filter((frame) => frame.timestampMs <= instant).at(-1)!;
  });
  return { ...all, frames };
}

function sameTimes(results: Record<string, unknown>): void {
  const [first, ...others] = Object.values(results).map((video) =>
    (video as DecodedVideo).frames.map((frame) => frame.timestampMs).join(),
  );
  if (others.some((times) => times !== first)) throw new Error('the contenders took different pictures');
}

export default defineSuite('media', {
  cases: async () => {
    prepare();
    const poster = await sharp(stripes(0).subarray(0, WIDTH * HEIGHT), {
      raw: { width: WIDTH, height: HEIGHT, channels: 1 },
    })
      .resize(1000, 1500, { fit: 'fill' })
      .toColourspace('srgb')
      .jpeg({ quality: 90 })
      .toBuffer();
    return [
      {
        name: `video: 8 uniform pictures of ${PICTURES}, H.264 ${WIDTH}x${HEIGHT}`,
        items: 8,
        contenders: {
          thread: () => thread.video(clip, uniform(8)),
          process: () => child.video(clip, uniform(8)),
          'decode all, then pick': decodeAllThenPick,
        },
        check: sameTimes,
      },
      {
        name: 'sound: 30 s of stereo MP3 to mono at 16 kHz',
        contenders: {
          thread: () => thread.audio(song, { field, sampleRate: 16000 }),
          process: () => child.audio(song, { field, sampleRate: 16000 }),
        },
      },
      {
        name: 'image: JPEG 1000x1500',
        bytes: 3 * 1000 * 1500,
        contenders: {
          thread: () => thread.image(poster, { field }),
          process: () => child.image(poster, { field }),
          'sharp alone': async (): Promise<RgbImage> => {
            const { data, info } = await sharp(poster).raw().toBuffer({ resolveWithObject: true });
            return { data, width: info.width, height: info.height };
          },
        },
      },
    ];
  },
  dispose: async () => {
    await Promise.all([thread.dispose(), child.dispose()]);
    rmSync(folder, { recursive: true, force: true });
  },
});
