/** How common terms are elsewhere: what makes a word telling is that other texts do without it. */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { stemOf } from '../words/stems.js';
import { CandidateCounter, CandidateRuns, partsOf } from './candidates.js';
import { writeWhole } from '../../write-whole.js';

const MAX_BYTES = 256 * 2 ** 20;
const MAX_TERMS = 2_000_000;

const fileSchema = z.strictObject({
  kind: z.literal('cinefuse-term-reference'),
  version: z.literal(1),
  language: z.string().min(2).max(3),
  documents: z.int().min(1),
  terms: z.array(z.string().max(1000)).max(MAX_TERMS),
  frequencies: z.array(z.int().min(1)).max(MAX_TERMS),
});

/** In how many texts of a collection each term stands. */
export class TermReference {
  readonly language: string;
  readonly #idf: ReadonlyMap<string, number>;
  readonly #unknown: number;
  readonly #stored: z.infer<typeof fileSchema> | undefined;

  private constructor(
    language: string,
    idf: ReadonlyMap<string, number>,
    unknown: number,
    stored?: z.infer<typeof fileSchema>,
  ) {
    this.language = language;
    this.#idf = idf;
    this.#unknown = unknown;
    this.#stored = stored;
  }

  /**
   * Counts a collection of texts of the kind that key words are to stand out from.
   *
   *   idf_t = ln((1 + N) / (1 + df_t)) + 1
   *
   * @param language    ISO 639-1: 'en' and 'zh' have stop words and, English, stems
   * @param leastTexts  terms in fewer texts are left out, and count as unknown. Default 2
   * @throws InputError ERR_INPUT_EMPTY  no texts; CancelledError ERR_CANCELLED
   */
  static async fit(
    texts: Iterable<string> | AsyncIterable<string>,
    options: {
      language: string;
      leastTexts?: number | undefined;
      maxWords?: number | undefined;
      signal?: AbortSignal | undefined;
    },
  ): Promise<TermReference> {
    const { language, leastTexts = 2, maxWords = 2, signal } = options;
    const counter = new CandidateCounter(new CandidateRuns({ language, maxWords, stopWords: new Set() }));
    const pace = new Pace();
    let documents = 0;
    for await (const text of texts) {
      for (const { part } of partsOf(text)) {
        counter.add(part, documents);
        throwIfCancelled(signal);
        if (pace.due) await pace.rest();
      }
      documents++;
    }
    if (documents === 0) {
      throw new InputError('ERR_INPUT_EMPTY', { field: 'texts', expected: 'at least one text', got: 'none' });
    }
    const kept = [...counter.found.values()].filter((term) => term.documents >= leastTexts);
    return TermReference.#of({
      kind: 'cinefuse-term-reference',
      version: 1,
      language,
      documents,
      terms: kept.map(({ key }) => key),
      frequencies: kept.map((term) => term.documents),
    });
  }

  static #of(stored: z.infer<typeof fileSchema>): TermReference {
    const { language, documents, terms, frequencies } = stored;
    const idfOf = (frequency: number) => Math.log((1 + documents) / (1 + frequency)) + 1;
    const idf = new Map(terms.map((term, i) => [term, idfOf(frequencies[i]!)]));
    return new TermReference(language, idf, idfOf(0), stored);
  }

  /** Of terms with their idf, as a bundle's TF-IDF member has them; forms of one stem count as the commonest. */
  static ofTerms(terms: Iterable<readonly [term: string, idf: number]>, language: string): TermReference {
    const idf = new Map<string, number>();
    let most = 1;
    for (const [term, value] of terms) {
      const key = term
        .split(' ')
        .map((word) => stemOf(word, language))
        .join(' ');
      idf.set(key, Math.min(value, idf.get(key) ?? Number.POSITIVE_INFINITY));
      most = Math.max(most, value);
    }
    return new TermReference(language, idf, most, undefined);
  }

  /** @param key  stems with blanks between. A phrase that is not known has the mean of its words */
  idf(key: string): number {
    const known = this.#idf.get(key);
    if (known !== undefined) return known;
    if (!key.includes(' ')) return this.#unknown;
    const words = key.split(' ');
    return words.reduce((sum, word) => sum + (this.#idf.get(word) ?? this.#unknown), 0) / words.length;
  }

  /**
   * Writes it to a file, whole or not at all.
   *
   * @throws InputError ERR_INPUT_FILE   it cannot be written
   * @throws InputError ERR_INPUT_VALUE  one that was not counted from texts
   */
  async save(file: string): Promise<void> {
    if (!this.#stored) {
      throw new InputError('ERR_INPUT_VALUE', {
        file,
        expected: 'a reference made by TermReference.fit',
        got: "one of a bundle's terms",
      });
    }
    await writeWhole(file, JSON.stringify(this.#stored)).catch((cause: Error) => {
      throw fileError(file, 'a file that can be written', cause.message, cause);
    });
  }

  /** @throws InputError ERR_INPUT_FILE  not there, over 256 MiB, or not such a file */
  static async load(file: string): Promise<TermReference> {
    const expected = 'a term reference written by TermReference.save';
    const info = await stat(file).catch((cause: Error) => {
      throw fileError(file, expected, cause.message, cause);
    });
    if (!info.isFile() || info.size > MAX_BYTES) {
      throw fileError(
        file,
        `${expected}, of at most ${MAX_BYTES} bytes`,
        info.isFile() ? `${info.size} bytes` : 'no file',
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(await readFile(file, 'utf8'));
    } catch (cause) {
      throw fileError(file, expected, (cause as Error).message, cause);
    }
    const parsed = fileSchema.safeParse(value);
    if (!parsed.success || parsed.data.terms.length !== parsed.data.frequencies.length) {
      const issue = parsed.error?.issues[0];
      throw fileError(file, expected, issue ? `${issue.path.join('.')}: ${issue.message}` : 'uneven lists');
    }
    return TermReference.#of(parsed.data);
  }
}

function fileError(file: string, expected: string, got: string, cause?: unknown): InputError {
  return new InputError('ERR_INPUT_FILE', { file, expected, got, cause });
}
