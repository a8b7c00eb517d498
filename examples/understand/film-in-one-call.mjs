/**
 * Key words, sentiment and key frames of one film in one call.
 *
 *   node examples/understand/film-in-one-call.mjs                    the example film
 *   node examples/understand/film-in-one-call.mjs trailer.mp4 frames/   another trailer, its key frames saved to a folder
 */
import { fileURLToPath } from 'node:url';
import { analyzeFilm } from 'cinefuse';

const [trailer, directory] = process.argv.slice(2);
const own = (file) => ({ path: fileURLToPath(new URL(`../the-lighthouse-keeper/${file}`, import.meta.url)) });

const film = await analyzeFilm(
  {
    title: 'The Lighthouse Keeper',
    synopsis: own('synopsis.txt'),
    script: own('script.fountain'),
    reviews: [
      'Quiet, patient and beautifully shot. Askerud is magnificent as the keeper.',
      'The storm is thrilling, but the plot takes an hour to arrive.',
      'A dull script. Even the lovely music cannot save it.',
      'Moving to the last frame. I cried.',
    ],
    trailer: trailer ? { path: trailer } : own('trailer.mp4'),
  },
  { trailer: { keyFrames: { maxCount: 6, directory } } },
);

for (const [text, keywords] of Object.entries(film.keywords)) {
  console.log(`key words, ${text}: ${keywords.map(({ term }) => term).join(', ')}`);
}

console.log(`tone of the synopsis: ${film.synopsis.tone.toFixed(2)}, 0 grim to 1 warm`);
for (const { heading, tone, tension } of film.script.scenes) {
  console.log(`  ${heading.padEnd(34)} tone ${tone.toFixed(2)}  tension ${tension.value.toFixed(2)}`);
}

const { tone, telling } = film.reviews;
console.log(`reviews: ${Math.round(100 * tone.positiveShare)} % of ${tone.count} positive`);
for (const { text } of [...telling.positive.slice(0, 1), ...telling.negative.slice(0, 1)])
  console.log(`  “${text}”`);

const { shots, keyFrames } = film.trailer.pictures;
console.log(`trailer: ${shots.length} shots, ${keyFrames.length} key frames`);
for (const { timeMs, file } of keyFrames) console.log(`  ${(timeMs / 1000).toFixed(2)} s ${file ?? ''}`);
