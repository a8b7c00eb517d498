/**
 * The shipped bundle on real films of the test split: what a Predictor says of a film's files is what \`cinefuse evaluate\`
 * found on the table that the bundle was judged by, and it is as good as docs/quality.md says. Every twelfth film; all 1,117
 * with CINEFUSE_ALL_FILMS=1.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { filmsOfCsv } from '../../lib/cli/film-csv.js';
import { type Feedback, type Movie, Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { sharedPath, sharedTest } from '../shared.js';

const MOVIES = 'data/movies/movies.csv';

interface Pair {
  feedback: Feedback;
  reference: Record<string, string>;
  truth: Record<string, string>;
}

sharedTest(
  'real films: equal to the reference, and as good as stated',
  [MOVIES, 'data/movies/images'],
  async (t) => {
    t.timeout(30 * 60_000);
    const step = process.env.CINEFUSE_ALL_FILMS === '1' ? 1 : 12;
    const rows = (file: string) => parse(readFileSync(file), { columns: true }) as Record<string, string>[];
    const truths = new Map(rows(sharedPath(MOVIES)).map((row) => [row.movie_id!, row]));
    const references = new Map(
      rows(path.join(packageRoot(), 'training', 'results', 'test-predictions.csv'))
        .filter((_, i) => i % step === 0)
        .map((row) => [row.movie_id!, row]),
    );

    async function* films(): AsyncGenerator<Movie> {
      const report = { onProgress: () => {}, onUnknownColumns: () => {} };
      for await (const entry of filmsOfCsv(sharedPath(MOVIES), report)) {
        if ('movie' in entry && references.has(entry.movie.id!)) yield entry.movie;
      }
    }

    await using predictor = await Predictor.load();
    const pairs: Pair[] = [];
    for await (const result of predictor.predictStream(films())) {
      if (!result.ok) throw result.error;
      const { feedback } = result;
      pairs.push({ feedback, reference: references.get(feedback.id!)!, truth: truths.get(feedback.id!)! });
    }
    t.is(pairs.length, references.size);

    const differences = (of: (pair: Pair) => number) => pairs.map((pair) => Math.abs(of(pair)));
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const rating = differences(
      ({ feedback, reference }) => feedback.rating!.value - Number(reference.rating),
    );
    const revenue = differences(
      ({ feedback, reference }) => Math.log10(feedback.boxOffice!.value) - Number(reference.log10_revenue),
    );
    // Texts of other lengths in a batch are padded otherwise; nothing else may differ.
    t.log(
      `mean and largest difference: rating ${mean(rating).toFixed(4)} ${Math.max(...rating).toFixed(3)}, log10 revenue ${mean(revenue).toFixed(4)} ${Math.max(...revenue).toFixed(3)}`,
    );
    t.true(mean(rating) < 1e-3 && Math.max(...rating) < 0.01, 'ratings');
    t.true(mean(revenue) < 1e-3 && Math.max(...revenue) < 0.01, 'revenues');

    const squares = (predicted: (pair: Pair) => number) =>
      mean(pairs.map((pair) => (predicted(pair) - Number(pair.truth.rating)) ** 2));
    const average = mean(pairs.map(({ truth }) => Number(truth.rating)));
    const explained = 1 - squares(({ feedback }) => feedback.rating!.value) / squares(() => average);
    const covered = mean(
      pairs.map(({ feedback: { rating: r }, truth }) =>
        Number(truth.rating) >= r!.interval[0] && Number(truth.rating) <= r!.interval[1] ? 1 : 0,
      ),
    );
    const right = mean(
      pairs.map(({ feedback, truth }) =>
        feedback.wellReceived!.verdict === Number(truth.rating) >= 6.1 ? 1 : 0,
      ),
    );
    t.log(
      `${pairs.length} films: R2 of the rating ${explained.toFixed(3)}, intervals hold ${(100 * covered).toFixed(1)} %, verdict right ${(100 * right).toFixed(1)} %`,
    );
    t.true(explained > (step === 1 ? 0.42 : 0.3), 'explained variance');
    t.true(covered > (step === 1 ? 0.87 : 0.82), 'coverage of the 90 % intervals');
    t.true(right > (step === 1 ? 0.7 : 0.62), 'verdicts');
  },
);
