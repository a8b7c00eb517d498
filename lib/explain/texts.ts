/** Which sentences and words of a film's texts moved the forecast. */
import type { InputName } from '../fusion/manifest.js';
import type { TextSpan } from '../text/chunks.js';
import { checkOf, drawsOf, namedParts } from './check.js';
import { distinctWords, sentenceBlocks, unwrapped, withoutSpans, wordSpans } from './text-parts.js';
import type { Check, TextExplanation, TextPart } from './types.js';
import type { Changed, Variants } from './variants.js';

export const TEXT_INPUTS = ['title', 'synopsis', 'script', 'subtitles', 'reviews'] as const;
type TextInputName = (typeof TEXT_INPUTS)[number];

export interface TextLimits {
  maxSentences: number;
  maxWords: number;
  draws: number;
  seed: number;
}

/** Words that are named together. */
const NAMED_WORDS = 5;

/** Measures the parts of one text. */
export async function explainText(
  variants: Variants,
  input: TextInputName,
  text: string,
  limits: TextLimits,
  onProgress: (done: number, total: number) => void,
): Promise<TextExplanation> {
  const { head } = variants;
  const { inputs, given } = placeOf(variants, input);
  const without = (
    parts: readonly (readonly TextSpan[])[],
    progress?: (done: number, total: number) => void,
  ) =>
    variants.changed(
      inputs,
      parts.map((spans) => {
        const left = withoutSpans(text, spans);
        return { key: left, given: given(left) };
      }),
      progress,
    );
  // Elsewhere a line is a line of speech, or a review.
  const prose = input === 'synopsis' ? unwrapped(text) : text;
  const blocks = sentenceBlocks(prose, limits.maxSentences);
  const blockEffects =
    blocks.length > 1 || input !== 'title'
      ? await without(
          blocks.map((block) => [block]),
          (done) => onProgress(done, blocks.length + limits.maxWords),
        )
      : blocks.map(() => undefined);
  const sentences = partsOf(
    text,
    blocks.map((block) => [block]),
    blockEffects,
  );
  // The only sentence there is may leave nothing behind; its words can still be measured.
  const byEffect = blocks
    .map((_, i) => i)
    .sort((a, b) => Math.abs(blockEffects[b]?.[head] ?? 0) - Math.abs(blockEffects[a]?.[head] ?? 0));
  const chosen: TextSpan[] = [];
  for (const i of byEffect) {
    if (chosen.length >= limits.maxWords) break;
    chosen.push(...wordSpans(text, blocks[i]!).slice(0, limits.maxWords - chosen.length));
  }
  chosen.sort((a, b) => a.start - b.start);
  const words = distinctWords(text, chosen);
  const wordEffects = await without(
    words.map(({ spans }) => spans),
    (done) => onProgress(blocks.length + done, blocks.length + words.length),
  );
  const wordParts = partsOf(
    text,
    words.map(({ spans }) => spans),
    wordEffects,
  );
  const checks = await checkText(variants, input, text, limits, without, {
    blocks,
    blockEffects,
    words: words.map(({ spans }) => spans),
    wordEffects,
  });
  // Checks name places of the measured words; these are given out by size of effect.
  const order = wordParts.map((_, i) => i);
  order.sort((a, b) => Math.abs(wordParts[b]!.effects[head]!) - Math.abs(wordParts[a]!.effects[head]!));
  const measured = words.flatMap((_, i) => (wordEffects[i] ? [i] : []));
  const placed = new Map(order.map((from, to) => [measured[from]!, to]));
  const { wordCheck } = checks;
  return {
    input,
    text,
    sentences,
    words: order.map((i) => wordParts[i]!),
    sentenceCheck: checks.sentenceCheck,
    wordCheck: wordCheck && { ...wordCheck, parts: wordCheck.parts.map((i) => placed.get(i)!) },
  };
}

