// Draws and scores the example film: node examples/make-example.mjs
// Everything in examples/ is fictional and made by this project. The drawing and the sound are the same every time.
import { stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { writeMp4 } from './make/mp4.mjs';
import { drawPoster } from './make/poster.mjs';
import { SAMPLE_RATE, synthesise } from './make/sound.mjs';
import { drawFrame, TRAILER } from './make/trailer.mjs';

const target = (name) => fileURLToPath(new URL(`the-lighthouse-keeper/${name}`, import.meta.url));
const report = async (name) =>
  console.log(`${name}: ${((await stat(target(name))).size / 1024).toFixed(0)} KB`);

await writeFile(target('poster.jpg'), await drawPoster());
await report('poster.jpg');

async function* frames() {
  for (let i = 0; i < TRAILER.seconds * TRAILER.fps; i++) yield drawFrame(i);
}
await writeMp4(
  target('trailer.mp4'),
  { ...TRAILER, frames: frames() },
  { sampleRate: SAMPLE_RATE, channels: synthesise() },
);
await report('trailer.mp4');
