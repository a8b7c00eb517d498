/** What a text seems to be written in. */
export interface LanguageGuess {
  /** ISO 639-1 code (639-3 where there is none); 'und' when nothing can be told. */
  language: string;
  /** 0 (a guess) to 1. Over a shared script: the lead of the best language over the next, full at 0.1 of the detector's scale. */
  confidence: number;
  /** The main script by its Unicode name, or 'none'. */
  script: string;
  /** Letters looked at; ideographs and syllables count for 2.5. */
  letters: number;
  /** The best languages first, at most 5, with scores in 0..1 that compare only with each other. */
  candidates: { language: string; score: number }[];
}

/** Scripts that one living language has nearly to itself. */
const SCRIPT_LANGUAGE: Record<string, string> = {
  Hangul: 'ko',
  Thai: 'th',
  Lao: 'lo',
  Khmer: 'km',
  Myanmar: 'my',
  Greek: 'el',
  Hebrew: 'he',
  Armenian: 'hy',
  Georgian: 'ka',
  Ethiopic: 'am',
  Bengali: 'bn',
  Tamil: 'ta',
  Telugu: 'te',
  Kannada: 'kn',
  Malayalam: 'ml',
  Gujarati: 'gu',
  Gurmukhi: 'pa',
  Oriya: 'or',
  Sinhala: 'si',
  Tibetan: 'bo',
};
/** Scripts of many languages, told apart by letter statistics. */
const SHARED_SCRIPTS = ['Latin', 'Cyrillic', 'Arabic', 'Devanagari'];
const SCRIPTS = ['Han', 'Hiragana', 'Katakana', ...Object.keys(SCRIPT_LANGUAGE), ...SHARED_SCRIPTS];
const SCRIPT_PATTERNS = SCRIPTS.map((script) => [script, new RegExp(`\\p{Script=${script}}`, 'gu')] as const);
/** One ideograph or syllable says as much as about this many letters. */
const LETTERS_PER_SYLLABLE = 2.5;
const SYLLABIC = new Set(['Han', 'Hiragana', 'Katakana', 'Hangul']);
const FULL_CONFIDENCE_LEAD = 0.1;

/** Shares of the scripts among the letters of a text (ideographs count for 2.5), largest first; empty without letters. */
export function scriptShares(text: string): { script: string; share: number }[] {
  return countScripts(text).shares;
}

function countScripts(text: string): { letters: number; shares: { script: string; share: number }[] } {
  const weights = SCRIPT_PATTERNS.map(([script, pattern]) => {
    const count = text.match(pattern)?.length ?? 0;
    return { script, weight: count * (SYLLABIC.has(script) ? LETTERS_PER_SYLLABLE : 1) };
  });
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  const shares = weights
    .filter(({ weight }) => weight > 0)
    .map(({ script, weight }) => ({ script, share: weight / total }))
    .sort((a, b) => b.share - a.share);
  return { letters: total, shares };
}

/**
 * The language of a text, from its scripts first and, where languages share one, from letter statistics.
 *
 * Han with kana is Japanese, Han alone is Chinese (also a Japanese title without kana). 60 languages in Latin,
 * Cyrillic, Arabic and Devanagari are told apart by the package eld (its smallest table, loaded with the first such
 * text: about 0.2 s and 40 MB, so long-lived programs ask a TextThread instead). At most 4,000 characters are looked
 * at: the beginning, the middle and the end.
 *
 * On the 11,142 overviews of our film data 11,120 come out as English; nearly all of the others are not English.
 */
