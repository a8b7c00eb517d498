/** What people and machines read of a prediction. */
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { Failures } from '../../lib/cli/failures.js';
import { csvHeader, failureCsv, feedbackCsv, feedbackJson } from '../../lib/cli/formats.js';
import { openOutput } from '../../lib/cli/output.js';
import { report, summary, summaryHeading, verdict } from '../../lib/cli/report.js';
import { displayWidth, styleFor } from '../../lib/cli/terminal.js';
import { InputError, MediaError } from '../../lib/errors.js';
import type { Feedback } from '../../lib/feedback.js';
import type { Movie } from '../../lib/movie.js';
import { throwsTyped } from '../errors.js';

const MOVIE: Movie = { releaseDate: '2027-03-12', genres: ['Drama', 'Mystery'], runtime: 104, budget: 12e6 };
const FEEDBACK: Feedback = {
  id: 'a1',
  title: 'The Lighthouse Keeper',
  rating: { value: 6.62, interval: [5.31, 7.93], level: 0.9, unit: 'points of 10' },
  wellReceived: { probability: 0.71, verdict: true, positive: 'rating >= 6.1' },
  boxOffice: { value: 9.3e6, interval: [2.4e5, 1.8e8], level: 0.8, unit: 'USD' },
  sentiment: { positive: 0.8, positiveShare: 0.75, reviews: 4, languages: { en: 4 }, notScored: [] },
  used: ['synopsis', 'metadata', 'poster'],
  notUsed: [
    { input: 'trailer.video', reason: 'No film with a rating and a trailer was at hand to learn from.' },
  ],
  missing: ['audio', 'language'],
  modalities: { synopsis: 0.3, metadata: 0.695, poster: 0.005 },
  moments: [
    { input: 'trailer.video', startMs: 61_000, endMs: 63_000, weight: 0.6 },
    { input: 'trailer.video', startMs: 0, endMs: 2000, weight: 0.4 },
  ],
  timings: { readMs: 1, decodeMs: 90, encodeMs: 400, fuseMs: 0.3, totalMs: 1500 },
  model: { name: 'cinefuse-default', version: '0.1.0', beforeRelease: true },
};
const plain = (columns: number) => ({ style: styleFor({}, {}), columns });

