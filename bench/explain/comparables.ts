/**
 * Are comparable films comparable? The films of an index are asked for their own neighbours: how near are what became of
 * these and what became of the film, beside films drawn by chance?
 *
 *   node dist/bench/explain/comparables.js ../shared/data/movies --films 1000 --seed 1 -o FILE.json
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { datasetFilms, FilmIndex, type KnownFilm, type Outcomes } from '../../lib/explain/index.js';
import { Predictor } from '../../lib/index.js';
import { openDataset } from '../../lib/train/index.js';
import { type Random, randomOf } from '../../lib/train/random.js';

interface Told {
  film: KnownFilm;
  outcomes: Outcomes;
}

const NEIGHBOURS = 5;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Shared genres as a share of the genres of both. */
function jaccard(a: readonly string[], b: readonly string[]): number {
  const both = a.filter((genre) => b.includes(genre)).length;
  return a.length + b.length === 0 ? 0 : both / (a.length + b.length - both);
}

function compare(
  films: readonly Told[],
  neighbours: (i: number) => readonly Told[],
  queries: readonly number[],
) {
  const ratings: number[] = [];
  const genres: number[] = [];
  const years: number[] = [];
  const grosses: number[] = [];
  for (const query of queries) {
    const { film, outcomes } = films[query]!;
    const near = neighbours(query);
    ratings.push(Math.abs(mean(near.map((own) => own.outcomes.rating!)) - outcomes.rating!));
    for (const own of near) {
      genres.push(jaccard(own.film.genres, film.genres));
      if (own.film.year !== undefined && film.year !== undefined)
        years.push(Math.abs(own.film.year - film.year));
      if (own.outcomes.boxOffice && outcomes.boxOffice) {
        grosses.push(Math.abs(Math.log10(own.outcomes.boxOffice / outcomes.boxOffice)));
      }
    }
  }
  return {
    ratingOff: mean(ratings),
    genresShared: mean(genres),
    yearsApart: mean(years),
    log10GrossApart: mean(grosses),
  };
}

/** Others by chance, as many as neighbours. */
function byChance(films: readonly Told[], random: Random, but: number): Told[] {
  const drawn: Told[] = [];
  while (drawn.length < NEIGHBOURS) {
    const at = random.below(films.length);
    if (at !== but) drawn.push(films[at]!);
  }
  return drawn;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    films: { type: 'string', default: '1000' },
    queries: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    output: { type: 'string', short: 'o' },
  },
});
const dataset = await openDataset(positionals[0] ?? '../shared/data/movies');
const { values: split } = await dataset.column('split', { type: 'string' });
// Films that the model has not learned from.
const rows = split.flatMap((part, i) => (part === 'test' || part === 'valid' ? [i] : []));
const random = randomOf(Number(values.seed));
const taken = random
  .shuffle(rows)
  .slice(0, Number(values.films))
  .sort((a, b) => a - b);
await using predictor = await Predictor.load();
const index = await FilmIndex.build(predictor, datasetFilms(dataset, { rows: taken }));
const movies = await dataset.movies(taken);
const queries = random.shuffle(taken.map((_, i) => i)).slice(0, Number(values.queries));
const found = new Map<number, Told[]>();
const told = new Map<string, Told>();
for (const query of queries) {
  found.set(query, await index.nearest(await predictor.locate(movies[query]!), { count: NEIGHBOURS }));
}
// What became of each film, by its id, as the index has it.
for await (const { movie, outcomes } of datasetFilms(dataset, { rows: taken })) {
  const { id, genres, releaseDate } = movie;
  told.set(id!, {
    film: {
      id: id!,
      genres: [...(genres ?? [])],
      cast: [],
      directors: [],
      ...(releaseDate && { year: Number(releaseDate.slice(0, 4)) }),
    },
    outcomes: outcomes ?? {},
  });
}
const films = movies.map(({ id }) => told.get(id!)!);
const result = {
  command: `node dist/bench/explain/comparables.js ../shared/data/movies --films ${values.films} --queries ${values.queries} --seed ${values.seed}`,
  model: `${predictor.describe().bundle.name} ${predictor.describe().bundle.version}`,
  films: index.size,
  queries: queries.length,
  neighbours: NEIGHBOURS,
  nearest: compare(films, (i) => found.get(i)!, queries),
  byChance: compare(films, (i) => byChance(films, random, i), queries),
};
const text = `${JSON.stringify(result, null, 2)}\n`;
if (values.output) await writeFile(values.output, text);
process.stdout.write(text);
