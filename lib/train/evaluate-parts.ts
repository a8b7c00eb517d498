/** The parts of an evaluation that look at single films and groups of them. */
import { bootstrap, type BootstrapOptions } from './bootstrap.js';
import type {
  CalibrationEvaluation,
  Ends,
  ForecastBin,
  GroupEvaluation,
  GroupValue,
  WorstCase,
} from './evaluation.js';
import { chosen, type Forecasts, type JudgedHead, likeliest, scoreOf, scoresOf } from './head-scores.js';
import { expectedCalibrationError, reliabilityBins, rising } from './metrics.js';
import { randomOf, seedOf } from './random.js';
import type { FilmTable } from './table.js';

const BINS = 10;
/** Fewest films of a set of modalities whose coverage is told. */
const MIN_SET = 30;

/** Whether intervals and probabilities keep their word. */
export function calibrationOf(
  head: JudgedHead,
  forecasts: Forecasts,
  presentNames: (i: number) => string[],
  intervals: Readonly<Record<string, Ends>>,
): CalibrationEvaluation {
  const { truth, value } = forecasts;
  if (head.task !== 'regression') {
    const classes = head.task === 'multiclass' ? head.classes.length : 1;
    // of several classes: how sure of the one that was said, and whether it was right
    const said = Float64Array.from(truth, (_, i) => likeliest(value, i, classes));
    const sure = classes === 1 ? value : said.map((c, i) => value[i * classes + c]!);
    const right = classes === 1 ? truth : said.map((c, i) => Number(c === truth[i]));
    return {
      kind: 'probability',
      ece: expectedCalibrationError(right, sure, BINS),
      eceInterval: intervals.ece ?? null,
      bins: reliabilityBins(right, sure, BINS),
      calibratedOn: head.calibratedOn,
    };
  }
  const { coverage, meanWidth } = widthsOf(forecasts);
  const sets = new Map<string, { modalities: string[]; at: number[] }>();
  for (let i = 0; i < truth.length; i++) {
    const modalities = presentNames(i);
    const set = sets.get(modalities.join('+')) ?? { modalities, at: [] };
    sets.set(modalities.join('+'), set);
    set.at.push(i);
  }
  return {
    kind: 'interval',
    level: head.interval.level,
    coverage,
    coverageInterval: intervals.coverage ?? null,
    meanWidth,
    bins: forecastBins(forecasts),
    byPresence: [...sets.values()]
      .filter(({ at }) => at.length >= MIN_SET)
      .sort((a, b) => b.at.length - a.at.length)
      .map(({ modalities, at }) => ({
        modalities,
        films: at.length,
        ...widthsOf(chosen(forecasts, at)),
      })),
    calibratedOn: head.interval.calibratedOn,
  };
}

function widthsOf({ truth, low, high }: Forecasts): { coverage: number; meanWidth: number } {
  let [inside, width] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    if (low![i]! <= truth[i]! && truth[i]! <= high![i]!) inside++;
    width += high![i]! - low![i]!;
  }
  return { coverage: inside / truth.length, meanWidth: width / truth.length };
}

/** Tenths of the films by forecast. */
function forecastBins(forecasts: Forecasts): ForecastBin[] {
  const order = rising(forecasts.value);
  const bins: ForecastBin[] = [];
  for (let bin = 0; bin < BINS; bin++) {
    const at = order.subarray(
      Math.floor((bin * order.length) / BINS),
      Math.floor(((bin + 1) * order.length) / BINS),
    );
    if (at.length === 0) continue;
    const own = chosen(forecasts, at);
    const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
    bins.push({
      n: at.length,
      meanForecast: mean(own.value),
      meanTruth: mean(own.truth),
      coverage: widthsOf(own).coverage,
    });
  }
  return bins;
}

/** Groups compare by what has a meaning within any of them: a mean error, a share of right answers. */
const groupScore = (head: JudgedHead) => (head.task === 'regression' ? 'mae' : 'accuracy');

