// TF-IDF vocabulary and sparse vectors of reviews, by the library's own code.
//   node training/features/terms.mjs
import fs from 'node:fs';
import path from 'node:path';
import { fitVocabulary, TfidfEncoder } from '../../dist/lib/text/tfidf.js';
import { CACHE, readReviews } from '../dataset.mjs';
import { writeSafetensors } from '../safetensors.mjs';

function exportTerms(name, texts, isTrain, options) {
  const { terms, idf } = fitVocabulary(
    texts.filter((_, i) => isTrain[i]),
    options,
  );
  const spec = { version: 1, name, vocabulary: terms.join('\n'), dim: 1, languages: ['en'] };
  const encoder = new TfidfEncoder(spec, {
    idf,
    projection: new Int8Array(terms.length),
    scale: new Float32Array(1),
  });
  const rows = texts.map((text) => encoder.sparse(text));
  const starts = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => {
    starts[i + 1] = starts[i] + row.length;
  });
  const entries = rows.flat();
  writeSafetensors(path.join(CACHE, `${name}-sparse.safetensors`), {
    starts: { shape: [starts.length], data: starts },
    columns: { shape: [entries.length], data: Int32Array.from(entries, ([index]) => index) },
    values: { shape: [entries.length], data: Float32Array.from(entries, ([, value]) => value) },
    idf: { shape: [idf.length], data: idf },
  });
  fs.writeFileSync(path.join(CACHE, `${name}-terms.json`), JSON.stringify(terms));
  console.log(`${name}: ${texts.length} texts, ${terms.length} terms, ${entries.length} entries`);
}

const reviews = [...readReviews('imdb_reviews'), ...readReviews('rt_polarity')];
exportTerms(
  'reviews',
  reviews.map((review) => review.text),
  reviews.map((review) => review.split === 'train'),
  { leastTexts: 5, maxTerms: 12000 },
);
