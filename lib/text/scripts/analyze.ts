/** A screenplay scene by scene: tone, tension, key words, and who speaks how much. */
import { throwIfCancelled } from '../../errors.js';
import type { Keyword } from '../keywords/extract.js';
import { readText } from '../read-text.js';
import { factsOf, languageOf, openModels, type PassageOptions, partKeywords } from './passages.js';
import { proseOf, type ScriptSentence, sentencesOf } from './prose.js';
import { type ParseScreenplayOptions, type ReadScreenplay, readScreenplay } from './screenplay.js';
import { encodeProse, type ScriptSequence } from './sequence.js';
import { type SentenceFacts, type Tension, tensionOf, toneOf } from './tension.js';
import type { Screenplay, ScriptCharacter, ScriptScene } from './types.js';

export interface AnalyzeScriptOptions extends PassageOptions, ParseScreenplayOptions {
  /** Also the whole script as a sequence of vectors. Default false. */
  sequence?: boolean | undefined;
}

export interface SceneAnalysis extends ScriptScene {
  /** Words of action and dialogue. */
  words: number;
  /** Where it begins and ends in the script, as shares of all words. */
  from: number;
  to: number;
  /** Share of its words that is spoken. */
  spoken: number;
  /** Who speaks how much of what is spoken in it, most first. */
  speaking: { name: string; words: number; share: number }[];
  /** Mean probability of its sentences being positive, by words; null where none could be scored. */
  tone: number | null;
  tension: Tension;
  keywords: Keyword[];
}

export interface CharacterAnalysis extends ScriptCharacter {
  /** Mean tone of what they say; null where none could be scored. */
  tone: number | null;
}

export interface ScriptAnalysis {
  screenplay: Screenplay;
  /** ISO 639-1, as it was detected or given. */
  language: string;
  scenes: SceneAnalysis[];
  /** Who speaks most comes first. */
  characters: CharacterAnalysis[];
  /** Over the whole script, by words. */
  tone: number | null;
  tension: number;
  /** Of the whole script; names of those who speak are not among them. */
  keywords: Keyword[];
  sequence?: ScriptSequence;
}

const WHOLE_SCRIPT_KEYWORDS = 15;

/**
 * What happens in a screenplay, scene by scene.
 *
 * Tone is that of the bundle's scorer of reviews, made for reviews: over a scene it tells warm from grim, of one line it
 * says little. Tension is `Tension`'s formula. Where the bundle has no scorer of the language tone is null, where there
 * are no stop words of it there are no key words.
 *
 * @param script  a text, or the UTF-8 file that holds it
 * @throws InputError as parseScreenplay and readText; ERR_INPUT_LANGUAGE with `sequence` where no encoder reads it
 * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  of the bundle; CancelledError ERR_CANCELLED
 */
export async function analyzeScript(
  script: string | { path: string },
  options: AnalyzeScriptOptions = {},
): Promise<ScriptAnalysis> {
  const { signal } = options;
  const text = await readText(script, 'script');
  const read = await readScreenplay(text, options, () => throwIfCancelled(signal));
  const { screenplay } = read;
  const prose = proseOf(read);
  await using open = await openModels(options.models, { signal });
  const { models } = open;
  const language = await languageOf(prose, models, options);
  const sentences = [...sentencesOf(screenplay.elements, prose, language)];
  const [facts, keywords, whole, sequence] = await Promise.all([
    factsOf(
      sentences.map(({ text }) => text),
      language,
      models,
      options,
    ),
    partKeywords(
      screenplay.scenes.map(({ start, end }) => prose.slice(start, end)),
      language,
      namesOf(screenplay),
      models,
      options,
    ),
    partKeywords([prose], language, namesOf(screenplay), models, {
      ...options,
      keywords: options.keywords === 0 ? 0 : WHOLE_SCRIPT_KEYWORDS,
    }),
    options.sequence ? encodeProse(prose, screenplay.scenes, language, models, signal) : undefined,
  ]);
  const said = new Map<string, SentenceFacts[]>();
  for (const [i, { speaker }] of sentences.entries()) {
    if (speaker === undefined) continue;
    const own = said.get(speaker);
    if (own) own.push(facts[i]!);
    else said.set(speaker, [facts[i]!]);
  }
  return {
    screenplay,
    language,
    scenes: scenesOf(read, sentences, facts, keywords),
    characters: screenplay.characters.map((one) => ({ ...one, tone: toneOf(said.get(one.name) ?? []) })),
    tone: toneOf(facts),
    tension: tensionOf(facts).value,
    keywords: whole[0]!,
    ...(sequence && { sequence }),
  };
}

/** Words of the names in cues: who speaks is told elsewhere. */
function namesOf({ characters }: Screenplay): ReadonlySet<string> {
  return new Set(characters.flatMap(({ name }) => name.toLowerCase().split(/[\s.'’-]+/)));
}

function scenesOf(
  { screenplay }: ReadScreenplay,
  sentences: readonly ScriptSentence[],
  facts: readonly SentenceFacts[],
  keywords: readonly Keyword[][],
): SceneAnalysis[] {
  const all = facts.reduce((sum, { words }) => sum + words, 0);
  let at = 0;
  let before = 0;
  return screenplay.scenes.map((scene, index) => {
    // Sentences and scenes are both in the order of the script.
    while (at < sentences.length && sentences[at]!.start < scene.start) before += facts[at++]!.words;
    const first = at;
    while (at < sentences.length && sentences[at]!.start < scene.end) at++;
    const own = facts.slice(first, at);
    const words = own.reduce((sum, one) => sum + one.words, 0);
    const said = new Map(scene.speakers.map((name) => [name, 0]));
    own.forEach((one, i) => {
      const { speaker } = sentences[first + i]!;
      if (speaker !== undefined) said.set(speaker, (said.get(speaker) ?? 0) + one.words);
    });
    const spoken = [...said.values()].reduce((sum, count) => sum + count, 0);
    const from = all === 0 ? 0 : before / all;
    before += words;
    return {
      ...scene,
      words,
      from,
      to: all === 0 ? 0 : before / all,
      spoken: words === 0 ? 0 : spoken / words,
      speaking: [...said]
        .map(([name, count]) => ({ name, words: count, share: spoken === 0 ? 0 : count / spoken }))
        .sort((a, b) => b.words - a.words),
      tone: toneOf(own),
      tension: tensionOf(own),
      keywords: keywords[index]!.map((keyword) => ({
        ...keyword,
        // In the script, not in the scene.
        spans: keyword.spans.map(({ start, end }) => ({
          document: 0,
          start: start + scene.start,
          end: end + scene.start,
        })),
      })),
    };
  });
}
