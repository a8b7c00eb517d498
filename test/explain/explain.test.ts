import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { headValues } from '../../lib/explain/head-values.js';
import { withoutSpans } from '../../lib/explain/text-parts.js';
import type { ExplainProgress } from '../../lib/explain/types.js';
import { saveBundle } from '../../lib/fusion/bundle-save.js';
import { FusionNetwork } from '../../lib/fusion/network.js';
import type { Feedback, Movie } from '../../lib/index.js';
import { Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory, tinyContents } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const trailer = { path: path.join(EXAMPLE, 'trailer.mp4') };

async function example(): Promise<Movie> {
  return {
    ...(JSON.parse(await readFile(path.join(EXAMPLE, 'movie.json'), 'utf8')) as Movie),
    synopsis: (await readFile(path.join(EXAMPLE, 'synopsis.txt'), 'utf8')).trim(),
    poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  };
}

const valuesOf = (feedback: Feedback) =>
  Object.fromEntries(headValues(feedback).map(({ head, value }) => [head, value]));

let shared: Predictor;
let tiny: Predictor;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
test.before(async () => {
  directory = await temporaryDirectory();
  [shared, tiny] = await Promise.all([
    Predictor.load(undefined, { threads: 1 }),
    Predictor.load(await saveTiny(directory.path), { threads: 1 }),
  ]);
});
test.after.always(async () => {
  await Promise.all([shared?.dispose(), tiny?.dispose()]);
  await directory?.[Symbol.asyncDispose]();
});

test('every effect is the forecast less the forecast of the film with that part deleted', async (t) => {
  const film = await example();
  const explanation = await shared.explain(film, { maxWords: 20, posterCells: 4, draws: 2 });
  const base = valuesOf(explanation.feedback);
  const effectsOf = async (without: Movie) => {
    const values = valuesOf(await shared.predict(without));
    return Object.fromEntries(Object.entries(base).map(([head, value]) => [head, value - values[head]!]));
  };
  const near = (
    name: string,
    effects: Record<string, number> | undefined,
    expected: Record<string, number>,
  ) => {
    for (const [head, effect] of Object.entries(expected)) {
      const room = 1e-5 * Math.max(1, Math.abs(base[head]!));
      const off = Math.abs(effects![head]! - effect);
      t.true(off <= room, `${name}, ${head}: ${effects![head]} instead of ${effect}`);
    }
  };
  const { poster: _, ...noPoster } = film;
  const { inputs, facts, texts } = explanation;
  near('poster', inputs.find(({ input }) => input === 'poster')!.effects, await effectsOf(noPoster));
  const { budget: __, ...noBudget } = film;
  near('budget', facts.find(({ fact }) => fact === 'budget')!.effects, await effectsOf(noBudget));
  const actor = facts.find(({ value }) => value === 'Piet Hallorand')!;
  near(
    'actor',
    actor.effects,
    await effectsOf({ ...film, cast: film.cast!.filter((one) => one !== 'Piet Hallorand') }),
  );
  const { title: ___, ...noTitle } = film;
  near('title', facts.find(({ fact }) => fact === 'title')!.effects, await effectsOf(noTitle));
  const synopsis = texts.find(({ input }) => input === 'synopsis')!;
  t.is(synopsis.sentences.length, 4, 'broken lines end no sentence');
  const sentence = synopsis.sentences[2]!;
  const left = synopsis.text.replace(sentence.text, '').replace('  ', ' ');
  near(
    'sentence',
    sentence.effects,
    await effectsOf({ ...film, synopsis: withoutSpans(synopsis.text, sentence.spans) }),
  );
  t.is(withoutSpans(synopsis.text, sentence.spans).replace(/\s+/g, ' '), left.replace(/\s+/g, ' ').trim());
  const word = synopsis.words.find(({ spans }) => spans.length > 1) ?? synopsis.words[0]!;
  near('word', word.effects, await effectsOf({ ...film, synopsis: withoutSpans(synopsis.text, word.spans) }));
  for (const { spans, text } of synopsis.words) {
    for (const { start, end } of spans)
      t.is(synopsis.text.slice(start, end).toLowerCase(), text.toLowerCase());
  }
  const { regions, width, height, heat } = explanation.poster!;
  const region = regions[0]!;
  const [red, green, blue] = await meanOf(path.join(EXAMPLE, 'poster.jpg'));
  const covered = await sharp(path.join(EXAMPLE, 'poster.jpg'))
    .composite([
      {
        input: {
          create: {
            width: region.width,
            height: region.height,
            channels: 3,
            background: { r: red, g: green, b: blue },
          },
        },
        left: region.x,
        top: region.y,
      },
    ])
    .png()
    .toBuffer();
  near('region', region.effects, await effectsOf({ ...film, poster: covered }));
  t.deepEqual([width, height], [600, 900]);
  t.is(heat.effects.length, heat.columns * heat.rows);
  t.true(regions.every(({ x, y, width: w, height: h }) => x >= 0 && y >= 0 && x + w <= 600 && y + h <= 900));
});