/** Which inputs a text is part of, and how it is put in the film's place. A title is also one of the facts. */
function placeOf(variants: Variants, input: TextInputName) {
  const { metadata } = variants.film.given;
  const inputs: InputName[] = input === 'title' && metadata ? ['title', 'metadata'] : [input];
  const given = (left: string): Changed => {
    const value = left.trim() === '' ? undefined : left;
    if (input === 'reviews') return { reviews: value === undefined ? undefined : [value] };
    if (input !== 'title' || !metadata) return { [input]: value };
    const { title: _, ...facts } = metadata;
    const all = value === undefined ? facts : { ...facts, title: value };
    return { title: value, metadata: Object.keys(all).length > 0 ? all : undefined };
  };
  return { inputs, given };
}

function partsOf(
  text: string,
  spans: readonly TextSpan[][],
  effects: Awaited<ReturnType<Variants['changed']>>,
): TextPart[] {
  return spans.flatMap((own, i) => {
    const measured = effects[i];
    const { start, end } = own[0]!;
    return measured ? [{ text: text.slice(start, end), spans: own, effects: measured }] : [];
  });
}

interface Measured {
  blocks: readonly TextSpan[];
  blockEffects: Awaited<ReturnType<Variants['changed']>>;
  words: readonly TextSpan[][];
  wordEffects: Awaited<ReturnType<Variants['changed']>>;
}

async function checkText(
  { head }: Variants,
  input: string,
  text: string,
  { draws, seed }: TextLimits,
  without: (parts: readonly (readonly TextSpan[])[]) => ReturnType<Variants['changed']>,
  { blocks, blockEffects, words, wordEffects }: Measured,
): Promise<{ sentenceCheck: Check | undefined; wordCheck: Check | undefined }> {
  const random = drawsOf(seed, input);
  let sentenceCheck: Check | undefined;
  let wordCheck: Check | undefined;
  if (draws > 0 && blocks.length > 2) {
    // One sentence against as many words in a row from anywhere: a long sentence must not win by its length.
    const at = blockEffects.reduce(
      (best, own, i) => (Math.abs(own?.[head] ?? 0) > Math.abs(blockEffects[best]?.[head] ?? 0) ? i : best),
      0,
    );
    const all = blocks.flatMap((block) => wordSpans(text, block));
    const size = wordSpans(text, blocks[at]!).length;
    if (size > 0 && size < all.length) {
      const runs = Array.from({ length: draws }, () => {
        const from = random.below(all.length - size + 1);
        return [{ start: all[from]!.start, end: all[from + size - 1]!.end }];
      });
      const kept = sentencePlaces(blockEffects);
      sentenceCheck = checkOf(head, [kept.get(at) ?? at], blockEffects[at], await without(runs));
    }
  }
  const named = namedParts(wordEffects, head, Math.min(NAMED_WORDS, Math.floor(words.length / 4)));
  if (draws > 0 && named.length > 0) {
    const sets = Array.from({ length: draws }, () => randomWords(words, named, random));
    const spans = (places: readonly number[]) => places.flatMap((i) => words[i]!);
    const [together, ...others] = await without([spans(named), ...sets.map(spans)]);
    wordCheck = checkOf(head, named, together, others);
  }
  return { sentenceCheck, wordCheck };
}

/** Places among the sentences that could be measured. */
function sentencePlaces(effects: readonly unknown[]): Map<number, number> {
  const kept = effects.flatMap((own, i) => (own ? [i] : []));
  return new Map(kept.map((from, to) => [from, to]));
}

/** Other words, as many and of about as many letters in all: the nearest of a few draws. */
function randomWords(
  words: readonly (readonly TextSpan[])[],
  named: readonly number[],
  random: ReturnType<typeof drawsOf>,
): number[] {
  const letters = (places: readonly number[]) =>
    places.reduce((sum, i) => sum + words[i]!.reduce((own, { start, end }) => own + end - start, 0), 0);
  const goal = letters(named);
  let best: number[] = [];
  for (let attempt = 0; attempt < 4; attempt++) {
    const draw = [...random.shuffle(words.map((_, i) => i))].slice(0, named.length);
    if (attempt === 0 || Math.abs(letters(draw) - goal) < Math.abs(letters(best) - goal)) best = draw;
  }
  return best;
}
