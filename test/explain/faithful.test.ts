/** Over real films: what an explanation names matters more than random parts of the same size. bench/explain has hundreds. */
import { checksOf, faithfulness, filmsToExplain } from '../../bench/explain/faithfulness.js';
import { Predictor } from '../../lib/index.js';
import { openDataset } from '../../lib/train/index.js';
import { sharedPath, sharedTest } from '../shared.js';

/** A second of CPU a film. */
const FILMS = 14;

sharedTest('explanations of real films are faithful', ['data/movies/movies.csv'], async (t) => {
  const dataset = await openDataset(sharedPath('data', 'movies'));
  await using predictor = await Predictor.load();
  const rows = await filmsToExplain(dataset, FILMS, 7);
  t.is(rows.length, FILMS);
  const checks = await checksOf(predictor, dataset, rows, {
    draws: 3,
    seed: 7,
    maxWords: 20,
    posterCells: 6,
  });
  for (const [kind, least] of [
    ['synopsis: words', 0.9],
    ['poster: regions', 0.7],
  ] as const) {
    const { films, moreThanRandom, drawsBeaten, named, random } = faithfulness(checks.get(kind)!);
    const told = `${kind}: ${films} films, ${moreThanRandom} more than random, ${drawsBeaten} of draws beaten, ${named} against ${random}`;
    t.log(told);
    t.true(
      films >= FILMS - 2 && moreThanRandom >= least && drawsBeaten >= least && named > 1.5 * random,
      told,
    );
  }
});
