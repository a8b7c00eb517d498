import { createReadStream } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { headValues } from '../../lib/explain/head-values.js';
import { type ErrorCode, type Movie, Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const poster = () => createReadStream(path.join(EXAMPLE, 'poster.jpg'));
const FILM: Movie = {
  id: 'x',
  title: 'Ship of War',
  releaseDate: '2012-05-04',
  runtime: 100,
  budget: 1e6,
  genres: ['Drama'],
  cast: ['Ann Lee'],
  synopsis: 'A man and a woman tell the story of the night a ship sank in the sea.',
};

let predictor: Predictor;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
test.before(async () => {
  directory = await temporaryDirectory();
  predictor = await Predictor.load(await saveTiny(directory.path), { threads: 1 });
});
test.after.always(async () => {
  await predictor?.dispose();
  await directory?.[Symbol.asyncDispose]();
});

test('before and after are the forecasts of the two films, alone that of one change', async (t) => {
  const changes = { budget: 9e7, month: 12, cast: ['Cy Orr'], genres: ['War', 'Action'] };
  const { before, after, differences, alone } = await predictor.whatIf(FILM, changes);
  const { timings: _, ...plain } = await predictor.predict(FILM);
  const { timings: __, ...first } = before;
  t.deepEqual(first, plain);
  const changed = {
    ...FILM,
    budget: 9e7,
    releaseDate: '2012-12',
    cast: ['Cy Orr'],
    genres: ['War', 'Action'],
  };
  const { timings: ___, ...then } = after;
  const { timings: ____, ...expected } = await predictor.predict(changed);
  t.deepEqual(then, expected);
  t.deepEqual(
    differences.map(({ head, change }) => [head, change]),
    headValues(after).map(({ head, value }, i) => [head, value - headValues(before)[i]!.value]),
  );
  t.deepEqual(alone.map(({ field }) => field).sort(), ['budget', 'cast', 'genres', 'releaseDate']);
  const budget = headValues(await predictor.predict({ ...FILM, budget: 9e7 }));
  const own = alone.find(({ field }) => field === 'budget')!.effects!;
  for (const [i, { head, value }] of budget.entries()) {
    const change = value - headValues(before)[i]!.value;
    t.true(Math.abs(own[head]! - change) <= 1e-6 * Math.max(1, Math.abs(change)), head);
  }
});

test('another poster, given as a stream, in place of one that is a stream; texts; a field taken away', async (t) => {
  const other = await predictor
    .whatIf({ ...FILM, poster: poster() }, { poster: path.join(EXAMPLE, 'x') as never })
    .catch((error: { code?: string }) => error.code);
  t.is(other, 'ERR_INPUT_TYPE', 'a path is { path }');
  const same = await predictor.whatIf({ ...FILM, poster: poster() }, { poster: poster() });
  t.true(same.differences.every(({ change }) => change === 0));
  const gone = await predictor.whatIf({ ...FILM, poster: poster() }, { poster: null, title: 'Love' });
  t.false(gone.after.used.includes('poster'));
  t.true(gone.differences.some(({ change }) => change !== 0));
  const { timings: _, ...after } = gone.after;
  const { timings: __, ...plain } = await predictor.predict({ ...FILM, title: 'Love' });
  t.deepEqual(after, plain);
  const kept = await predictor.whatIf(
    { ...FILM, poster: poster() },
    { synopsis: 'The city of the king at night.' },
  );
  t.true(kept.after.used.includes('poster'), 'the stream of what does not change is read once');
});

test('changes that are none, or wrong', async (t) => {
  const wrong = (changes: object, code: ErrorCode, field?: string) =>
    throwsTyped(t, () => predictor.whatIf(FILM, changes), { code, ...(field !== undefined && { field }) });
  await wrong({}, 'ERR_INPUT_EMPTY', 'changes');
  await wrong({ bugdet: 3 }, 'ERR_INPUT_UNKNOWN_FIELD', 'changes.bugdet');
  await wrong({ id: 'y' }, 'ERR_INPUT_UNKNOWN_FIELD', 'changes.id');
  await wrong({ month: 13 }, 'ERR_INPUT_VALUE', 'changes.month');
  await wrong({ month: 3, releaseDate: '2011' }, 'ERR_INPUT_VALUE', 'changes.month');
  await wrong({ budget: -1 }, 'ERR_INPUT_VALUE', 'budget');
  await wrong([1], 'ERR_INPUT_TYPE', 'changes');
  await throwsTyped(t, () => predictor.whatIf({ title: 'Sea' }, { month: 3 }), { code: 'ERR_INPUT_VALUE' });
  await throwsTyped(t, () => predictor.whatIf({ title: 'Sea' }, { title: null }), {
    code: 'ERR_INPUT_EMPTY',
  });
});
