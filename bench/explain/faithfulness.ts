/**
 * Are explanations faithful? Over films of a data set: the parts that an explanation names are deleted, and so are random
 * parts of the same number and size; which moves the forecast more?
 *
 *   node dist/bench/explain/faithfulness.js ../shared/data/movies --films 300 --draws 8 --seed 1 -o FILE.json
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Check, Predictor } from '../../lib/index.js';
import { openDataset } from '../../lib/train/index.js';
import { randomOf } from '../../lib/train/random.js';

export interface Faithfulness {
  /** Explanations that had a check of this kind. */
  films: number;
  /** Share of them whose named parts moved the forecast more than random ones did on average. */
  moreThanRandom: number;
  /** Share of the random draws, of all films, that moved it less than the named parts. */
  drawsBeaten: number;
  /** Mean size of the effects, in the head's unit. */
  named: number;
  random: number;
}

/** Sums up checks of one kind. */
export function faithfulness(checks: readonly Check[]): Faithfulness {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return {
    films: checks.length,
    moreThanRandom: mean(checks.map(({ named, random }) => (Math.abs(named) > random ? 1 : 0))),
    drawsBeaten:
      checks.reduce((sum, { beaten }) => sum + beaten, 0) / checks.reduce((sum, { draws }) => sum + draws, 0),
    named: mean(checks.map(({ named }) => Math.abs(named))),
    random: mean(checks.map(({ random }) => random)),
  };
}

/** Checks by kind, of films as their explanations come. */
export async function checksOf(
  predictor: Predictor,
  dataset: Awaited<ReturnType<typeof openDataset>>,
  rows: readonly number[],
  options: Parameters<Predictor['explain']>[1],
): Promise<Map<string, Check[]>> {
  const kinds = new Map<string, Check[]>();
  const add = (kind: string, check: Check | undefined) => {
    if (check) kinds.set(kind, [...(kinds.get(kind) ?? []), check]);
  };
  for (const row of rows) {
    const explanation = await predictor.explain(await dataset.movie(row), {
      ...options,
      onInputError: 'skip',
    });
    for (const { input, sentenceCheck, wordCheck } of explanation.texts) {
      add(`${input}: a sentence`, sentenceCheck);
      add(`${input}: words`, wordCheck);
    }
    add('poster: regions', explanation.poster?.check);
  }
  return kinds;
}

/** Films of the test part that have a poster and a plot, in an order of chance. */
export async function filmsToExplain(
  dataset: Awaited<ReturnType<typeof openDataset>>,
  count: number,
  seed: number,
): Promise<number[]> {
  const { values: split } = await dataset.column('split', { type: 'string' });
  const { values: poster } = await dataset.column('poster', { type: 'string' });
  const { values: overview } = await dataset.column('overview', { type: 'string' });
  const rows = split.flatMap((part, i) => (part === 'test' && poster[i] && overview[i] ? [i] : []));
  return randomOf(seed).shuffle(rows).slice(0, count);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      films: { type: 'string', default: '300' },
      draws: { type: 'string', default: '8' },
      seed: { type: 'string', default: '1' },
      head: { type: 'string', default: 'rating' },
      output: { type: 'string', short: 'o' },
    },
  });
  const dataset = await openDataset(positionals[0] ?? '../shared/data/movies');
  await using predictor = await Predictor.load();
  const rows = await filmsToExplain(dataset, Number(values.films), Number(values.seed));
  const kinds = new Map<string, Check[]>();
  const options = { draws: Number(values.draws), seed: Number(values.seed), head: values.head };
  for (const [i, row] of rows.entries()) {
    for (const [kind, checks] of await checksOf(predictor, dataset, [row], options)) {
      kinds.set(kind, [...(kinds.get(kind) ?? []), ...checks]);
    }
    if ((i + 1) % 20 === 0) process.stderr.write(`${i + 1} of ${rows.length} films\n`);
  }
  const result = {
    command: `node dist/bench/explain/faithfulness.js ../shared/data/movies --films ${values.films} --draws ${values.draws} --seed ${values.seed} --head ${values.head}`,
    model: `${predictor.describe().bundle.name} ${predictor.describe().bundle.version}`,
    films: rows.length,
    head: values.head,
    kinds: Object.fromEntries([...kinds].map(([kind, checks]) => [kind, faithfulness(checks)])),
  };
  const text = `${JSON.stringify(result, null, 2)}\n`;
  if (values.output) await writeFile(values.output, text);
  process.stdout.write(text);
}

if (process.argv[1]?.endsWith('faithfulness.js')) await main();
