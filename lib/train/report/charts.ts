/** The plots of a report, each a Vega-Lite specification that becomes an SVG. */
import type { TopLevelSpec } from 'vega-lite';
import { throwIfCancelled, TrainError } from '../../errors.js';
import type { GroupEvaluation, HeadEvaluation } from '../evaluation.js';
import type { MemberHistory } from '../fit-types.js';
import { presenceLabel, scoreLabel, subsetLabel } from './labels.js';

export interface Chart {
  title: string;
  /** What is to be seen, for those who cannot see it. */
  description: string;
  spec: TopLevelSpec;
}

export const BLUE = '#2563a8';
export const ORANGE = '#c2571a';
export const GREY = '#8a8f98';
const SIZE = { width: 330, height: 250 };

const CONFIG = {
  background: '#ffffff',
  font: 'system-ui, sans-serif',
  axis: {
    labelFontSize: 11,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    gridColor: '#e8eaee',
    labelLimit: 220,
  },
  legend: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: 'normal', orient: 'bottom' },
  view: { stroke: '#d5d8de' },
} as const;

/** Text that a plot may hold: no control characters, and not endless. */
export const plain = (text: string, most = 60) => {
  const one = text.replace(/\p{Cc}+/gu, ' ');
  return one.length > most ? `${one.slice(0, most - 1)}…` : one;
};

const quantitative = (field: string, title: string, extra: object = {}) => ({
  field,
  type: 'quantitative' as const,
  title,
  scale: { zero: false, nice: true },
  ...extra,
});

export const topLevel = (description: string, body: object): TopLevelSpec =>
  ({ description, config: CONFIG, ...SIZE, ...body }) as TopLevelSpec;

/** A line of what ought to be, from corner to corner. */
const diagonal = (low: number, high: number) => ({
  data: {
    values: [
      { x: low, y: low },
      { x: high, y: high },
    ],
  },
  mark: { type: 'line', color: GREY, strokeDash: [4, 4] },
  encoding: { x: { field: 'x', type: 'quantitative' }, y: { field: 'y', type: 'quantitative' } },
});

const rule = (channel: 'x' | 'y', value: number, color = GREY) => ({
  mark: { type: 'rule', color, strokeDash: [4, 4] },
  encoding: { [channel]: { datum: value, type: 'quantitative' } },
});

/** All plots of one head. */
export function headCharts(head: HeadEvaluation, modalities: readonly string[]): Chart[] {
  return [
    calibrationChart(head),
    ...(head.calibration.kind === 'interval' ? [coverageChart(head, modalities)] : []),
    ...(head.task === 'regression'
      ? [residualChart(head), residualHistogram(head)]
      : [separationChart(head)]),
    ...(head.subsets.length > 1 ? [subsetChart(head, modalities)] : []),
    ...head.groups.filter(({ values }) => values.length > 1).map((group) => groupChart(head, group)),
  ].filter((chart) => chart !== undefined);
}

function calibrationChart(head: HeadEvaluation): Chart {
  const title = `Calibration of ${plain(head.name)}`;
  if (head.calibration.kind === 'interval') {
    const bins = head.calibration.bins;
    const ends = bins.flatMap(({ meanForecast, meanTruth }) => [meanForecast, meanTruth]);
    const description =
      'Mean truth of the films by tenths of their forecasts; on the dashed line both agree.';
    return {
      title,
      description,
      spec: topLevel(description, {
        layer: [
          diagonal(Math.min(...ends), Math.max(...ends)),
          {
            data: { values: bins },
            mark: { type: 'line', color: BLUE, point: { color: BLUE, size: 45 } },
            encoding: {
              x: quantitative('meanForecast', 'mean forecast'),
              y: quantitative('meanTruth', 'mean truth'),
            },
          },
        ],
      }),
    };
  }
  const description =
    'How often what was said came true, by how probable it was said to be; on the dashed line both agree. Larger points: more films.';
  const probability = { scale: { domain: [0, 1] }, axis: { format: '.0%' } };
  return {
    title,
    description,
    spec: topLevel(description, {
      layer: [
        diagonal(0, 1),
        {
          data: { values: head.calibration.bins },
          layer: [
            { mark: { type: 'line', color: BLUE } },
            {
              mark: { type: 'point', color: BLUE, filled: true, opacity: 1 },
              encoding: {
                size: { field: 'n', type: 'quantitative', title: 'films', scale: { range: [20, 220] } },
              },
            },
          ],
          encoding: {
            x: quantitative('meanProbability', 'mean probability', probability),
            y: quantitative('frequency', 'came true', probability),
          },
        },
      ],
    }),
  };
}

