/**
 * How good key words and tension are, on real films:
 *
 *   node dist/bench/text/keyword-quality.js [films] [--write FILE]
 *
 * Key words of overviews against the tags that users of TMDB gave the films, of those tags that stand in the overview; and
 * tension of overviews of thrillers against those of comedies. Nothing here was trained on these texts but the idf of
 * the bundle's TF-IDF member (train split); the films are of the test split.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'csv-parse/sync';
import { splitSentences } from '../../lib/text/chunks.js';
import { extractKeywords } from '../../lib/text/keywords/extract.js';
import { sentenceFacts, type Tension, tensionOf } from '../../lib/text/scripts/tension.js';
import { stemOf } from '../../lib/text/words/stems.js';
import { TextModels } from '../../lib/text-models.js';
import { packageRoot } from '../../lib/native.js';

interface Row {
  split: string;
  overview: string;
  keywords: string;
  genres: string;
}

const METHODS = ['tfidf', 'phrases', 'embedding', 'combined'] as const;
const TENSE = /Thriller|Horror|War|Action|Crime/;
const CALM = /Comedy|Romance|Family|Music|Documentary/;

const stemsOf = (text: string) =>
  (text.toLowerCase().match(/[a-z0-9']+/g) ?? []).map((word) => stemOf(word, 'en'));

async function keywordQuality(rows: readonly Row[], models: TextModels) {
  const films = rows
    .map(({ overview, keywords }) => {
      const text = ` ${stemsOf(overview).join(' ')} `;
      const tags = [...new Set(keywords.split('|').map((tag) => stemsOf(tag).join(' ')))];
      return { overview, tags: tags.filter((tag) => tag !== '' && text.includes(` ${tag} `)) };
    })
    .filter(({ tags }) => tags.length > 0);
  const tags = films.reduce((sum, film) => sum + film.tags.length, 0);
  const results: Record<string, { exact: number; within: number }> = {};
  for (const method of METHODS) {
    let exact = 0;
    let within = 0;
    for (const film of films) {
      const found = await extractKeywords(film.overview, { method, models, language: 'en' });
      const keys = found.map(({ term }) => stemsOf(term));
      exact += film.tags.filter((tag) => keys.some((key) => key.join(' ') === tag)).length;
      within += film.tags.filter((tag) =>
        keys.some((key) => tag.split(' ').every((word) => key.includes(word))),
      ).length;
    }
    results[method] = { exact: exact / tags, within: within / tags };
  }
  return { films: films.length, tags, recallAt10: results };
}

/** The chance that one of the first has more than one of the second. */
function areaUnderCurve(first: readonly number[], second: readonly number[]): number {
  let won = 0;
  for (const a of first) for (const b of second) won += a > b ? 1 : a === b ? 0.5 : 0;
  return won / (first.length * second.length);
}

async function tensionQuality(rows: readonly Row[], models: TextModels, most: number) {
  const groups = [
    rows.filter(({ genres }) => TENSE.test(genres) && !CALM.test(genres)),
    rows.filter(({ genres }) => CALM.test(genres) && !TENSE.test(genres)),
  ].map((group) => group.slice(0, most));
  const tensions: Tension[][] = [];
  for (const group of groups) {
    const own: Tension[] = [];
    for (const { overview } of group) {
      const sentences = splitSentences(overview, 'en').map(({ start, end }) => overview.slice(start, end));
      const { probabilities } = await models.reviews!.score(sentences, { language: 'en' });
      own.push(
        tensionOf(
          sentences.map((text, i) => {
            const tone = probabilities[i];
            return sentenceFacts(text, 'en', typeof tone === 'number' ? tone : undefined);
          }),
        ),
      );
    }
    tensions.push(own);
  }
  const parts = ['value', 'darkness', 'danger', 'pace', 'urgency'] as const;
  const areas = parts.map((part) => [
    part,
    areaUnderCurve(
      tensions[0]!.map((one) => one[part]),
      tensions[1]!.map((one) => one[part]),
    ),
  ]);
  return { tense: groups[0]!.length, calm: groups[1]!.length, auc: Object.fromEntries(areas) };
}

const [count = '400'] = process.argv.slice(2).filter((word) => /^\d+$/.test(word));
const target = process.argv.indexOf('--write');
const shared = process.env.CINEFUSE_SHARED ?? path.join(packageRoot(), '..', 'shared');
const all: Row[] = parse(readFileSync(path.join(shared, 'data/movies/movies.csv')), {
  columns: true,
  bom: true,
});
const rows = all.filter(({ split, overview }) => split === 'test' && overview.length > 300);
await using models = await TextModels.load();
const result = {
  command: `node dist/bench/text/keyword-quality.js ${count}`,
  data: 'data/movies/movies.csv, split test, overviews over 300 characters',
  keywords: await keywordQuality(
    rows.filter(({ keywords }) => keywords !== '').slice(0, Number(count)),
    models,
  ),
  tension: await tensionQuality(rows, models, Number(count) / 2),
};
const text = `${JSON.stringify(result, (_, value) => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value), 2)}\n`;
if (target > 0) writeFileSync(process.argv[target + 1]!, text);
process.stdout.write(text);
