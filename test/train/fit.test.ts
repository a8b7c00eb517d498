/** From a folder of films to a bundle that predicts, through the library and the command line. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import sharp from 'sharp';
import { DataError, TrainError } from '../../lib/errors.js';
import type { MulticlassFeedback } from '../../lib/feedback.js';
import { loadBundle } from '../../lib/fusion/bundle.js';
import { saveBundle } from '../../lib/fusion/bundle-save.js';
import { Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { crossValidate, evaluateBundle, type FuseConfig, fit, search } from '../../lib/train/index.js';
import { randomOf } from '../../lib/train/random.js';
import { temporaryDirectory, tinyContents } from '../tiny-bundle.js';

const FILMS = 240;
const WORDS = 'sea war love ship death night king city family'.split(' ');

/** Films whose rating follows two words and the red of the poster, which a third of them lack; and a source bundle. */
async function makeFilms(folder: string): Promise<void> {
  const random = randomOf(5);
  mkdirSync(path.join(folder, 'images'), { recursive: true });
  await saveBundle(path.join(folder, 'source'), tinyContents());
  const lines = [
    'movie_id,title,release_date,runtime,budget,genres,cast,director,overview,rating,revenue,poster,kind',
  ];
  for (let i = 0; i < FILMS; i++) {
    const words = Array.from({ length: 4 }, () => WORDS[random.below(WORDS.length)]!);
    const red = random.below(256);
    const poster = i % 3 === 0 ? '' : `images/m${i}.png`;
    const taste = (words.includes('love') ? 1.2 : 0) - (words.includes('war') ? 1 : 0);
    const rating = 5 + taste + (poster ? (red - 128) / 128 : 0) + 0.2 * random.normal();
    const budget = Math.round(10 ** (5 + 3 * random.next()));
    const revenue = i % 4 === 0 ? 0 : Math.round(budget * (0.5 + 2 * random.next()));
    const kind = words.includes('love') ? 'love' : words.includes('war') ? 'war' : 'other';
    const genre = ['Drama', 'Comedy', 'War'][random.below(3)];
    const cells = [
      `m${i}`,
      `Film ${i}`,
      `${1980 + random.below(40)}-05-01`,
      80 + random.below(60),
      budget,
      genre,
    ];
    cells.push(
      'Ann Lee|Bo Ek',
      `Dir ${random.below(9)}`,
      `the ${words.join(' ')}`,
      rating.toFixed(2),
      revenue,
    );
    lines.push([...cells, poster, kind].join(','));
    if (poster) {
      const background = { r: red, g: 40, b: 200 - Math.round(red / 2) };
      const picture = sharp({ create: { width: 16, height: 16, channels: 3, background } });
      await picture.png().toFile(path.join(folder, poster));
    }
  }
  writeFileSync(path.join(folder, 'movies.csv'), `${lines.join('\n')}\n`);
}

const configOf = (folder: string): FuseConfig => ({
  name: 'tried',
  seed: 2,
  data: { split: { kind: 'random', seed: 1, fractions: { train: 0.6, valid: 0.25, test: 0.15 } } },
  inputs: {
    bundle: path.join(folder, 'source'),
    modalities: [
      { name: 'synopsis', input: 'synopsis', encoder: 'words', languages: ['en'] },
      { name: 'facts', input: 'metadata', encoder: 'metadata' },
      { name: 'poster', input: 'poster', encoder: 'colours' },
    ],
  },
  targets: [
    { name: 'rating', task: 'regression', spread: true, min: 0, max: 10 },
    { name: 'wellReceived', task: 'binary', column: 'rating', threshold: 'median' },
    {
      name: 'boxOffice',
      task: 'regression',
      column: 'revenue',
      transform: 'log10',
      unit: 'USD',
      where: [{ column: 'revenue', above: 1000 }],
      weight: 0.5,
    },
    { name: 'kind', task: 'multiclass', weight: 0.5 },
  ],
  network: {
    projection: { out: 12 },
    trunk: [{ out: 16 }],
    modalities: { synopsis: { sequence: { pooling: 'mean' } } },
  },
  training: {
    epochs: 30,
    batchSize: 16,
    optimizer: { kind: 'adamw', learningRate: 0.01 },
    modalityDropout: 0.1,
    fewInputs: 0.2,
    earlyStopping: { metric: 'loss', patience: 8 },
    storedAs: 'float16',
  },
  calibration: { level: 0.8, minFilms: 20 },
});

