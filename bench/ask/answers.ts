/**
 * node dist/bench/ask/answers.js DATASET [--films N] [--output FILE]
 *
 * How often a QuestionAnswerer is right about real films, over the test films of a data set (movies.csv): facts asked for
 * in several wordings, films asked for by key words that other people gave them, and things that no record says.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { readFile } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';
import { QuestionAnswerer } from '../../lib/ask/index.js';
import type { Movie } from '../../lib/index.js';

interface Row {
  title: string;
  release_date: string;
  overview: string;
  genres: string;
  keywords: string;
  cast: string;
  director: string;
  runtime: string;
  budget: string;
  split: string;
}

const list = (text: string) => text.split('|').filter((item) => item !== '');

function movieOf(row: Row): Movie {
  return {
    title: row.title,
    synopsis: row.overview,
    ...(row.release_date !== '' && { releaseDate: row.release_date }),
    ...(Number(row.runtime) > 0 && { runtime: Number(row.runtime) }),
    ...(Number(row.budget) > 0 && { budget: Number(row.budget) }),
    ...(row.director !== '' && { director: list(row.director) }),
    ...(row.cast !== '' && { cast: list(row.cast) }),
    ...(row.genres !== '' && { genres: list(row.genres) }),
  };
}

/** Wordings, and what of the row answers them. */
const FACTS: [name: string, wordings: string[], answer: (movie: Movie) => string | null | undefined][] = [
  [
    'director',
    ['Who directed TITLE?', 'Who is the director of TITLE?', 'By whom was TITLE directed?'],
    ({ director }) => director && [...(director as string[])].join(', '),
  ],
  [
    'cast',
    ['Who stars in TITLE?', 'Who are the actors in TITLE?', 'What is the cast of TITLE?'],
    ({ cast }) => cast?.join(', '),
  ],
  [
    'runtime',
    ['How long is TITLE?', 'What is the running time of TITLE?', 'How many minutes is TITLE?'],
    ({ runtime }) => runtime?.toString().concat(' minutes'),
  ],
  [
    'release',
    ['When did TITLE come out?', 'When was TITLE released?', 'What is the release date of TITLE?'],
    ({ releaseDate }) => releaseDate ?? undefined,
  ],
  [
    'budget',
    ['What was the budget of TITLE?', 'How much did TITLE cost?'],
    ({ budget }) => budget?.toLocaleString('en-US', { maximumFractionDigits: 0 }),
  ],
  ['genres', ['What genre is TITLE?', 'What kind of film is TITLE?'], ({ genres }) => genres?.join(', ')],
];
const UNSAID = [
  'Who composed the music of TITLE?',
  'Where was TITLE shot?',
  'How many Oscars did TITLE win?',
  'Who is the editor of TITLE?',
  'Which studio distributed TITLE?',
];

interface Share {
  right: number;
  wrong: number;
  unknown: number;
}
const share = (): Share => ({ right: 0, wrong: 0, unknown: 0 });
const percent = ({ right, wrong, unknown }: Share, of: number) =>
  `${((100 * of) / Math.max(1, right + wrong + unknown)).toFixed(1)} %`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { films: { type: 'string', default: '1117' }, output: { type: 'string' } },
});
const [dataset] = positionals;
if (dataset === undefined) {
  console.error('usage: node dist/bench/ask/answers.js DATASET [--films N] [--output FILE]');
  process.exit(2);
}
const rows = (parse(await readFile(path.join(dataset, 'movies.csv'), 'utf8'), { columns: true }) as Row[])
  .filter(({ split, overview, title }) => split === 'test' && overview.trim() !== '' && title.trim() !== '')
  .slice(0, Number(values.films));
// A title that two films share names neither.
const unique = new Set(
  rows
    .map(({ title }) => title.toLowerCase())
    .filter((title, _, all) => all.indexOf(title) === all.lastIndexOf(title)),
);
const movies = rows.map(movieOf);

const results: Record<string, unknown> = { films: movies.length };
for (const embeddings of [false, true]) {
  const name = embeddings ? 'words and embeddings' : 'words alone';
  let start = performance.now();
  await using answerer = await QuestionAnswerer.create(movies, { embeddings });
  const created = performance.now() - start;
  start = performance.now();
  let asked = 0;
  const ask = (question: string) => {
    asked++;
    return answerer.ask(question);
  };
  const facts = new Map<string, Share>();
  const unsaid = share();
  const found = share();
  let first = 0;
  let three = 0;
  let keyed = 0;
  for (const [i, row] of rows.entries()) {
    const movie = movies[i]!;
    if (!embeddings && unique.has(row.title.toLowerCase())) {
      for (const [fact, wordings, answerOf] of FACTS) {
        const wanted = answerOf(movie);
        const count = facts.get(fact) ?? share();
        facts.set(fact, count);
        const { known, text } = await ask(wordings[i % wordings.length]!.replaceAll('TITLE', row.title));
        const right = wanted == null ? !known : text.includes(wanted);
        count[right ? 'right' : known ? 'wrong' : 'unknown']++;
        if (!right && process.env.SHOW)
          console.log(
            fact,
            '|',
            wordings[i % wordings.length]!.replaceAll('TITLE', row.title),
            '|',
            text.slice(0, 100),
            '| wanted',
            wanted,
          );
      }
    }
    if (unique.has(row.title.toLowerCase())) {
      const question = UNSAID[i % UNSAID.length]!.replaceAll('TITLE', row.title);
      const { known, text } = await ask(question);
      unsaid[known ? 'wrong' : 'right']++;
      if (known && process.env.SHOW) console.log('unsaid |', question, '|', text.slice(0, 160));
    }
    const words = list(row.keywords).slice(0, 4);
    if (words.length < 4) continue;
    keyed++;
    const answer = await ask(`Which film is about ${words.slice(0, 3).join(', ')} and ${words[3]}?`);
    found[answer.known ? (answer.sources[0]!.film === i ? 'right' : 'wrong') : 'unknown']++;
    const films = [...new Set(answer.sources.map(({ film }) => film))];
    if (films[0] === i) first++;
    if (films.includes(i)) three++;
  }
  const seconds = (performance.now() - start) / 1000;
  const report = {
    ...(facts.size > 0 && { facts: Object.fromEntries(facts) }),
    unsaid,
    filmByKeywords: { ...found, nearestIsIt: first, amongSources: three, of: keyed },
    createSeconds: created / 1000,
    questionsPerSecond: asked / seconds,
  };
  results[name] = report;
  console.log(
    `\n${name}: ${(created / 1000).toFixed(1)} s to read and index, ${(asked / seconds).toFixed(0)} questions/s`,
  );
  for (const [fact, count] of facts)
    console.log(
      `  ${fact.padEnd(10)} right ${percent(count, count.right)}, wrong ${percent(count, count.wrong)}, not known ${percent(count, count.unknown)}`,
    );
  console.log(`  not on record, and said so: ${percent(unsaid, unsaid.right)}`);
  console.log(
    `  film by four key words: right ${percent(found, found.right)}, wrong ${percent(found, found.wrong)}, not known ${percent(found, found.unknown)}; nearest ${((100 * first) / keyed).toFixed(1)} %, among three sources ${((100 * three) / keyed).toFixed(1)} %`,
  );
}
if (values.output !== undefined) {
  mkdirSync(path.dirname(values.output), { recursive: true });
  writeFileSync(values.output, `${JSON.stringify(results, null, 2)}\n`);
}