/** Results by group, and how far the best and the worst lie apart. */
export async function groupsOf(
  head: JudgedHead,
  forecasts: Forecasts,
  table: FilmTable,
  minGroup: number,
  options: BootstrapOptions,
): Promise<GroupEvaluation[]> {
  const score = groupScore(head);
  const result: GroupEvaluation[] = [];
  for (const [group, ofFilm] of Object.entries(table.groups ?? {})) {
    const members = new Map<string, number[]>();
    for (const [i, film] of forecasts.films.entries()) {
      for (const value of new Set(ofFilm[film])) {
        const list = members.get(value) ?? [];
        members.set(value, list);
        list.push(i);
      }
    }
    const large = [...members].filter(([, at]) => at.length >= minGroup);
    const values: GroupValue[] = [];
    // decades in their order, genres by their films
    const ordered = large.every(([value]) => /^\d/.test(value));
    const byName = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });
    large.sort((a, b) => (ordered ? 0 : b[1].length - a[1].length) || byName(a[0], b[0]));
    for (const [value, at] of large) {
      const own = chosen(forecasts, at);
      const intervals = await bootstrap(
        at.length,
        (places) => ({ [score]: scoreOf(head, chosen(own, places), score) }),
        options,
      );
      values.push({
        value,
        films: at.length,
        scores: scoresOf(head, own),
        interval: intervals[score] ?? null,
      });
    }
    result.push({ group, values, left: members.size - large.length, gap: gapOf(head, values) });
  }
  return result;
}

function gapOf(head: JudgedHead, values: readonly GroupValue[]): GroupEvaluation['gap'] {
  if (values.length < 2) return null;
  const score = groupScore(head);
  const sorted = [...values].sort((a, b) => a.scores[score]! - b.scores[score]!);
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  const [best, worst] = head.task === 'regression' ? [first, last] : [last, first];
  return {
    score,
    best: best.value,
    worst: worst.value,
    value: Math.abs(last.scores[score]! - first.scores[score]!),
  };
}

const MOST_POINTS = 1500;

/** Truth and forecast of some films, for plots. Of several classes: whether the class said is right, and how sure. */
export function pointsOf(
  head: JudgedHead,
  forecasts: Forecasts,
  seed: number,
): { truth: number[]; forecast: number[] } {
  const n = forecasts.films.length;
  const places = randomOf(seedOf(seed, 'points', head.name))
    .shuffle(Int32Array.from({ length: n }, (_, i) => i))
    .slice(0, MOST_POINTS)
    .sort();
  if (head.task !== 'multiclass') {
    return {
      truth: Array.from(places, (i) => forecasts.truth[i]!),
      forecast: Array.from(places, (i) => forecasts.value[i]!),
    };
  }
  const { length } = head.classes;
  const said = Array.from(places, (i) => likeliest(forecasts.value, i, length));
  return {
    truth: said.map((c, k) => Number(c === forecasts.truth[places[k]!])),
    forecast: said.map((c, k) => forecasts.value[places[k]! * length + c]!),
  };
}

/** The films it is most wrong about, the worst first. */
export function worstOf(
  head: JudgedHead,
  forecasts: Forecasts,
  table: FilmTable,
  presentNames: (i: number) => string[],
  most: number,
): WorstCase[] {
  const { films, truth, value, low, high } = forecasts;
  const classes = head.task === 'multiclass' ? head.classes.length : 1;
  const error = Float64Array.from(truth, (t, i) => {
    if (head.task === 'regression') return Math.abs(value[i]! - t);
    const chance = head.task === 'binary' ? (t === 1 ? value[i]! : 1 - value[i]!) : value[i * classes + t]!;
    return -Math.log(Math.max(1e-7, chance));
  });
  const order = rising(error.map((e) => -e)).subarray(0, most);
  return Array.from(order, (i) => {
    const film = films[i]!;
    const title = table.titles?.[film];
    const poster = table.posters?.[film];
    return {
      id: table.ids[film]!,
      ...(title !== undefined && { title }),
      ...(poster !== undefined && { poster }),
      truth: head.task === 'multiclass' ? head.classes[truth[i]!]! : truth[i]!,
      forecast: head.task === 'multiclass' ? head.classes[likeliest(value, i, classes)]! : value[i]!,
      ...(low && high && { interval: [low[i]!, high[i]!] as [number, number] }),
      error: error[i]!,
      present: presentNames(i),
    };
  });
}
