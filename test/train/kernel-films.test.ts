/** A kernel fit on the facts of real films: what it is better at than a straight line. */
import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { type FilmTable, fitKernel, type KernelChoice, type TableSplit } from '../../lib/train/index.js';
import { tableModel } from '../../lib/train/table-model.js';
import { sharedPath, sharedTest } from '../shared.js';

/** Three inputs known before release: numbers, genres, and the money where it is known. */
function readFilms(): { table: FilmTable; split: TableSplit } {
  const films: Record<string, string>[] = parse(readFileSync(sharedPath('data/movies/movies.csv')), {
    columns: true,
  });
  const genres = [...new Set(films.flatMap((film) => film.genres!.split('|')))].filter(Boolean).sort();
  const languages = ['en', 'fr', 'hi', 'ja', 'es'];
  const numbers = films.flatMap((film) => [
    Number(film.year),
    Number(film.runtime) || 100,
    ...languages.map((language) => (film.original_language === language ? 1 : 0)),
  ]);
  const oneHot = films.flatMap((film) =>
    genres.map((genre) => (film.genres!.split('|').includes(genre) ? 1 : 0)),
  );
  const rows = (part: string) => Int32Array.from([...films.keys()].filter((i) => films[i]!.split === part));
  return {
    table: {
      ids: films.map((film) => film.movie_id!),
      modalities: {
        numbers: { dim: 2 + languages.length, steps: 1, values: Float32Array.from(numbers) },
        genres: { dim: genres.length, steps: 1, values: Float32Array.from(oneHot) },
        money: {
          dim: 1,
          steps: 1,
          values: Float32Array.from(films, (film) => Math.log10(Math.max(1, Number(film.budget)))),
        },
      },
      present: Uint8Array.from(films.flatMap((film) => [1, 1, Number(film.budget) > 1000 ? 1 : 0])),
      targets: { rating: Float32Array.from(films, (film) => Number(film.rating)) },
    },
    split: { train: rows('train'), valid: rows('valid'), test: rows('test') },
  };
}

sharedTest(
  'real films: kernels of facts beat straight lines by Nyström',
  ['data/movies/movies.csv'],
  async (t) => {
    const { table, split } = readFilms();
    const ratings = table.targets.rating!;
    const mean = split.train.reduce((sum, film) => sum + ratings[film]!, 0) / split.train.length;
    const targets = { rating: ratings.map((rating) => rating - mean) };
    const r2 = async (kind: KernelChoice['kind']) => {
      const fit = await fitKernel(table, split, {
        heads: [{ head: 'rating', task: 'regression' }],
        targets,
        kernels: { numbers: { kind }, genres: { kind }, money: { kind } },
        combine: kind === 'linear' ? 'sum' : 'product',
        landmarks: 300,
        seed: 1,
      });
      t.is(fit.landmarks.length, 300);
      using network = FusionNetwork.create(fit.spec, fit.weights);
      const { rating } = (await tableModel(network, table).predict(split.valid)).heads;
      const squares = (f: (row: number) => number) =>
        split.valid.reduce((sum, film, row) => sum + (f(row) - targets.rating[film]!) ** 2, 0);
      return 1 - squares((row) => rating![row]!) / squares(() => 0);
    };
    const linear = await r2('linear');
    const rbf = await r2('rbf');
    t.log(
      `R² of ratings on the films for validation: straight lines ${linear.toFixed(3)}, rbf ${rbf.toFixed(3)}`,
    );
    t.true(linear > 0.15 && rbf > linear + 0.02, `${linear} ${rbf}`);
  },
);