/** Shares of intervals that held, by tenths of forecasts and by what films have. */
function coverageChart({ name, calibration }: HeadEvaluation, inputs: readonly string[]): Chart {
  if (calibration.kind !== 'interval') throw new TypeError('an interval has no probabilities');
  const description =
    'Share of the intervals that held the truth: of all films, and by what films have. The line is the promise.';
  const values = [
    { what: 'all films', coverage: calibration.coverage, n: 0 },
    ...calibration.byPresence.map(({ modalities, coverage, films }) => ({
      what: `${plain(presenceLabel(modalities, inputs))} (${films})`,
      coverage,
      n: films,
    })),
  ];
  return {
    title: `Coverage of the intervals of ${plain(name)}`,
    description,
    spec: topLevel(description, {
      height: { step: 24 },
      data: { values },
      layer: [
        {
          mark: { type: 'bar', color: BLUE, height: { band: 0.6 } },
          encoding: {
            y: { field: 'what', type: 'nominal', title: null, sort: null },
            x: quantitative('coverage', 'held', { scale: { domain: [0, 1] }, axis: { format: '.0%' } }),
          },
        },
        rule('x', calibration.level, ORANGE),
      ],
    }),
  };
}

const pointsOf = ({ points }: HeadEvaluation) =>
  points.truth.map((truth, i) => ({
    truth,
    forecast: points.forecast[i]!,
    residual: truth - points.forecast[i]!,
  }));

function residualChart(head: HeadEvaluation): Chart {
  const description =
    'Truth less forecast, by forecast: a point a film. A slope or a funnel is something left to learn.';
  return {
    title: `Residuals of ${plain(head.name)}`,
    description,
    spec: topLevel(description, {
      data: { values: pointsOf(head) },
      layer: [
        {
          mark: { type: 'point', filled: true, size: 14, opacity: 0.35, color: BLUE },
          encoding: {
            x: quantitative('forecast', `forecast (${plain(head.unit ?? '')})`),
            y: quantitative('residual', 'truth − forecast'),
          },
        },
        rule('y', 0),
      ],
    }),
  };
}

function residualHistogram(head: HeadEvaluation): Chart {
  const description = 'How many films were off by how much.';
  return {
    title: `Errors of ${plain(head.name)}`,
    description,
    spec: topLevel(description, {
      data: { values: pointsOf(head) },
      layer: [
        {
          mark: { type: 'bar', color: BLUE },
          encoding: {
            x: { field: 'residual', type: 'quantitative', bin: { maxbins: 40 }, title: 'truth − forecast' },
            y: { aggregate: 'count', type: 'quantitative', title: 'films' },
          },
        },
        rule('x', 0),
      ],
    }),
  };
}

/** Of classes: the probabilities said where it was so, and where it was not. */
function separationChart(head: HeadEvaluation): Chart {
  const several = head.task === 'multiclass';
  const description = several
    ? 'How sure it was of the class it said, where that was right and where it was wrong.'
    : 'The probabilities said of films that turned out positive, and of those that did not.';
  const [yes, no] = several ? ['right', 'wrong'] : ['positive', 'negative'];
  return {
    title: `Probabilities of ${plain(head.name)}`,
    description,
    spec: topLevel(description, {
      data: { values: pointsOf(head).map(({ truth, forecast }) => ({ forecast, truth: truth ? yes : no })) },
      mark: { type: 'bar', opacity: 0.6, binSpacing: 0 },
      encoding: {
        x: {
          field: 'forecast',
          type: 'quantitative',
          bin: { step: 0.05, extent: [0, 1] },
          title: 'probability',
          axis: { format: '.0%' },
        },
        y: { aggregate: 'count', type: 'quantitative', title: 'films', stack: null },
        color: {
          field: 'truth',
          type: 'nominal',
          title: null,
          scale: { domain: [yes, no], range: [BLUE, ORANGE] },
        },
      },
    }),
  };
}

