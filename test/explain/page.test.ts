import path from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { explanationPage, FilmIndex } from '../../lib/explain/index.js';
import { escapeHtml } from '../../lib/html.js';
import { type Movie, Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const EVIL = `<script>alert("x")</script>' onload='x' & ]]>--> {{x}} javascript:`;

/** Every text of it would be code if it could. */
const HOSTILE: Movie = {
  id: EVIL,
  title: `War ${EVIL} \u202e\u0007`,
  releaseDate: '2010-02',
  runtime: 95,
  budget: 3e6,
  genres: ['Drama', EVIL],
  cast: [EVIL, 'Ann Lee'],
  director: EVIL,
  synopsis: `The war ${EVIL} took the king. A story of love, ${EVIL}, and of the sea. ${EVIL} The ship sank at night.`,
  poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  trailer: { path: path.join(EXAMPLE, 'trailer.mp4') },
};

test('the page needs nothing else, shows all parts, and what comes of the film stays text', async (t) => {
  await using folder = await temporaryDirectory();
  await using predictor = await Predictor.load(await saveTiny(folder.path), { threads: 1 });
  const others = ['Sea', 'Love', EVIL].map((title) => ({
    movie: { ...HOSTILE, id: `other ${title}`, title, trailer: null },
    outcomes: { rating: 6.5, boxOffice: 2e7 },
  }));
  const index = await FilmIndex.build(predictor, others);
  const explanation = await predictor.explain(HOSTILE, { index, posterCells: 4, maxWords: 30, draws: 2 });
  const result = await predictor.whatIf(HOSTILE, { budget: 9e7 });
  const page = await explanationPage(explanation, HOSTILE, { tried: [{ title: EVIL, result }] });
  t.false(/<script/i.test(page));
  t.true(page.includes(escapeHtml(EVIL)));
  t.false(page.includes('\u202e') || page.includes('\u0007'));
  // Without the pictures: in base64 anything may occur, and a failure would print them.
  const words = page.replace(/base64,[^"]*/g, '');
  t.false(/undefined|NaN|\[object/.test(words));
  for (const [, value] of page.matchAll(/\s(?:src|href)="([^"]*)"/g)) t.regex(value!, /^data:image\//);
  t.false(/<[^>]*\son\w+=/i.test(words), 'no handler in any tag');
  t.false(/url\(|@import/i.test(words));
  t.true(/Content-Security-Policy" content="default-src 'none'/.test(words));
  for (const heading of [
    'What the plot says',
    'What the poster shows',
    'Stretches that matter most',
    'What if',
    'Comparable films',
    'What was missing',
    'How it was measured',
  ])
    t.true(page.includes(heading), heading);
  const opened = [...page.matchAll(/<(section|table|figure|div|tr|p)\b/g)].length;
  const closed = [...page.matchAll(/<\/(section|table|figure|div|tr|p)>/g)].length;
  t.is(opened, closed);
  const pictures = [...page.matchAll(/src="data:image\/(svg\+xml|jpeg|png);base64,([^"]*)"/g)];
  const kinds = pictures.map(([, kind]) => kind);
  // The forecasts with ranges (rating, box office), the effects, the two kinds of stretches.
  t.is(kinds.filter((kind) => kind === 'svg+xml').length, 2 + 1 + 2);
  t.true(kinds.includes('jpeg') && kinds.includes('png'));
  for (const [, , base64] of pictures) {
    const { width, height } = await sharp(Buffer.from(base64!, 'base64')).metadata();
    t.true(width! > 100 && height! > 40);
  }
});

test('the heat map is blue where the poster raises the forecast, and orange where it lowers it', async (t) => {
  await using folder = await temporaryDirectory();
  await using predictor = await Predictor.load(await saveTiny(folder.path), { threads: 1 });
  const white = await sharp({ create: { width: 90, height: 120, channels: 3, background: '#ffffff' } })
    .composite([
      { input: { create: { width: 45, height: 60, channels: 3, background: '#000000' } }, left: 0, top: 0 },
    ])
    .png()
    .toBuffer();
  const { poster } = await predictor.explain({ title: 'Sea', poster: white }, { posterCells: 8 });
  const { heat, heatMap, width, height } = poster!;
  t.deepEqual([width, height, heat.columns, heat.rows], [90, 120, 6, 8]);
  const { data, info } = await sharp(heatMap).raw().toBuffer({ resolveWithObject: true });
  t.deepEqual([info.width, info.height, info.channels], [90, 120, 3]);
  let judged = 0;
  const most = Math.max(...heat.effects.map(Math.abs));
  for (let row = 0; row < heat.rows; row++) {
    for (let column = 0; column < heat.columns; column++) {
      const effect = heat.effects[row * heat.columns + column]!;
      if (Math.abs(effect) < most / 4) continue;
      const at = 3 * (Math.floor((row + 0.5) * 15) * 90 + Math.floor((column + 0.5) * 15));
      const [red, , blue] = data.subarray(at, at + 3);
      t.is(blue! > red!, effect > 0, `cell ${column}, ${row}`);
      judged++;
    }
  }
  t.true(judged > 4);
});
