/**
 * Word2Vec in process: vectors of size 100 from a window of 5 words, and the ten words nearest to a review.
 *
 *   node examples/understand/word2vec.mjs                            on the example film's few texts
 *   node examples/understand/word2vec.mjs reviews.tsv text           on a column of tables with tabs
 *   node examples/understand/word2vec.mjs reviews.txt                on a text a line
 *   ... --review "A dull, overlong sequel."                          nearest to this instead of the one below
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { corpusLines, parseScreenplay, splitSentences, WordVectors, words } from 'cinefuse/text';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { review: { type: 'string' } },
});

/** Synopsis and script of the example film, a sentence each: far too little to learn much from, but it runs. */
function exampleTexts() {
  const read = (name) =>
    readFileSync(fileURLToPath(new URL(`../the-lighthouse-keeper/${name}`, import.meta.url)), 'utf8');
  const script = parseScreenplay(read('script.fountain'));
  return [read('synopsis.txt'), ...script.elements.map(({ text }) => text)].flatMap((text) =>
    splitSentences(text).map(({ start, end }) => text.slice(start, end)),
  );
}

const [file, column] = positionals;
const small = file === undefined;
const corpus = small ? exampleTexts() : corpusLines([file], { column });
const started = performance.now();
const vectors = await WordVectors.train(corpus, {
  ...{ dim: 100, window: 5, algorithm: 'skip-gram' },
  ...(small && { minCount: 1, epochs: 60, learningRate: 0.05, subsample: 0 }),
});
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${vectors.words.length} words of ${vectors.dim} numbers in ${seconds} s`);

const review =
  values.review ?? 'A lonely woman, a storm, and a voice on the radio: slow, but the light stays with you.';
console.log(`nearest to: ${review}`);
const own = words(review).map(({ text }) => text);
const vector = await vectors.encode([review], { weighting: 'sif' });
for (const { word, similarity } of await vectors.mostSimilar(vector, { count: 10, exclude: own })) {
  console.log(`  ${word.padEnd(20)} ${similarity.toFixed(3)}`);
}
