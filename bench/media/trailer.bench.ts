import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as C from 'node-av/constants';
import { analyzeTrailer, type TrailerAnalysis } from '../../lib/trailer/index.js';
import { flat420, sine, writeMedia } from '../../test/media/zoo.js';
import { defineSuite } from '../harness.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-bench-'));
const clip = { path: join(folder, 'clip.mp4') };
const [WIDTH, HEIGHT, PICTURES, SHOT] = [1920, 1080, 144, 24];

/** Stripes that move, turned another way in every shot; a little noise, so that they are not free to decode. */
function stripes(i: number): Buffer {
  const shot = Math.floor(i / SHOT);
  const planes = flat420(WIDTH, HEIGHT, 0, 100 + 10 * shot, 150 - 8 * shot);
  const [across, down] = [1 + (shot % 3), 1 + ((shot * 2) % 5)];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const stripe = ((x * across + y * down + 6 * i) >> 1) % 160;
      planes[y * WIDTH + x] = 40 + stripe + ((x * 7 + y * 13 + i * 29) % 7);
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
      encoderOptions: { preset: 'ultrafast', crf: '26' },
      timesMs: Array.from({ length: PICTURES }, (_, i) => Math.round((1000 * i) / 24)),
      paint: stripes,
    },
    audio: {
      encoder: 'aac',
      sampleRate: 48000,
      channels: [sine(440, 48000, 48000 * 6), sine(660, 48000, 48000 * 6)],
      sampleFormat: C.AV_SAMPLE_FMT_FLTP,
    },
  });
}

export default defineSuite('trailer', {
  cases: async () => {
    prepare();
    return [
      {
        name: `${PICTURES / 24} s of H.264 ${WIDTH}x${HEIGHT} with sound`,
        items: PICTURES,
        contenders: {
          everything: () => analyzeTrailer(clip),
          'without motion': () => analyzeTrailer(clip, { motion: false }),
        },
        check: (results: Record<string, unknown>) => {
          for (const { pictures } of Object.values(results) as TrailerAnalysis[]) {
            if (pictures?.shots.length !== PICTURES / SHOT) throw new Error('not every shot was found');
          }
        },
      },
    ];
  },
  dispose: async () => rmSync(folder, { recursive: true, force: true }),
});
