/** An invented world whose truth is known: films of two modalities and a model of known faults. */
import type { BundleHead } from '../../lib/fusion/manifest.js';
import { randomOf } from '../../lib/train/random.js';
import type { FilmTable } from '../../lib/train/table.js';
import type { TableModel } from '../../lib/train/table-model.js';

export const rowsOf = (from: number, to: number) =>
  Int32Array.from({ length: to - from }, (_, i) => from + i);
export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/**
 * The model knows what it is given and errs by noise of known size, more without `b`, which a third of the films lack.
 * Heads: rating (2 a unit), spread (the log of its noise), money (log10), good (logits three times too hot), mood (three
 * classes by the rating's thirds).
 */
export function world(films: number, seed: number): { table: FilmTable; model: TableModel } {
  const random = randomOf(seed);
  const present = new Uint8Array(films * 2).fill(1);
  const forecast = new Float32Array(films);
  const noise = new Float32Array(films);
  const scale = new Float32Array(films);
  const targets = {
    rating: new Float32Array(films),
    money: new Float32Array(films),
    good: new Float32Array(films),
    mood: new Float32Array(films),
  };
  const signal = new Float32Array(films * 2);
  for (let i = 0; i < films; i++) {
    if (i % 3 === 0) present[2 * i + 1] = 0;
    forecast[i] = random.normal();
    scale[i] = 0.2 + 2 * random.next();
    noise[i] = random.normal();
    targets.rating[i] = 6 + 2 * (forecast[i]! + scale[i]! * noise[i]!);
    targets.money[i] = i % 5 === 0 ? Number.NaN : 10 ** (7 + forecast[i]! + 0.3 * noise[i]!);
    targets.good[i] = random.next() < sigmoid(forecast[i]!) ? 1 : 0;
    targets.mood[i] =
      forecast[i]! + 0.5 * noise[i]! < -0.5 ? 0 : forecast[i]! + 0.5 * noise[i]! < 0.5 ? 1 : 2;
    signal[2 * i] = forecast[i]!;
    signal[2 * i + 1] = 3;
  }
  const table: FilmTable = {
    ids: Array.from({ length: films }, (_, i) => `f${i}`),
    modalities: {
      a: { dim: 2, steps: 1, values: signal },
      b: { dim: 1, steps: 1, values: new Float32Array(films) },
    },
    present,
    targets,
    groups: {
      parity: Array.from({ length: films }, (_, i) => (i % 2 ? ['odd'] : ['even', 'not odd'])),
      rare: Array.from({ length: films }, (_, i) => (i % 100 === 1 ? ['seldom'] : [])),
    },
    titles: Array.from({ length: films }, (_, i) => `Film <${i}>`),
  };
  const model: TableModel = {
    modalities: ['a', 'b'],
    async predict(rows, mask = present) {
      const of = (f: (film: number, blur: number) => number) =>
        Float32Array.from(rows, (film, row) => f(film, mask[2 * row + 1] ? 0 : Math.sin(film * 7)));
      const mood = new Float32Array(rows.length * 3);
      for (const [row, film] of rows.entries()) {
        for (let c = 0; c < 3; c++) mood[row * 3 + c] = -4 * Math.abs(forecast[film]! - (c - 1));
      }
      return {
        rows,
        heads: {
          rating: of((film, blur) => forecast[film]! + blur),
          spread: of((film) => Math.log(scale[film]!)),
          money: of((film, blur) => forecast[film]! + blur),
          good: of((film, blur) => 3 * (forecast[film]! + blur)),
          mood,
        },
      };
    },
  };
  return { table, model };
}

/** Calibrated by hand: what intervals and temperatures ought to come to. */
export const WORLD_HEADS: BundleHead[] = [
  {
    name: 'rating',
    task: 'regression',
    unit: 'points',
    mean: 6,
    std: 2,
    transform: 'none',
    interval: { level: 0.9, quantiles: { '*': 2 * 1.645 }, spreadHead: 'spread', calibratedOn: 'theory' },
  },
  { name: 'spread', task: 'auxiliary' },
  {
    name: 'money',
    task: 'regression',
    unit: 'USD',
    mean: 7,
    std: 1,
    transform: 'log10',
    interval: { level: 0.8, quantiles: { '*': 0.3 * 1.2816 }, calibratedOn: 'theory' },
  },
  {
    name: 'good',
    task: 'binary',
    positive: 'good',
    temperatures: { '*': 3 },
    threshold: 0.5,
    calibratedOn: 'theory',
  },
  {
    name: 'mood',
    task: 'multiclass',
    classes: ['low', 'middle', 'high'],
    temperatures: { '*': 1.5 },
    calibratedOn: 'theory',
  },
];
