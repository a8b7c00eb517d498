/** One page that needs nothing else: no script, no font, no picture from elsewhere. */
import type { Evaluation, HeadEvaluation, SubsetEvaluation, WorstCase } from '../evaluation.js';
import { isHigherBetter, type Scores } from '../head-scores.js';
import { figure, percent, range, scoreLabel, subsetLabel } from './labels.js';
import { STYLE } from './style.js';
import { Html, html, type Part } from '../../html.js';

export interface PageChart {
  title: string;
  description: string;
  svg: string;
}

export interface Page {
  title: string;
  /** Lines of what the report is about: model, data set, command. */
  facts: readonly (readonly [label: string, text: string])[];
  evaluation: Evaluation;
  /** By head. */
  charts: Readonly<Record<string, readonly PageChart[]>>;
  learning?: PageChart | undefined;
  /** Data URIs by file. */
  posters: ReadonlyMap<string, string>;
}

/** @returns the whole document */
export function reportPage(page: Page): string {
  const { evaluation, title } = page;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<dl>${page.facts.map(([label, text]) => html`<div><dt>${label}</dt><dd>${text}</dd></div>`)}</dl>
<nav>${evaluation.heads.map(({ name }) => html`<a href="#${anchor(name)}">${name}</a>`)}${
    page.learning && html`<a href="#learning">learning curves</a>`
  }<a href="#how">how it was measured</a></nav>
</header>
<main>
${evaluation.heads.map((head) => headSection(head, page))}
${page.learning && html`<section id="learning"><h2>Learning curves</h2>${[figureOf(page.learning)]}</section>`}
${howSection(evaluation)}
</main>
</body>
</html>
`.toString();
}

const anchor = (name: string) => `head-${encodeURIComponent(name)}`;

function figureOf({ title, description, svg }: PageChart): Html {
  const uri = `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
  return html`<figure><figcaption><b>${title}</b> ${description}</figcaption><img src="${uri}" alt="${title}. ${description}"></figure>`;
}

function headSection(head: HeadEvaluation, page: Page): Html {
  const { modalities } = page.evaluation;
  const what = head.unit ?? head.positive ?? head.classes?.join(', ') ?? '';
  return html`<section id="${anchor(head.name)}">
<h2>${head.name} <small>${head.task}${what && `: ${what}`}</small></h2>
<p class="lead">${summary(head)}</p>
<h3>${head.baselines.length > 0 ? 'Beside the baselines' : 'Scores'}</h3>
${baselineTable(head)}
${head.subsets.length > 1 && html`<h3>By inputs</h3>${subsetTable(head, modalities)}`}
<div class="charts">${(page.charts[head.name] ?? []).map(figureOf)}</div>
${head.confusion && html`<h3>What was said of what</h3>${confusionTable(head)}`}
${head.groups.length > 0 && html`<h3>By group</h3>${head.groups.map((group) => groupTable(head, group))}`}
${head.worst.length > 0 && html`<h3>Worst cases</h3><ul class="worst">${head.worst.map((film) => worstCase(head, film, page.posters))}</ul>`}
</section>`;
}

/** The one paragraph that is read. */
function summary(head: HeadEvaluation): string {
  const { main, scores, intervals, baselines, calibration } = head;
  const sentences = [
    `On ${head.films} films: ${scoreLabel(main)} ${figure(scores[main])} (95 % interval ${range(intervals[main])}).`,
  ];
  for (const { name, gain } of baselines) {
    const { value, interval } = gain;
    if (value === null) continue;
    const sure = interval !== null && (interval[0] > 0 || interval[1] < 0);
    sentences.push(
      sure
        ? `${value > 0 ? 'Better' : 'Worse'} than ${name} by ${figure(Math.abs(value))}.`
        : `Not beyond doubt ${value > 0 ? 'better' : 'worse'} than ${name}.`,
    );
  }
  const single = head.subsets.filter(({ kind, gain }) => kind === 'alone' && gain?.interval);
  const best = single.sort((a, b) => (a.gain!.value ?? 0) - (b.gain!.value ?? 0))[0];
  if (best) {
    const beyond = best.gain!.interval![0] > 0;
    sentences.push(
      `Everything together is ${beyond ? '' : 'not beyond doubt '}better than the best single input, ${best.modalities[0]}, ` +
        `by ${figure(best.gain!.value)} (${range(best.gain!.interval)}).`,
    );
  }
  sentences.push(
    calibration.kind === 'interval'
      ? `Intervals that promise ${percent(calibration.level)} held ${percent(calibration.coverage)}.`
      : `Probabilities are off by ${percent(calibration.ece)} on average (ECE).`,
  );
  return sentences.join(' ');
}

/** A table whose first column names and whose others are figures. */
function table(columns: readonly string[], rows: readonly (readonly Part[])[], marked = -1): Html {
  return html`<div class="scroll"><table><thead><tr>${columns.map((column) => html`<th>${column}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row, i) =>
      html`<tr class="${i === marked ? 'model' : ''}">${row.map((cell, j) =>
        j === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`,
      )}</tr>`,
  )}</tbody></table></div>`;
}

const withRange = (value: number | null | undefined, ends: readonly [number, number] | null | undefined) =>
  html`${figure(value)}${ends && html` <span class="range">${range(ends)}</span>`}`;