test.serial(
  'a data set becomes a bundle that predicts, is judged, and comes again from the same seed',
  async (t) => {
    await using folder = await temporaryDirectory();
    await makeFilms(folder.path);
    const config = configOf(folder.path);
    const out = path.join(folder.path, 'out.tar');
    const encoding = { cache: { directory: path.join(folder.path, 'cache') } };
    const stages = new Set<string>();
    const result = await fit(folder.path, config, {
      out,
      encoding,
      onProgress: ({ stage }) => stages.add(stage),
    });
    t.deepEqual([...stages], ['encode', 'prepare', 'train', 'calibrate', 'save']);
    t.deepEqual(result.problems, []);
    t.is(result.encoded.poster!.films, 160);

    const { manifest } = result;
    t.deepEqual(
      manifest!.heads.map(({ name, task }) => `${name} ${task}`),
      [
        'rating regression',
        'ratingSpread auxiliary',
        'wellReceived binary',
        'boxOffice regression',
        'kind multiclass',
      ],
    );
    const [rating, , good, , kind] = manifest!.heads;
    t.true(
      rating!.task === 'regression' &&
        rating!.interval.spreadHead === 'ratingSpread' &&
        rating!.interval.level === 0.8,
    );
    t.true(
      good!.task === 'binary' && /at least \d\.\d+, the median of the training films/.test(good!.positive),
    );
    t.deepEqual(kind!.task === 'multiclass' && kind!.classes, ['love', 'other', 'war']);
    t.deepEqual(manifest!.encoders, ['encoders/words/encoder.json', 'encoders/colours/encoder.json']);
    t.deepEqual(manifest!.metrics.counts, { train: 144, valid: 60, test: 36 });
    t.false(JSON.stringify(manifest!.training).includes(folder.path), 'no folder of this machine');
    await using bundle = await loadBundle(out);
    t.is(bundle.tensors.get('trunk.0.weight')!.dtype, 'F16');
    t.is(bundle.tensors.get('modalities.facts.scaler.mean')!.dtype, 'F32');

    await using predictor = await Predictor.load(out);
    const poster = (i: number) => ({ path: path.join(folder.path, 'images', `m${i}.png`) });
    const loved = await predictor.predict({ title: 'X', synopsis: 'the love of sea', poster: poster(1) });
    const hated = await predictor.predict({ title: 'X', synopsis: 'the war of sea', poster: poster(1) });
    t.true(loved.rating!.value > hated.rating!.value + 1);
    t.is((loved.other!.kind as MulticlassFeedback).verdict, 'love');
    t.is((hated.other!.kind as MulticlassFeedback).verdict, 'war');
    t.true(
      loved.rating!.interval[0] < loved.rating!.value && loved.rating!.value < loved.rating!.interval[1],
    );

    const again = await fit(folder.path, config, { encoding });
    t.true(
      Object.values(again.encoded).every(({ encoded }) => encoded === 0),
      'a second fit encodes nothing',
    );
    for (const [name, { data }] of again.fitted.weights)
      t.deepEqual(data, result.fitted.weights.get(name)!.data, name);
    t.deepEqual(again.heads, result.heads);

    const { evaluation, forecasts, history } = await evaluateBundle(out, folder.path, {
      encoding,
      draws: 50,
    });
    t.is(evaluation.films, 36);
    const byHead = new Map(evaluation.heads.map((head) => [head.name, head]));
    t.true((byHead.get('rating')!.scores.r2 ?? 0) > 0.5);
    t.true((byHead.get('kind')!.scores.accuracy ?? 0) > 0.8);
    t.true(byHead.get('rating')!.baselines.length === 2);
    t.is(forecasts.filter(({ head }) => head === 'rating').length, 36);
    t.deepEqual(history, result.fitted.history);
  },
);