test('a report says all that a prediction says', (t) => {
  const text = report(FEEDBACK, MOVIE, 'film.json', plain(88));
  for (const part of [
    'The Lighthouse Keeper',
    '2027-03-12 · Drama, Mystery · 104 min · budget $12 million',
    'Likely to be well received',
    '6.6 of 10',
    'between 5.3 and 7.9 for 9 in 10 such films',
    '71 % probable',
    'rating >= 6.1',
    '$9.3 million worldwide',
    'between $240,000 and $180 million for 8 in 10 such films',
    '75 % of 4 positive in tone',
    'trailer, picture',
    'No film with a rating and a trailer',
    'music, language',
    '1:01–1:03',
    'known before release',
    'cinefuse-default 0.1.0 · 1.50\u00a0s',
  ])
    t.true(text.includes(part), `${part}\n${text}`);
  t.regex(text, /film facts +70 % .*\n +synopsis +30 % .*\n +poster +<1 %/);
  t.true(text.endsWith('\n') && !text.endsWith('\n\n'));
  t.notRegex(text, /[ \t]\n|undefined|NaN|\[object/);
});

test('a report keeps to its width, with wide characters too', (t) => {
  const movie = { ...MOVIE, genres: ['剧情', '悬疑', 'Adventure', 'Science Fiction', 'Family', 'Music'] };
  const feedback = {
    ...FEEDBACK,
    title: '流浪地球'.repeat(30),
    missing: [
      'audio',
      'language',
      'cast',
      'director',
      'genres',
      'budget',
      'runtime',
      'releaseDate',
      'poster',
    ],
  };
  for (const columns of [76, 80, 100])
    for (const line of report(feedback, movie, 'x', plain(columns)).split('\n'))
      t.true(displayWidth(line) <= columns, `${columns}: ${line}`);
  for (const columns of [76, 80, 100])
    for (const line of [summaryHeading(plain(columns)), summary(feedback, 'x', plain(columns))])
      t.true(displayWidth(line.trimEnd()) <= columns, `${columns}: ${line}`);
});

test('a bundle with other heads, or few, still makes a report', (t) => {
  const { rating: _r, wellReceived: _w, boxOffice: _b, sentiment: _s, title: _t, id: _i, ...bare } = FEEDBACK;
  const text = report(
    {
      ...bare,
      other: {
        openingWeekend: { value: 1234.5678, interval: [1000, 2000], level: 0.8, unit: 'tickets' },
        cult: { probability: 0.2, verdict: false, positive: 'seen twice' },
      },
      modalities: { synopsis: 1 },
      notUsed: [],
      missing: [],
      moments: [],
    },
    {},
    'some/film.json',
    plain(80),
  );
  t.regex(text, /^some\/film\.json\n─/);
  t.regex(text, /openingWeekend +1235 tickets, 8 in 10: 1000 to 2000/);
  t.regex(text, /cult +20 % seen twice/);
  t.notRegex(text, /Audience|Box office|Not given|not used|undefined|NaN/);
});

test('nothing in a film or bundle can drive the terminal', (t) => {
  const evil = '\u001b]0;owned\u0007\u001b[2J';
  const text = report(
    { ...FEEDBACK, title: `A${evil}B`, notUsed: [{ input: 'poster', reason: `no${evil}` }] },
    { ...MOVIE, genres: [`Drama${evil}`] },
    'x',
    plain(80),
  );
  t.notRegex(text, /(?!\n)\p{Cc}/u);
  const failures = new Failures();
  failures.add(
    `a${evil}.json`,
    new InputError('ERR_INPUT_VALUE', { field: 'title', message: `bad ${evil}` }),
  );
  t.notRegex(failures.text(1, 80, styleFor({}, {})), /(?!\n)\p{Cc}/u);
});

test('the verdict never sounds surer than the probability', (t) => {
  const said = [0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.9, 1].map((probability) => verdict({ probability }));
  t.deepEqual(said, [
    'Very likely to be received coolly',
    'Very likely to be received coolly',
    'Likely to be received coolly',
    'Leans towards a cool reception',
    'Could go either way',
    'Leans towards a good reception',
    'Likely to be well received',
    'Very likely to be well received',
    'Very likely to be well received',
  ]);
});

test('CSV rows have the columns of their header, quoted where they must be', (t) => {
  t.is(
    feedbackCsv('a.csv row 1', { ...FEEDBACK, title: 'Say "Yes",\nnow' }),
    'a.csv row 1,a1,"Say ""Yes"",\nnow",6.62,5.31,7.93,0.71,9300000,240000,180000000,synopsis|metadata|poster,trailer.video,audio|language,,,\n',
  );
  const failed = failureCsv(
    'b',
    new MediaError('ERR_MEDIA_FORMAT', { field: 'poster', message: 'no, not this' }),
  );
  t.is(failed, 'b,,,,,,,,,,,,,ERR_MEDIA_FORMAT,poster,"no, not this"\n');
  t.is(csvHeader.split(',').length, 16);
});

test('JSON has the whole feedback and where it came from', (t) => {
  t.deepEqual(JSON.parse(JSON.stringify(feedbackJson('a', FEEDBACK))), {
    source: 'a',
    ok: true,
    ...FEEDBACK,
  });
});

test('failures are listed with code and field; of very many the first', (t) => {
  const failures = new Failures();
  failures.add(
    'a.json',
    new MediaError('ERR_MEDIA_FORMAT', { field: 'poster', expected: 'an image', got: 'text' }),
  );
  failures.add('b.json', new Error('boom'));
  const text = failures.text(3, 80, styleFor({}, {}));
  t.regex(
    text,
    /^2 of 3 films could not be used:\n {2}a\.json\n {4}ERR_MEDIA_FORMAT · poster\n {4}Expected an image/,
  );
  t.regex(text, /b\.json\n {4}ERR_INTERNAL\n {4}boom\n$/);
  for (let i = 0; i < 100; i++) failures.add(`f${i}`, new Error('x'));
  t.regex(failures.text(200, 80, styleFor({}, {})), /… and 52 more\n$/);
});

test('a file of results appears whole or not at all', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-output-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'out.json');

  const abandoned = await openOutput(file);
  await abandoned.write('half');
  t.false(existsSync(file));
  await abandoned.abandon();
  t.deepEqual(await readdir(folder), []);

  const finished = await openOutput(file);
  await finished.write('a whole ');
  await finished.write('result');
  t.false(existsSync(file));
  await finished.finish();
  t.deepEqual(await readdir(folder), ['out.json']);
  t.is(await readFile(file, 'utf8'), 'a whole result');

  await throwsTyped(t, () => openOutput(path.join(folder, 'none', 'out.json')), {
    code: 'ERR_INPUT_FILE',
    field: '--output',
  });
  await throwsTyped(t, () => openOutput(folder), { code: 'ERR_INPUT_FILE', field: '--output' });

  const link = path.join(folder, 'link.json');
  await symlink('out.json', link);
  const linked = await openOutput(link);
  await linked.write('through the link');
  await linked.finish();
  t.true((await lstat(link)).isSymbolicLink());
  t.is(await readFile(file, 'utf8'), 'through the link');
});

test('a device is written to, never replaced; a full one is a typed error', async (t) => {
  const sink = await openOutput('/dev/null');
  await sink.write('gone');
  await sink.finish();
  t.true((await lstat('/dev/null')).isCharacterDevice());
  if (!existsSync('/dev/full')) {
    t.log('this system has no /dev/full');
    return;
  }
  const full = await openOutput('/dev/full');
  await throwsTyped(t, () => full.write('too much'), { code: 'ERR_INPUT_FILE', message: /ENOSPC/ });
  await full.abandon();
  t.true((await lstat('/dev/full')).isCharacterDevice());
});
