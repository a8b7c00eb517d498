/** The plots of a film's report. */
import { BLUE, type Chart, GREY, ORANGE, plain, topLevel } from '../train/report/charts.js';
import type { Explanation, HeadValue } from './types.js';
import { clock, factName, factValue, headName, inputName } from './words.js';

/** Bars of one plot. */
const MOST_BARS = 22;

export function pageCharts(explanation: Explanation): Chart[] {
  const unit = explanation.heads.find(({ head }) => head === explanation.head)!;
  return [
    ...explanation.heads.filter(({ interval }) => interval).map(intervalChart),
    effectChart(explanation, unit),
    ...momentCharts(explanation, unit),
  ];
}

function intervalChart({ head, value, interval, level, unit }: HeadValue): Chart {
  const [low, high] = interval!;
  const share = Math.round(100 * (level ?? 0));
  const logarithmic = unit === 'USD';
  const domain = logarithmic ? [Math.max(1, low / 3), high * 3] : [Math.min(0, low), Math.max(10, high)];
  const scale = { domain, type: logarithmic ? 'log' : 'linear', nice: false };
  const axis = logarithmic ? { format: '$.2~s', tickCount: 6 } : {};
  const x = { field: 'low', type: 'quantitative', title: plain(unit), scale, axis };
  return {
    title: headName(head),
    description: `The forecast, and the range that holds the truth for ${share} % of films like those it was calibrated on.`,
    spec: topLevel('the forecast and its range', {
      height: 46,
      width: 360,
      data: { values: [{ low, high, value }] },
      layer: [
        { mark: { type: 'rule', size: 7, color: '#b8cdec' }, encoding: { x, x2: { field: 'high' } } },
        {
          mark: { type: 'point', filled: true, size: 130, color: BLUE, opacity: 1 },
          encoding: { x: { ...x, field: 'value' } },
        },
      ],
    }),
  };
}

const colour = {
  field: 'way',
  type: 'nominal',
  title: null,
  scale: { domain: ['raises it', 'lowers it'], range: [BLUE, ORANGE] },
} as const;
const wayOf = (effect: number) => (effect >= 0 ? 'raises it' : 'lowers it');

function effectChart({ inputs, facts, head }: Explanation, { unit }: HeadValue): Chart {
  const bars = [
    ...inputs.map(({ input, effects }) => ({ what: `the ${inputName(input)}`, effect: effects?.[head] })),
    ...facts.map(({ fact, value, effects }) => ({
      what: plain(`${factName(fact)}: ${factValue(fact, value)}`, 44),
      effect: effects?.[head],
    })),
  ].flatMap(({ what, effect }) => (effect === undefined ? [] : [{ what, effect, way: wayOf(effect) }]));
  bars.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  return {
    title: `What did what to the ${headName(head).toLowerCase()}`,
    description:
      'The forecast less the forecast without it: each input as a whole, and each fact for itself.',
    spec: topLevel('effects of inputs and facts', {
      width: 420,
      height: { step: 21 },
      data: { values: bars.slice(0, MOST_BARS) },
      layer: [
        {
          mark: { type: 'bar', height: { band: 0.68 } },
          encoding: {
            y: { field: 'what', type: 'nominal', title: null, sort: null, axis: { labelLimit: 320 } },
            x: { field: 'effect', type: 'quantitative', title: plain(unit), axis: { tickCount: 6 } },
            color: colour,
          },
        },
        { mark: { type: 'rule', color: GREY }, encoding: { x: { datum: 0 } } },
      ],
    }),
  };
}

function momentCharts({ moments, head }: Explanation, { unit }: HeadValue): Chart[] {
  const inputs = [...new Set(moments.map(({ input }) => input))];
  return inputs.map((input): Chart => {
    const values = moments
      .filter((moment) => moment.input === input)
      .map(({ startMs, endMs, effects }) => ({
        start: startMs / 1000,
        end: endMs / 1000,
        when: clock(startMs),
        effect: effects[head]!,
        way: wayOf(effects[head]!),
      }));
    return {
      title: `The ${inputName(input)}, second by second`,
      description: 'The forecast less the forecast without this stretch.',
      spec: topLevel('effects by time', {
        width: 760,
        height: 140,
        data: { values },
        mark: { type: 'rect' },
        encoding: {
          x: { field: 'start', type: 'quantitative', title: 'seconds' },
          x2: { field: 'end' },
          y: { field: 'effect', type: 'quantitative', title: plain(unit, 28) },
          y2: { datum: 0 },
          color: colour,
        },
      }),
    };
  });
}
