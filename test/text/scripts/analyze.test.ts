/** Screenplays and subtitles as a course: tone, tension, key words, who speaks, and the whole as a sequence. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../../lib/native.js';
import { analyzeScript } from '../../../lib/text/scripts/analyze.js';
import { proseOf } from '../../../lib/text/scripts/prose.js';
import { readScreenplay } from '../../../lib/text/scripts/screenplay.js';
import { analyzeSubtitles } from '../../../lib/text/scripts/subtitles.js';
import { sentenceFacts, tensionOf } from '../../../lib/text/scripts/tension.js';
import { TextModels } from '../../../lib/text-models.js';
import { throwsTyped } from '../../errors.js';

const example = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const script = readFileSync(path.join(example, 'script.fountain'), 'utf8');

let loading: Promise<TextModels> | undefined;
const models = () => {
  loading ??= TextModels.load({ threads: 1 });
  return loading;
};
test.after.always(async () => (await loading)?.dispose());

test('scene by scene: shares add up, places are those of the script, the crisis is tenser than the quiet', async (t) => {
  const seen: number[] = [];
  const options = { models: await models(), onProgress: ({ done }: { done: number }) => seen.push(done) };
  const { scenes, characters, keywords, tone, language } = await analyzeScript(script, options);
  t.is(language, 'en');
  t.is(scenes.length, 8);
  t.true(seen.length > 0 && tone !== null && tone > 0 && tone < 1);
  let to = 0;
  for (const scene of scenes) {
    t.is(scene.from, to);
    to = scene.to;
    if (scene.speaking.length > 0) {
      t.true(Math.abs(scene.speaking.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
    } else t.is(scene.spoken, 0);
    t.true(scene.tone! > 0 && scene.tone! < 1 && scene.tension.value >= 0 && scene.tension.value <= 1);
    t.true(scene.keywords.length >= 4);
    for (const { term, spans } of scene.keywords) {
      for (const { start, end } of spans) {
        t.true(start >= scene.start && end <= scene.end);
        t.is(script.slice(start, start + 3).toLowerCase(), term.slice(0, 3).toLowerCase());
      }
    }
  }
  t.true(Math.abs(to - 1) < 1e-9);
  const tension = (location: string) => scenes.find((scene) => scene.location === location)!.tension;
  t.true(tension('GENERATOR ROOM').value > tension('LANDING STAGE').value);
  t.deepEqual(tension('GENERATOR ROOM').dangerWords.sort(), ['drowning', 'fear']);
  t.false(
    [...keywords, ...scenes.flatMap((scene) => scene.keywords)].some(({ term }) =>
      /astrid|callum/i.test(term),
    ),
  );
  t.deepEqual(
    characters.map(({ name, tone }) => [name, tone !== null]),
    [
      ['ASTRID', true],
      ['CALLUM', true],
      ['RADIO', true],
      ['SKIPPER', true],
    ],
  );
});

test('120 pages are encoded whole: vectors in order with their places, which cover every word', async (t) => {
  const scenes = script.slice(script.indexOf('FADE IN:'));
  const long = Array.from({ length: 40 }, (_, i) =>
    scenes.replaceAll('ASTRID', `ASTRID ${i}`).replaceAll('SKERRY', `SKERRY ${'I'.repeat(1 + (i % 5))}`),
  ).join('\n\n');
  const own = await models();
  const { screenplay, sequence } = await analyzeScript(long, {
    models: own,
    sequence: true,
    tone: false,
    keywords: 0,
  });
  t.true(screenplay.pages >= 118, `${screenplay.pages} pages`);
  t.is(screenplay.scenes.length, 320);
  const { data, dim, length, spans, positions, scenes: inScene, encoder } = sequence!;
  t.is(data.length, length * dim);
  t.is(spans.length, length);
  const prose = proseOf(await readScreenplay(long));
  t.is(prose.length, long.length);
  let end = 0;
  for (const [i, span] of spans.entries()) {
    t.regex(prose.slice(end, span.start), /^\s*$/, 'nothing is left out');
    t.true(i === 0 || (positions[i]! > positions[i - 1]! && inScene[i]! >= inScene[i - 1]!));
    t.true(screenplay.scenes[inScene[i]!]!.start <= span.start);
    end = span.end;
  }
  t.regex(prose.slice(end), /^\s*$/);
  t.true(positions[0]! < 0.02 && positions.at(-1)! > 0.98 && inScene.at(-1) === 319);
  const last = spans.at(-1)!;
  const [alone] = await own.encoders.get(encoder)!.encode([prose.slice(last.start, last.end)]);
  const difference = alone!.data.map((value, i) => Math.abs(value - data[(length - 1) * dim + i]!));
  t.true(difference.every((value) => value < 1e-4));
});

test('tension is what its description says', (t) => {
  const calm = sentenceFacts(
    'The two of them sit by the river and talk about the summer that is nearly over now.',
    'en',
    0.9,
  );
  const tense = sentenceFacts('Run! He has a gun!', 'en', 0.1);
  t.deepEqual(tense, { words: 5, danger: ['run', 'gun'], urgent: true, tone: 0.1 });
  const { value, ...parts } = tensionOf([tense, calm]);
  t.deepEqual(parts, {
    darkness: 1 - (5 * 0.1 + 18 * 0.9) / 23,
    danger: 0.75,
    pace: (20 - 11.5) / 16,
    urgency: 0.5,
    dangerWords: ['run', 'gun'],
  });
  t.true(Math.abs(value - (0.4 * parts.darkness + 0.3 + 0.1 * parts.pace + 0.05)) < 1e-12);
  t.is(tensionOf([]).value, 0);
  t.is(tensionOf([{ ...calm, tone: undefined }]).darkness, 0.5);
  t.deepEqual(sentenceFacts('他害怕得尖叫！', 'zh', undefined).danger, ['害怕', '尖叫']);
});

test('Chinese: scenes, tone and key words', async (t) => {
  const text =
    '第一场 日 内 咖啡馆\n\n李明走进咖啡馆，微笑着坐下。\n\n李明：今天真是美好的一天，我非常喜欢这里。\n\n第二场 夜 外 街道\n\n枪声响起，他拼命逃跑，鲜血染红了街道。\n\n王芳：太可怕了！快跑！\n';
  const { language, scenes } = await analyzeScript(text, { models: await models() });
  t.is(language, 'zh');
  t.true(scenes[0]!.tone! > scenes[1]!.tone!);
  t.true(scenes[1]!.tension.value > scenes[0]!.tension.value + 0.2);
  t.true(scenes.every(({ keywords }) => keywords.length > 0));
});

test('subtitles: stretches of time, what is said in them, silence too', async (t) => {
  const srt = readFileSync(path.join(example, 'film.srt'), 'utf8');
  const { cues, stretches, words } = await analyzeSubtitles(srt, {
    windowMs: 600_000,
    models: await models(),
  });
  t.is(stretches.length, Math.floor(cues.at(-1)!.startMs / 600_000) + 1);
  t.is(
    stretches.reduce((sum, one) => sum + one.words, 0),
    words,
  );
  for (const { first, last, startMs, endMs, speech, tone, keywords } of stretches) {
    t.true(cues.slice(first, last).every((cue) => cue.startMs >= startMs && cue.startMs < endMs));
    t.is(tone === null, first === last);
    t.is(speech === 0, first === last);
    for (const { term, spans } of keywords) {
      for (const { document, start, end } of spans) {
        t.true(document >= first && document < last);
        t.is(
          cues[document]!.text.slice(start, end).toLowerCase().slice(0, 3),
          term.toLowerCase().slice(0, 3),
        );
      }
    }
  }
  await throwsTyped(t, () => analyzeSubtitles('just words'), { code: 'ERR_INPUT_EMPTY' });
  await throwsTyped(t, () => analyzeSubtitles(srt, { windowMs: 1 }), { code: 'ERR_INPUT_VALUE' });
});

test('cancelled, or not to be read: a typed error', async (t) => {
  const own = await models();
  await throwsTyped(t, () => analyzeScript(script, { models: own, signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  await throwsTyped(t, () => analyzeScript({ path: path.join(example, 'none.fountain') }), {
    code: 'ERR_INPUT_FILE',
  });
  const swedish = 'INT. HUS - DAG\n\nHan går långsamt genom det mörka huset och tänker på sin mor.\n';
  const { tone, keywords } = await (async () => {
    const { scenes } = await analyzeScript(swedish, { models: own, language: 'sv' });
    return scenes[0]!;
  })();
  t.is(tone, null);
  t.deepEqual(keywords, []);
  await throwsTyped(t, () => analyzeScript(swedish, { models: own, language: 'sv', sequence: true }), {
    code: 'ERR_INPUT_LANGUAGE',
  });
});