async function meanOf(file: string): Promise<[number, number, number]> {
  const { channels } = await sharp(file).stats();
  return channels.slice(0, 3).map(({ mean }) => Math.round(mean)) as [number, number, number];
}

test('the same call gives the same explanation; what is ranked is ranked, and checks name what they name', async (t) => {
  const film = await example();
  const options = { maxWords: 12, posterCells: 4, draws: 3, head: 'boxOffice' };
  const first = await shared.explain(film, options);
  const again = await shared.explain(
    { ...film, poster: createReadStream(path.join(EXAMPLE, 'poster.jpg')) },
    options,
  );
  // Which rows share a run of an encoder's graph differs from call to call, and with it the last bits.
  const plain = ({ inputs, facts, texts, poster, moments }: typeof first) =>
    JSON.stringify({ inputs, facts, texts, poster, moments }, (_, value: unknown) =>
      typeof value === 'number' && !Number.isInteger(value) ? 0 : value,
    );
  t.is(plain(again), plain(first), 'also with the poster as a stream');
  const numbers = ({ inputs }: typeof first) => inputs.map(({ effects }) => effects!.rating!);
  for (const [i, effect] of numbers(again).entries()) t.true(Math.abs(effect - numbers(first)[i]!) < 1e-5);
  const size = ({ effects }: { effects: Record<string, number> | undefined }) =>
    Math.abs(effects?.boxOffice ?? 0);
  const falling = (parts: readonly { effects: Record<string, number> | undefined }[]) =>
    parts.every((part, i) => i === 0 || size(parts[i - 1]!) >= size(part));
  t.is(first.head, 'boxOffice');
  t.true(falling(first.inputs));
  for (const { words, wordCheck, input } of first.texts) {
    t.true(falling(words), input);
    if (!wordCheck) continue;
    const sign = Math.sign(wordCheck.named);
    t.true(
      wordCheck.parts.every((i) => Math.sign(words[i]!.effects.boxOffice!) === sign),
      'parts of one sign',
    );
    t.is(wordCheck.draws, 3);
  }
  t.true(first.texts.some(({ wordCheck }) => wordCheck !== undefined));
  t.true(first.poster!.check!.parts.every((i) => i >= 0 && i < first.poster!.regions.length));
});

