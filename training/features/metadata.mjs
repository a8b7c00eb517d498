// Metadata vectors of every film, by the library's own encoder.
//   node training/features/metadata.mjs
// Training films are encoded by tables of people made from the other nine tenths of the training films (several
// random foldings: the head sees a different one each epoch), so that no film's rating is in its own vector.
import fs from 'node:fs';
import path from 'node:path';
import { DEFAULT_FIT, fitMetadata, fitPeople } from '../../dist/lib/metadata/fit.js';
import { MetadataEncoder } from '../../dist/lib/metadata/metadata-encoder.js';
import { CACHE, readFilms } from '../dataset.mjs';
import { writeSafetensors } from '../safetensors.mjs';

const FOLDS = 10;
const FOLDINGS = 4;
/**
 * In every other folding a field is hidden with this chance, so that the head meets films of which little is told
 * and so that "no budget given" does not simply mean "obscure film".
 */
const HIDDEN = {
  budget: 0.3,
  runtime: 0.1,
  cast: 0.1,
  director: 0.1,
  genres: 0.05,
  title: 0.1,
  releaseDate: 0.05,
  language: 0.2,
};

/** mulberry32: the same foldings on every machine. */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function exportMetadata(films, isTrain, name, options = DEFAULT_FIT) {
  const train = films.filter(isTrain);
  const rowOf = (film) => ({
    fields: film.fields,
    rating: film.target.rating,
    logRevenue: film.target.anyLogRevenue,
  });
  const rows = train.map(rowOf);
  const spec = fitMetadata(rows, options);
  const encoder = new MetadataEncoder(spec);
  const full = new Float32Array(films.length * encoder.dim);
  films.forEach((film, i) => {
    full.set(encoder.encode(film.fields).data, i * encoder.dim);
  });
  const tensors = { full: { shape: [films.length, encoder.dim], data: full } };
  const trainIndex = films.flatMap((film, i) => (isTrain(film) ? [i] : []));
  for (let folding = 0; folding < FOLDINGS; folding++) {
    const random = randomOf(1000 + folding);
    const fold = train.map(() => Math.floor(random() * FOLDS));
    const held = full.slice();
    const told = train.map(({ fields }) => {
      if (folding % 2 === 0) return fields;
      const entries = Object.entries(fields).filter(([name]) => random() >= HIDDEN[name]);
      return Object.fromEntries(entries);
    });
    for (let k = 0; k < FOLDS; k++) {
      const others = rows.filter((_, i) => fold[i] !== k);
      const people = fitPeople(others, spec, options);
      const other = new MetadataEncoder({ ...spec, people });
      train.forEach((_, i) => {
        if (fold[i] === k) held.set(other.encode(told[i]).data, trainIndex[i] * encoder.dim);
      });
    }
    tensors[`folding${folding}`] = { shape: [films.length, encoder.dim], data: held };
  }
  fs.mkdirSync(CACHE, { recursive: true });
  writeSafetensors(path.join(CACHE, `metadata${name}.safetensors`), tensors);
  fs.writeFileSync(
    path.join(CACHE, `metadata${name}.json`),
    JSON.stringify({ spec, featureNames: encoder.featureNames }),
  );
  console.log(`metadata${name}: ${films.length} films, ${encoder.dim} features, ${FOLDINGS} foldings`);
}

const films = readFilms();
exportMetadata(films, (film) => film.split === 'train', '');
if (process.argv.includes('--budget-flag')) {
  exportMetadata(films, (film) => film.split === 'train', '-flag', { ...DEFAULT_FIT, budgetFlag: true });
}
// the split by time: nothing after 2010 in the tables
exportMetadata(films, (film) => film.year <= 2010, '-2010');