export async function detectLanguage(text: string): Promise<LanguageGuess> {
  const sample = languageSample(text);
  const { letters, shares } = countScripts(sample);
  const main = shares[0];
  if (main === undefined) {
    return { language: 'und', confidence: 0, script: 'none', letters, candidates: [] };
  }
  const share = (script: string) => shares.find((other) => other.script === script)?.share ?? 0;
  const kana = share('Hiragana') + share('Katakana');
  const eastAsian = kana + share('Han');
  if (eastAsian > 0.5 || main.script === 'Han' || main.script.endsWith('kana')) {
    // Chinese texts quote a kana word now and then; Japanese prose is at least a fifth kana.
    const language = kana > 0.1 * eastAsian ? 'ja' : 'zh';
    const script = kana > share('Han') ? 'Hiragana' : 'Han';
    return { language, confidence: eastAsian, script, letters, candidates: [{ language, score: eastAsian }] };
  }
  const only = SCRIPT_LANGUAGE[main.script];
  if (only !== undefined) {
    const candidates = [{ language: only, score: main.share }];
    return { language: only, confidence: main.share, script: main.script, letters, candidates };
  }
  return { script: main.script, letters, ...(await detectByStatistics(sample, main.share)) };
}

async function detectByStatistics(
  sample: string,
  share: number,
): Promise<Omit<LanguageGuess, 'script' | 'letters'>> {
  const { eld } = await import('eld/extrasmall');
  const candidates = Object.entries(eld.detect(sample).getScores())
    .map(([language, score]) => ({ language, score }))
    .sort((a, b) => b.score - a.score)
    .slice(0, 5);
  const [best, second] = candidates;
  if (best === undefined) return { language: 'und', confidence: 0, candidates };
  const lead = best.score - (second?.score ?? 0);
  return {
    language: best.language,
    confidence: share * Math.min(1, lead / FULL_CONFIDENCE_LEAD),
    candidates,
  };
}

/** How far a covered language may be behind the best one for a text to count as covered: short texts are close calls. */
const CLOSE_CALL = 0.05;

/** Under so many letters the statistics of a shared script say little: film titles come out as any language. */
const TOO_SHORT = 40;

/**
 * Whether an encoder of these languages may read the text: one of them is the best guess, or nearly.
 *
 * @param shortByScript  of a text under 40 letters ask no more than that its script is one of a covered language
 */
export function coversLanguage(
  languages: readonly string[] | 'any',
  guess: LanguageGuess,
  shortByScript = false,
): boolean {
  if (languages === 'any') return true;
  const best = guess.candidates[0];
  // Digits and signs only: no language is wrong for them, and the share of unknown ids still judges.
  if (best === undefined) return true;
  if (shortByScript && guess.letters < TOO_SHORT && SHARED_SCRIPTS.includes(guess.script)) {
    return languages.some((language) => scriptOf(language) === guess.script);
  }
  return guess.candidates.some(
    ({ language, score }) => languages.includes(language) && score >= best.score - CLOSE_CALL,
  );
}

const SCRIPT_NAMES: Record<string, string> = {
  Latn: 'Latin',
  Cyrl: 'Cyrillic',
  Arab: 'Arabic',
  Deva: 'Devanagari',
};

/** The script that a language is mostly written in, by its Unicode name; undefined for those that share none. */
function scriptOf(language: string): string | undefined {
  return SCRIPT_NAMES[new Intl.Locale(language).maximize().script ?? ''];
}

/** Characters of a sample: 2,000 from the beginning, 1,000 from the middle, 1,000 from the end, and blanks between. */
const SAMPLE = 4002;

/** The part of a text that `detectLanguage` looks at; of such a sample, all of it. */
export function languageSample(text: string): string {
  if (text.length <= SAMPLE) return text;
  const middle = Math.floor(text.length / 2);
  return `${text.slice(0, 2000)} ${text.slice(middle - 500, middle + 500)} ${text.slice(-1000)}`;
}

let languageNames: Intl.DisplayNames | undefined;

/** "English" for "en"; of 'und' that it cannot be told; of what is no code, the code itself. */
export function languageName(code: string): string {
  if (code === 'und') return 'no language that can be told';
  languageNames ??= new Intl.DisplayNames(['en'], { type: 'language' });
  try {
    return languageNames.of(code) ?? code;
  } catch {
    return code;
  }
}