function subsetChart(head: HeadEvaluation, modalities: readonly string[]): Chart {
  const description = `${scoreLabel(head.main)} with each set of inputs, and of everything on the same films.`;
  const values = head.subsets.flatMap((subset) => {
    const what = plain(subsetLabel(subset, modalities));
    const row = [{ what, of: 'these inputs', score: subset.scores[head.main] }];
    return subset.kind === 'fused'
      ? row
      : [...row, { what, of: 'everything', score: subset.fused[head.main] }];
  });
  return {
    title: `${plain(head.name)} by inputs`,
    description,
    spec: topLevel(description, {
      height: { step: 18 },
      data: { values },
      mark: { type: 'point', filled: true, size: 60, opacity: 0.9 },
      encoding: {
        y: { field: 'what', type: 'nominal', title: null, sort: null, axis: { grid: true } },
        x: quantitative('score', scoreLabel(head.main)),
        color: {
          field: 'of',
          type: 'nominal',
          title: null,
          scale: { domain: ['these inputs', 'everything'], range: [BLUE, GREY] },
        },
      },
    }),
  };
}

function groupChart(head: HeadEvaluation, { group, values }: GroupEvaluation): Chart {
  const score = head.task === 'regression' ? 'mae' : 'accuracy';
  const description = `${scoreLabel(score)} by ${plain(group)}, with 95 % intervals; the line is that of all films.`;
  const rows = values.slice(0, 30).map(({ value, films, scores, interval }) => ({
    what: `${plain(value, 40)} (${films})`,
    score: scores[score],
    low: interval?.[0] ?? scores[score],
    high: interval?.[1] ?? scores[score],
  }));
  return {
    title: `${plain(head.name)} by ${plain(group)}`,
    description,
    spec: topLevel(description, {
      height: { step: 18 },
      data: { values: rows },
      layer: [
        {
          mark: { type: 'rule', color: BLUE },
          encoding: {
            x: quantitative('low', scoreLabel(score)),
            x2: { field: 'high' },
            y: { field: 'what', type: 'nominal', title: null, sort: null },
          },
        },
        {
          mark: { type: 'point', filled: true, color: BLUE, size: 50, opacity: 1 },
          encoding: {
            x: quantitative('score', scoreLabel(score)),
            y: { field: 'what', type: 'nominal', title: null, sort: null },
          },
        },
        rule('x', head.scores[score] ?? 0, ORANGE),
      ],
    }),
  };
}

/** Losses by epoch, of every network of an ensemble. */
export function learningChart(history: readonly MemberHistory[]): Chart {
  const description =
    'Loss by epoch: on the training films (with dropout), and on the valid films. Rules mark the epochs kept.';
  const values = history.flatMap(({ epochs }, member) =>
    epochs.flatMap(({ epoch, loss, valid }) => [
      { epoch, member, part: 'train', loss },
      ...(valid ? [{ epoch, member, part: 'valid', loss: valid.loss }] : []),
    ]),
  );
  return {
    title: 'Learning curves',
    description,
    spec: topLevel(description, {
      width: 560,
      layer: [
        {
          data: { values },
          mark: { type: 'line', interpolate: 'linear' },
          encoding: {
            x: quantitative('epoch', 'epoch', { axis: { tickMinStep: 1 } }),
            y: quantitative('loss', 'loss'),
            color: {
              field: 'part',
              type: 'nominal',
              title: null,
              scale: { domain: ['train', 'valid'], range: [GREY, BLUE] },
            },
            detail: { field: 'member', type: 'nominal' },
          },
        },
        {
          data: { values: history.map(({ bestEpoch }) => ({ bestEpoch })) },
          mark: { type: 'rule', color: ORANGE, strokeDash: [4, 4] },
          encoding: { x: { field: 'bestEpoch', type: 'quantitative' } },
        },
      ],
    }),
  };
}

/**
 * Draws the plots. vega and vega-lite are loaded here, and only here.
 *
 * @returns SVG documents
 * @throws TrainError ERR_TRAIN_WRITE  vega or vega-lite is not installed
 */
export async function drawCharts(charts: readonly Chart[], signal?: AbortSignal): Promise<string[]> {
  const { vega, vegaLite } = await loadVega();
  const drawn: string[] = [];
  for (const { spec } of charts) {
    throwIfCancelled(signal);
    const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: 'none' });
    drawn.push(await view.toSVG());
    view.finalize();
  }
  return drawn;
}

async function loadVega() {
  try {
    const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
    return { vega, vegaLite };
  } catch (cause) {
    throw new TrainError('ERR_TRAIN_WRITE', {
      field: 'report',
      message:
        'The plots of an HTML report need the packages vega and vega-lite, which could not be loaded. ' +
        'Run: npm install vega vega-lite (or ask for JSON and CSV only)',
      cause,
    });
  }
}