test('stretches of a trailer: the forecast less that of the network without the stretch', async (t) => {
  const contents = tinyContents();
  const { manifest, tensors } = contents;
  // As many frames as embed() takes.
  manifest.modalities.find(({ name }) => name === 'frames')!.sampling = { kind: 'uniform', count: 16 };
  await using own = await temporaryDirectory();
  await saveBundle(path.join(own.path, 'bundle'), contents);
  await using predictor = await Predictor.load(path.join(own.path, 'bundle'), { threads: 1 });
  const film: Movie = { title: 'Ship of Night', runtime: 90, trailer };
  const { moments, heads } = await predictor.explain(film);
  const embedded = await predictor.embed(film);
  const of = (name: string) => embedded.find(({ input, encoder }) => `${input} ${encoder}` === name)!;
  const [frames, sound] = [of('trailer.video colours'), of('trailer.audio loudness')];
  const [video, heard] = (['trailer.video', 'trailer.audio'] as const).map((name) =>
    moments.filter(({ input }) => input === name),
  );
  t.deepEqual([video!.length, heard!.length], [16, sound.length]);
  t.true(Math.abs(video!.reduce((sum, { weight }) => sum + weight!, 0) - 1) < 1e-5);
  const weights = Object.fromEntries(
    [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
  );
  using network = FusionNetwork.create(manifest.network, weights);
  const rating = heads.find(({ head }) => head === 'rating')!.value;
  const rowsBut = ({ data, dim, length }: typeof sound, but: number | undefined) => {
    const steps = [...Array(length).keys()].filter((i) => i !== but);
    const rows = steps.flatMap((i) => [...data.subarray(i * dim, (i + 1) * dim)]);
    return { data: Float32Array.from(rows), steps: steps.length };
  };
  for (const [measured, noFrame, noSound] of [
    [video![3]!, 3, undefined],
    [heard![1]!, undefined, 1],
  ] as const) {
    const { heads: raw } = network.runSync({
      batch: 1,
      modalities: {
        metadata: of('metadata metadata').data,
        frames: rowsBut(frames, noFrame),
        sound: rowsBut(sound, noSound),
      },
    });
    // The tiny bundle's rating is 6 more than the raw output.
    const expected = rating - (raw.rating![0]! + 6);
    t.true(Math.abs(measured.effects.rating! - expected) < 1e-5);
    t.not(measured.effects.rating, 0);
  }
});

test('an only input, an only sentence and an only word leave nothing to compare with', async (t) => {
  const { inputs, texts, facts, poster, moments } = await tiny.explain({ synopsis: 'love' });
  t.deepEqual(inputs, [{ input: 'synopsis', weight: 1, effects: undefined }]);
  t.deepEqual(
    texts.map(({ sentences, words }) => [sentences.length, words.length]),
    [[0, 0]],
  );
  t.deepEqual([facts, poster, moments], [[], undefined, []]);
});

test('a long text is measured in blocks that cover it, and words to the number asked for', async (t) => {
  const synopsis = Array.from({ length: 300 }, (_, i) => `The sea and the war take love number ${i}.`).join(
    ' ',
  );
  const { texts } = await tiny.explain(
    { title: 'Sea', synopsis },
    { maxSentences: 7, maxWords: 5, draws: 1 },
  );
  const { sentences, words, text } = texts.find(({ input }) => input === 'synopsis')!;
  t.true(sentences.length >= 5 && sentences.length <= 7, `${sentences.length}`);
  t.is(sentences.map(({ spans: [span] }) => text.slice(span!.start, span!.end)).join(' '), text);
  t.true(words.length > 0 && words.length <= 5);
});

test('progress comes in order, and a call can be cancelled at any of its stages', async (t) => {
  const film = await example();
  const seen: ExplainProgress[] = [];
  const options = { maxWords: 10, posterCells: 3, draws: 1 };
  await shared.explain(film, { ...options, onProgress: (progress) => seen.push(progress) });
  const stages = [...new Set(seen.map(({ stage }) => stage))];
  t.deepEqual(stages, ['forecast', 'inputs', 'text', 'poster', 'moments']);
  t.true(seen.every(({ done, total }) => done >= 0 && done <= total));
  for (const stage of ['inputs', 'text', 'poster'] as const) {
    const controller = new AbortController();
    const call = shared.explain(film, {
      ...options,
      signal: controller.signal,
      onProgress: (progress) => progress.stage === stage && controller.abort(),
    });
    await throwsTyped(t, () => call, { code: 'ERR_CANCELLED' });
  }
  const gone = new AbortController();
  gone.abort();
  await throwsTyped(t, () => shared.explain(film, { signal: gone.signal }), { code: 'ERR_CANCELLED' });
});

test('wrong options are told by name', async (t) => {
  const film = { title: 'Sea' };
  await throwsTyped(t, () => tiny.explain(film, { head: 'fame' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'options.head',
  });
  await throwsTyped(t, () => tiny.explain(film, { draws: -1 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'options.draws',
  });
  await throwsTyped(t, () => tiny.explain(film, { maxWords: 1.5 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'options.maxWords',
  });
  const unknown = { wrods: 3 } as object;
  await throwsTyped(t, () => tiny.explain(film, unknown), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
    field: 'options.wrods',
  });
  await throwsTyped(t, () => tiny.explain({}), { code: 'ERR_INPUT_EMPTY' });
});
