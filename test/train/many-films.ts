/** A data set of many films in a process of its own, which says what it took: node --expose-gc many-films.js FOLDER */
import { openDataset } from '../../lib/train/data/open.js';

const [, , folder] = process.argv;
const used = () => {
  globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

const before = used();
let highest = 0;
const dataset = await openDataset(folder!, {
  onProgress: ({ films }) => {
    if (films % 10_000 === 0) highest = Math.max(highest, used() - before);
  },
});
const opened = used() - before;
const split = await dataset.split({ kind: 'random', seed: 1 });
const rows = [99_999, 0, 50_000, 12_345];
const movies = await dataset.movies(rows);
for (let i = 0; i < dataset.length; i += 97) await dataset.movie(i);
const walked = used() - before;
process.stdout.write(
  JSON.stringify({
    films: dataset.length,
    problems: dataset.problems.length,
    train: split.train.length,
    titles: movies.map(({ title }) => title),
    longest: (movies[0]!.synopsis as string).length,
    highest,
    opened,
    walked,
  }),
);
