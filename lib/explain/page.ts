/** One film's report: a page that needs nothing else, no script, no font, no picture from elsewhere. */
import { Html, html, type Part } from '../html.js';
import type { Movie } from '../movie.js';
import { drawCharts } from '../train/report/charts.js';
import { STYLE } from '../train/report/style.js';
import type { Comparable } from './film-index.js';
import { pageCharts } from './page-charts.js';
import { FILM_STYLE } from './page-style.js';
import { markedText, tint } from './page-text.js';
import type { Check, Effects, Explanation, HeadValue, TextExplanation } from './types.js';
import type { WhatIf } from './what-if.js';
import { clock, factName, headName, inputName, inUnit, signed } from './words.js';

/** A change that was tried, to be told in the report. */
export interface TriedChange {
  /** In words: "budget 50,000,000". */
  title: string;
  result: WhatIf;
}

export interface PageOptions {
  tried?: readonly TriedChange[] | undefined;
  signal?: AbortSignal | undefined;
}

interface Drawn {
  title: string;
  description: string;
  svg: string;
}

/**
 * An explanation as one HTML document that can be sent on: everything is inside it, and all that comes of the film is
 * escaped. Plots are drawn by vega and vega-lite, which are optional dependencies.
 *
 * @param movie  as it was explained: its title and facts stand at the top
 * @throws TrainError ERR_TRAIN_WRITE  vega or vega-lite is not installed
 * @throws CancelledError ERR_CANCELLED
 */
