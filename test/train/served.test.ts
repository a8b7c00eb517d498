/** What evaluation judges is what is served: the same films through a data set's table and through a Predictor. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { loadBundle } from '../../lib/fusion/bundle.js';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { Predictor } from '../../lib/predict.js';
import { openDataset } from '../../lib/train/data/open.js';
import { encodeDataset } from '../../lib/train/encode.js';
import { evaluate } from '../../lib/train/evaluate.js';
import { forecastRows } from '../../lib/train/forecast-rows.js';
import { tableModel } from '../../lib/train/table-model.js';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const FILMS = 24;
const WORDS = 'sea light ship death night king city war family story love man'.split(' ');

test('a table of films is forecast as a Predictor forecasts the films', async (t) => {
  await using directory = await temporaryDirectory();
  const folder = path.join(directory.path, 'films');
  await mkdir(folder);
  const rows = Array.from({ length: FILMS }, (_, i) => {
    // as many words each: the tiny encoder's mean takes padding in, as no real one's does
    const words = [0, 1, 2].map((k) => WORDS[(i * 5 + k) % WORDS.length]);
    const synopsis = i % 4 === 0 ? '' : `The story of a man and the ${words.join(' ')} in the city.`;
    return `f${i},Film ${i},${1990 + i},${80 + i},${1e6 * (i + 1)},A${i % 6}|B${i % 4},${synopsis},${4 + (i % 5)},${5e6 * (i + 1)}`;
  });
  const header = 'movie_id,title,release_date,runtime,budget,cast,overview,rating,revenue';
  await writeFile(path.join(folder, 'movies.csv'), `${header}\n${rows.join('\n')}\n`);
  const file = await saveTiny(directory.path);
  const dataset = await openDataset(folder);
  await using bundle = await loadBundle(file);
  const { table } = await encodeDataset(dataset, { bundle, metadata: 'bundle', cache: false });
  const { manifest } = bundle;
  const number = (f: (i: number) => number) => Float32Array.from({ length: FILMS }, (_, i) => f(i));
  const targets = {
    rating: number((i) => 4 + (i % 5)),
    wellReceived: number((i) => (i % 5 > 2 ? 1 : 0)),
    boxOffice: number((i) => 5e6 * (i + 1)),
    laughs: number((i) => (i % 3 ? 1 : 0)),
  };
  using network = FusionNetwork.create(manifest.network, bundle.networkWeights());
  const model = tableModel(network, { ...table, targets });
  const all = Int32Array.from({ length: FILMS }, (_, i) => i);
  const forecasts = await forecastRows(model, { ...table, targets }, all, manifest.heads);

  await using predictor = await Predictor.load(file);
  let seen = 0;
  for (let i = 0; i < FILMS; i++) {
    const served = await predictor.predict(await dataset.movie(i));
    const of = (head: string) => forecasts.find((row) => row.id === `f${i}` && row.head === head)!;
    const near = (a: number, b: number, what: string) =>
      t.true(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `film ${i} ${what}: ${a} ${b}`);
    near(of('rating').forecast as number, served.rating!.value, 'rating');
    near(of('rating').low!, served.rating!.interval[0], 'low');
    near(of('rating').high!, served.rating!.interval[1], 'high');
    near(10 ** (of('boxOffice').forecast as number), served.boxOffice!.value, 'box office');
    near(of('wellReceived').forecast as number, served.wellReceived!.probability, 'well received');
    seen += served.used.includes('synopsis') ? 1 : 0;
  }
  t.true(seen > 10 && seen < FILMS, 'some films have a synopsis, some have none');

  const evaluation = await evaluate(model, { ...table, targets }, all, manifest.heads, {
    draws: 20,
    subsets: 'each',
  });
  t.deepEqual(
    evaluation.heads.map(({ name }) => name),
    ['rating', 'wellReceived', 'boxOffice', 'laughs'],
  );
  const alone = evaluation.heads[0]!.subsets.find(
    ({ kind, modalities }) => kind === 'alone' && modalities[0] === 'synopsis',
  )!;
  t.is(alone.films, seen);
});