test.serial(
  'cross-validation and search run on a data set; what cannot be trained is refused before it is encoded',
  async (t) => {
    await using folder = await temporaryDirectory();
    await makeFilms(folder.path);
    const base = configOf(folder.path);
    const config = { ...base, training: { ...base.training, epochs: 6 } };
    const encoding = { cache: { directory: path.join(folder.path, 'cache') } };
    const { folds, metrics } = await crossValidate(folder.path, config, {
      folds: 3,
      encoding,
      groupColumn: 'director',
    });
    t.is(
      folds.reduce((sum, { split }) => sum + split.test.length, 0),
      204,
    );
    t.is(metrics['kind.accuracy']!.folds, 3);
    const found = await search(folder.path, config, {
      encoding,
      search: {
        space: { 'training.optimizer.learningRate': [0.00001, 0.01] },
        strategy: { kind: 'grid' },
        metric: 'rating.rmse',
      },
    });
    t.deepEqual(found.best.parameters, { 'training.optimizer.learningRate': 0.01 });

    let encoded = 0;
    const refuse = async (
      change: Partial<FuseConfig>,
      Class: typeof DataError | typeof TrainError,
      field: string,
    ) => {
      const onProgress = () => {
        encoded++;
      };
      const error = await t.throwsAsync(fit(folder.path, { ...config, ...change }, { encoding, onProgress }));
      t.true(error instanceof Class, error.message);
      t.is((error as DataError).field, field, error.message);
    };
    const [rating] = base.targets;
    await refuse({ targets: [{ ...rating!, column: 'ratng' }] }, DataError, 'ratng');
    await refuse({ targets: [{ name: 'director', task: 'regression' }] }, DataError, 'director');
    await refuse({ targets: [{ name: 'a', task: 'binary', column: 'rating' }] }, DataError, 'targets.a');
    await refuse({ calibration: { minFilms: 100 } }, DataError, 'targets.rating');
    const search_ = await t.throwsAsync(search(folder.path, config, { encoding }), {
      instanceOf: TrainError,
    });
    t.is(search_.field, 'search');
    t.is(encoded, 0);
  },
);

test.serial('the commands train, evaluate, search and crossvalidate', async (t) => {
  await using folder = await temporaryDirectory();
  await makeFilms(folder.path);
  const base = configOf(folder.path);
  const config = {
    ...base,
    inputs: { ...base.inputs, bundle: 'source' },
    training: { ...base.training, epochs: 4 },
    search: { space: { 'training.dropout': [0, 0.5] }, strategy: { kind: 'grid' } },
  };
  writeFileSync(path.join(folder.path, 'fuse.json'), `// tried\n${JSON.stringify(config)}`);
  const cli = path.join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  const run = async (...args: string[]) => {
    const options = { cwd: folder.path, env: { ...process.env, NO_COLOR: '1' }, maxBuffer: 2 ** 26 };
    try {
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        [cli, ...args, '--cache', 'cache'],
        options,
      );
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  };
  const trained = await run('train', '.', '-o', 'made');
  t.is(trained.code, 0, trained.stderr);
  t.regex(trained.stdout, /learned from 144 films; on the 60 of valid:\n {2}rating\.rmse/);
  t.regex(trained.stderr, /epoch 4: loss .*, valid /);
  t.true(existsSync(path.join(folder.path, 'made', 'bundle.json')));
  const twice = await run('train', '.', '-o', 'made');
  t.is(twice.code, 2);
  t.regex(twice.stderr, /--overwrite/);
  const evaluated = await run(
    'evaluate',
    'made',
    '--data',
    '.',
    '-o',
    'report',
    '--format',
    'json',
    'csv',
    '--draws',
    '20',
  );
  t.is(evaluated.code, 0, evaluated.stderr);
  t.regex(evaluated.stdout, /^Judged on 36 films of the part "test"/);
  const report = JSON.parse(readFileSync(path.join(folder.path, 'report', 'evaluation.json'), 'utf8'));
  t.is(report.evaluation.films, 36);
  t.true(existsSync(path.join(folder.path, 'report', 'forecasts.csv')));
  const searched = await run('search', '.', '--json', '-o', 'best.json');
  t.is(searched.code, 0, searched.stderr);
  const { best, trials } = JSON.parse(searched.stdout);
  t.is(trials.length, 2);
  const chosen = JSON.parse(readFileSync(path.join(folder.path, 'best.json'), 'utf8'));
  t.is(chosen.training.dropout, best.parameters['training.dropout']);
  const folds = await run('crossvalidate', '.', '--folds', '2');
  t.is(folds.code, 0, folds.stderr);
  t.regex(folds.stdout, /^2 folds +mean +sd\nloss /);
  writeFileSync(path.join(folder.path, 'fuse.json'), JSON.stringify({ ...config, training: { epoch: 3 } }));
  const wrong = await run('train', '.', '-o', 'other');
  t.is(wrong.code, 3);
  t.regex(
    wrong.stderr.replace(/\s+/g, ' '),
    /did you mean epochs\?\) for training\.epoch .*ERR_TRAIN_CONFIG/,
  );
});