export async function explanationPage(
  explanation: Explanation,
  movie: Movie,
  { tried = [], signal }: PageOptions = {},
): Promise<string> {
  const charts = pageCharts(explanation);
  const svgs = await drawCharts(charts, signal);
  const drawn = charts.map(({ title, description }, i): Drawn => ({ title, description, svg: svgs[i]! }));
  const head = explanation.heads.find((own) => own.head === explanation.head)!;
  const name = movie.title ?? movie.id ?? 'A film';
  const { feedback } = explanation;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${name}: forecast and reasons</title>
<style>${new Html(STYLE)}${new Html(FILM_STYLE)}</style>
</head>
<body>
<header><div class="top"><div>
<h1>${name}</h1>
<dl>${factsOf(movie).map(([label, text]) => html`<div><dt>${label}</dt><dd>${text}</dd></div>`)}</dl>
<div class="cards">${explanation.heads.map(card)}</div>
<p class="note">Forecast by ${feedback.model.name} ${feedback.model.version}${feedback.model.beforeRelease && ', from what is known before release'}. Reasons are told of: ${headName(head.head).toLowerCase()}. <span class="legend"><i style="background: #2563eb"></i>raises it<i style="background: #d9570c"></i>lowers it</span></p>
</div>${explanation.poster && html`<img alt="Poster" src="${dataUri('image/jpeg', explanation.poster.picture)}">`}</div></header>
<main>
<section><h2>Forecast and what moved it</h2><div class="charts">${drawn.map(figure)}</div>${inputTable(explanation, head)}</section>
${explanation.texts.map((text) => textSection(text, head))}
${posterSection(explanation, head)}
${momentSection(explanation, head)}
${tried.length > 0 && triedSection(tried)}
${explanation.comparables.length > 0 && comparableSection(explanation.comparables)}
${missingSection(explanation)}
${howSection(explanation)}
</main>
</body>
</html>
`.toString();
}

const dataUri = (type: string, bytes: Uint8Array) =>
  `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;

function figure({ title, description, svg }: Drawn): Html {
  const uri = dataUri('image/svg+xml', Buffer.from(svg));
  return html`<figure><figcaption><b>${title}</b> ${description}</figcaption><img src="${uri}" alt="${title}. ${description}"></figure>`;
}

function factsOf(movie: Movie): [string, string][] {
  const list = (value: string | readonly string[] | null | undefined) =>
    typeof value === 'string' ? value : (value ?? []).join(', ');
  const facts: [string, string][] = [
    ['Release', movie.releaseDate ?? ''],
    ['Director', list(movie.director)],
    ['Cast', list(movie.cast?.slice(0, 6))],
    ['Genres', list(movie.genres)],
    ['Runtime', movie.runtime == null ? '' : `${movie.runtime} min`],
    ['Budget', movie.budget == null ? '' : inUnit({ unit: 'USD' }, movie.budget)],
    ['Language', movie.language ?? ''],
  ];
  return facts.filter(([, text]) => text !== '');
}

function card(head: HeadValue): Html {
  const { value, interval, level, unit } = head;
  const range =
    interval &&
    `${inUnit(head, interval[0])} to ${inUnit(head, interval[1])} holds ${Math.round(100 * (level ?? 0))} % of such films; ${unit}`;
  return html`<div class="card">${headName(head.head)}<b>${inUnit(head, value)}</b><span>${range ?? unit}</span></div>`;
}

function effect(head: HeadValue, effects: Effects | undefined): Html {
  const own = effects?.[head.head];
  if (own === undefined) return html`<td>–</td>`;
  return html`<td class="${own >= 0 ? 'up' : 'down'}">${signed(head, own)}</td>`;
}

/** Columns whose cells are words. */
const TEXT_COLUMNS = new Set(['where', 'director', 'why']);

function table(headings: readonly string[], rows: Part): Html {
  return html`<div class="scroll"><table><thead><tr>${headings.map((own) => html`<th class="${TEXT_COLUMNS.has(own) && 'text'}">${own}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

function inputTable({ inputs, heads }: Explanation, _head: HeadValue): Html {
  const rows = inputs.map(
    ({ input, weight, effects }) =>
      html`<tr><th>${inputName(input)}</th><td>${(100 * weight).toFixed(0)} %</td>${heads.map((own) => effect(own, effects))}</tr>`,
  );
  return html`<h3>By input, in each forecast's own unit</h3>${table(['without it', 'weight', ...heads.map(({ head }) => headName(head))], rows)}
<p class="note">The forecast with everything, less the forecast without this input. The weight is its share of the change of all inputs.</p>`;
}

/** What the test of an explanation came to. */
function checkNote(check: Check | undefined, what: string, head: HeadValue): Part {
  if (!check) return undefined;
  const { named, random, draws, beaten } = check;
  return html`<p class="note">Test: without ${what} the forecast changes by ${signed(head, -named)}; without as much chosen at random by ${signed(head, random).slice(1)} on average, up or down (${beaten} of ${draws} random choices changed it less).</p>`;
}

function textSection(text: TextExplanation, head: HeadValue): Html {
  const { input, sentences, words, wordCheck, sentenceCheck } = text;
  const strongest = words.slice(0, 12);
  const most = Math.abs(strongest[0]?.effects[head.head] ?? 0);
  return html`<section><h2>What the ${inputName(input)} says</h2>
${sentences.length > 0 ? markedText(text, head) : html`<p class="marked">${text.text}</p>`}
${strongest.length > 0 && html`<h3>Words that matter most</h3><p>${strongest.map((word) => html`<span style="background: ${tint(word.effects[head.head]!, most, 0.3)}">${word.text}</span> <small>${signed(head, word.effects[head.head]!)}</small> &nbsp; `)}</p>`}
${sentences.length > 1 && checkNote(sentenceCheck, 'the sentence that matters most', head)}
${checkNote(wordCheck, `the words ${wordCheck?.parts.map((i) => `“${words[i]!.text}”`).join(', ')}`, head)}
</section>`;
}

function posterSection({ poster }: Explanation, head: HeadValue): Part {
  if (!poster) return undefined;
  const rows = poster.regions.map(
    ({ x, y, width, height, effects }, i) =>
      html`<tr><th>${i + 1}</th><td class="text">${placeOf(x + width / 2, y + height / 2, poster)}</td><td>${x}, ${y}, ${width} × ${height}</td>${effect(head, effects)}</tr>`,
  );
  return html`<section><h2>What the poster shows</h2><div class="two">
<figure><figcaption><b>Poster</b></figcaption><img alt="Poster" src="${dataUri('image/jpeg', poster.picture)}"></figure>
<figure><figcaption><b>What its places did</b> Blue raises the forecast, orange lowers it.</figcaption><img alt="Heat map over the poster" src="${dataUri('image/png', poster.heatMap)}"></figure>
<div>${table(['region', 'where', 'pixels: x, y, size', headName(head.head)], rows)}${checkNote(poster.check, `region${poster.check?.parts.length === 1 ? '' : 's'} ${poster.check?.parts.map((i) => i + 1).join(' and ')}`, head)}</div>
</div></section>`;
}

function placeOf(x: number, y: number, { width, height }: { width: number; height: number }): string {
  const third = (share: number, names: readonly string[]) => names[Math.min(2, Math.floor(share * 3))]!;
  const vertical = third(y / height, ['top', 'middle', 'bottom']);
  const across = third(x / width, ['left', 'centre', 'right']);
  return `${vertical} ${across}`;
}

function momentSection({ moments }: Explanation, head: HeadValue): Part {
  if (moments.length === 0) return undefined;
  const strongest = [...moments]
    .sort((a, b) => Math.abs(b.effects[head.head]!) - Math.abs(a.effects[head.head]!))
    .slice(0, 8);
  const rows = strongest.map(
    ({ input, startMs, endMs, effects }) =>
      html`<tr><th>${inputName(input)}</th><td>${clock(startMs)} – ${clock(endMs)}</td>${effect(head, effects)}</tr>`,
  );
  return html`<section><h2>Stretches that matter most</h2>${table(['of', 'when', headName(head.head)], rows)}</section>`;
}

function triedSection(tried: readonly TriedChange[]): Html {
  const heads = tried[0]!.result.differences;
  const rows = tried.map(
    ({ title, result }) =>
      html`<tr><th>${title}</th>${result.differences.map((own) => html`<td>${inUnit(own, own.after)} <span class="range">${signed(own, own.change)}</span></td>`)}</tr>`,
  );
  return html`<section><h2>What if</h2>${table(['changed', ...heads.map(({ head }) => headName(head))], rows)}
<p class="note">What the model would say of the changed film. It says nothing of why films do well: a budget that is put in does not bring what large films have beside it.</p></section>`;
}

function comparableSection(comparables: readonly Comparable[]): Html {
  const rows = comparables.map(({ film, outcomes, similarity, reason }) => {
    const rating = outcomes.rating === undefined ? '–' : String(Number(outcomes.rating.toFixed(1)));
    const gross = outcomes.boxOffice === undefined ? '–' : inUnit({ unit: 'USD' }, outcomes.boxOffice);
    return html`<tr><th>${film.title ?? film.id ?? 'a film'}${film.year !== undefined && ` (${film.year})`}</th><td class="text">${film.directors.join(', ')}</td><td>${rating}</td><td>${gross}</td><td>${similarity.toFixed(2)}</td><td class="text">${reason}</td></tr>`;
  });
  return html`<section><h2>Comparable films</h2>${table(['film', 'director', 'rating', 'gross', 'nearness', 'why'], rows)}
<p class="note">Nearest in the space that the model reads its forecasts from. Nearness is a cosine, 1 at most. Rating and gross are what became of these films.</p></section>`;
}

function missingSection({ feedback, facts, head }: Explanation): Html {
  const { missing, notUsed } = feedback;
  const idle = facts.filter(({ effects }) => effects && effects[head] === 0);
  return html`<section><h2>What was missing</h2>
${missing.length > 0 ? html`<p>Could have been used and was not given: ${missing.map((own) => factNames(own)).join(', ')}.</p>` : html`<p>Nothing that this model could have used.</p>`}
${notUsed.length > 0 && html`<ul class="plain">${notUsed.map(({ input, reason }) => html`<li>${inputName(input)}: given and not used: ${reason}</li>`)}</ul>`}
${idle.length > 0 && html`<p class="note">Given, and without any effect here: ${idle.map(({ fact, value }) => `${factName(fact)} (${value})`).join(', ')}.</p>`}
</section>`;
}

const factNames = (name: string) => (inputName(name) === name ? factName(name) : inputName(name));

function howSection({ forecasts, milliseconds, feedback }: Explanation): Html {
  return html`<section id="how"><h2>How it was measured</h2>
<p>Every effect is a difference of two forecasts of ${feedback.model.name} ${feedback.model.version}: the film as it is, less the film with that part deleted and everything encoded anew. A word is deleted wherever it occurs, a region of the poster is painted in the poster's mean colour, a stretch of sound or picture is left out. ${forecasts} such films were run, in ${(milliseconds / 1000).toFixed(1)} s. Effects of parts do not add up to the effect of the whole: parts lean on each other.</p>
<p>An effect says what moved this forecast. It does not say what makes films succeed.</p></section>`;
}