function baselineTable({ scores, intervals, baselines, main }: HeadEvaluation): Html {
  const names = Object.keys(scores);
  const gains = baselines.length > 0 ? [''] : [];
  const better = (name: string) => {
    const direction = isHigherBetter(name);
    return `${scoreLabel(name)}${direction === undefined ? '' : direction ? ' ↑' : ' ↓'}`;
  };
  return html`${table(
    ['', ...gains.map(() => 'gain'), ...names.map(better)],
    [
      ['the model', ...gains, ...names.map((name) => withRange(scores[name], intervals[name]))],
      ...baselines.map((baseline) => [
        html`<span title="${baseline.about}">${baseline.name}</span>`,
        withRange(baseline.gain.value, baseline.gain.interval),
        ...names.map((name) => withRange(baseline.scores[name], baseline.intervals[name])),
      ]),
    ],
    0,
  )}<p class="note">${baselines.map(({ name, about }) => html`${name}: ${about}. `)}${baselines.length > 0 && `Gain: of the model over a baseline in ${scoreLabel(main)}. `}↑ more is better, ↓ less is better. Small figures: 95 % intervals.</p>`;
}

function subsetTable({ subsets, main }: HeadEvaluation, modalities: readonly string[]): Html {
  const names = Object.keys(subsets[0]!.scores).filter((name) => name !== 'bias');
  const row = (subset: SubsetEvaluation): Part[] => [
    subsetLabel(subset, modalities),
    subset.films,
    ...names.map((name) => figure(subset.scores[name])),
    subset.kind === 'fused' ? '' : figure(subset.fused[main]),
    subset.gain ? withRange(subset.gain.value, subset.gain.interval) : '',
  ];
  const main3 = subsets.filter(({ kind }) => kind !== 'subset');
  const rest = subsets.filter(({ kind }) => kind === 'subset');
  const columns = [
    '',
    'films',
    ...names.map(scoreLabel),
    `everything, same films: ${scoreLabel(main)}`,
    'gain of everything',
  ];
  return html`${table(columns, main3.map(row), 0)}${
    rest.length > 0 &&
    html`<details><summary>${rest.length} more sets of inputs</summary>${table(columns, rest.map(row))}</details>`
  }`;
}

function confusionTable({ confusion, classes, positive }: HeadEvaluation): Html {
  const names = classes ?? ['no', `yes: ${positive ?? ''}`];
  return table(
    ['it was ↓, said →', ...names],
    confusion!.map((row, i) => [names[i]!, ...row]),
  );
}

function groupTable(
  head: HeadEvaluation,
  { group, values, left, gap }: HeadEvaluation['groups'][number],
): Html {
  const shown: (keyof Scores)[] =
    head.task === 'regression'
      ? ['rmse', 'mae', 'r2', 'bias', 'coverage']
      : Object.keys(head.scores).filter((name) =>
          ['accuracy', 'macroF1', 'rocAuc', 'logLoss', 'ece', 'bias'].includes(name),
        );
  const score = head.task === 'regression' ? 'mae' : 'accuracy';
  const text = gap
    ? `${scoreLabel(gap.score)} is best for ${gap.best} and worst for ${gap.worst}: a gap of ${figure(gap.value)}.`
    : 'Too few groups with films enough for a gap.';
  return html`<details${values.length <= 8 && new Html(' open')}><summary><b>${group}</b> ${text}${left > 0 && ` ${left} more with too few films.`}</summary>
${
  values.length > 0 &&
  table(
    [group, 'films', ...shown.map((name) => scoreLabel(String(name)))],
    values.map(({ value, films, scores, interval }) => [
      value,
      films,
      ...shown.map((name) => withRange(scores[name], name === score ? interval : null)),
    ]),
  )
}</details>`;
}

function worstCase(head: HeadEvaluation, film: WorstCase, posters: ReadonlyMap<string, string>): Html {
  const poster = film.poster === undefined ? undefined : posters.get(film.poster);
  const text = (value: number | string) => (typeof value === 'number' ? figure(value, 2) : value);
  const said =
    head.task === 'binary'
      ? `said ${percent(film.forecast as number)}, was ${film.truth === 1 ? 'positive' : 'negative'}`
      : `said ${text(film.forecast)}${film.interval ? ` (${figure(film.interval[0], 2)} to ${figure(film.interval[1], 2)})` : ''}, was ${text(film.truth)}`;
  return html`<li>${
    poster ? html`<img src="${poster}" alt="">` : html`<span class="blank">no picture</span>`
  }<div><b>${film.title ?? film.id}</b>${film.title !== undefined && html`<br><small>${film.id}</small>`}<br>${said}<br><small>from ${film.present.join(', ')}</small></div></li>`;
}

function howSection({ part, films, skipped, draws, seed }: Evaluation): Html {
  return html`<section id="how"><h2>How it was measured</h2>
<p>On the ${films} films of the part “${part}”${skipped > 0 && ` (${skipped} more have no input and were left out)`}. Every
figure is of forecasts as they would be served, with what each film has. Intervals are percentiles of ${draws} draws of
films with repetition (seed ${seed}; of sets of inputs and groups a fifth of the draws); a gain's interval pairs both on
the same draws. “Alone” and “without” are judged on the films that have one of the inputs left, and beside them stands
everything together on the same films. Baselines were fitted on the training films. A small group, or one chosen for its
gap among many, may be unlike the others by chance: look at its interval.</p></section>`;
}
