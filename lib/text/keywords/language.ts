/** What key words need of a language: its name, a reference, vectors. */
import { meanVector } from '../../encoders/embedding.js';
import { CinefuseError, InputError } from '../../errors.js';
import { defaultBundlePath } from '../../native.js';
import { bundleTfidf, TextModels } from '../../text-models.js';
import { coversLanguage } from '../language.js';
import { TextThread } from '../text-thread.js';
import type { TfidfEncoder } from '../tfidf.js';
import type { EmbedTerms, KeywordOptions } from './extract.js';
import { TermReference } from './reference.js';

/** Languages with stop words of ours. */
export const COVERED = ['en', 'zh'];

export interface OpenLanguage extends AsyncDisposable {
  language: string;
  reference: TermReference | undefined;
  /** Vectors of terms, and of texts; where the bundle has an encoder and they are wanted. */
  embed: EmbedTerms | undefined;
  embedTexts: EmbedTerms | undefined;
}

/**
 * @throws InputError ERR_INPUT_LANGUAGE  no stop words for it, or vectors wanted and no encoder reads it
 */
export async function openLanguage(
  texts: readonly string[],
  options: KeywordOptions,
  needsVectors: boolean,
): Promise<OpenLanguage> {
  const { signal } = options;
  const own = needsVectors && options.models === undefined ? await TextModels.load({ signal }) : undefined;
  const models = options.models ?? own;
  try {
    const language = options.language ?? (await languageOf(texts, models?.thread, options));
    if (!COVERED.includes(language) && options.stopWords === undefined) {
      throw new InputError('ERR_INPUT_LANGUAGE', {
        field: 'texts',
        expected: 'English or Chinese, or stopWords of their language,',
        got: `what seems to be ${language}`,
      });
    }
    const encoder = needsVectors ? models?.encoderFor(language) : undefined;
    if (needsVectors && !encoder) {
      throw new InputError('ERR_INPUT_LANGUAGE', {
        field: 'texts',
        expected: "a language that the bundle's encoders read, or options.embed,",
        got: language,
      });
    }
    const embed: EmbedTerms = async (terms, { signal }) =>
      (await encoder!.encodeEach(terms, { signal })).map((one) =>
        // What the encoder cannot read is near nothing.
        one instanceof CinefuseError ? new Float32Array(encoder!.spec.dim) : meanVector(one),
      );
    const embedTexts: EmbedTerms = async (all, { signal }) => {
      const encoded = await encoder!.encodeEach(all, { signal });
      const readable = encoded.flatMap((one) => (one instanceof CinefuseError ? [] : [meanVector(one)]));
      const first = encoded[0];
      if (readable.length === 0 && first instanceof CinefuseError) throw first;
      return readable;
    };
    return {
      language,
      reference: options.reference ?? (await bundleReference(language, models?.tfidf)),
      embed: encoder && embed,
      embedTexts: encoder && embedTexts,
      [Symbol.asyncDispose]: async () => own?.dispose(),
    };
  } catch (error) {
    await own?.dispose();
    throw error;
  }
}

async function languageOf(
  texts: readonly string[],
  thread: TextThread | undefined,
  { signal, stopWords }: KeywordOptions,
): Promise<string> {
  // Of many texts the first ones tell.
  const sample = texts.slice(0, 200).join('\n').slice(0, 100_000);
  const own = thread ? undefined : new TextThread();
  try {
    const guess = await (thread ?? own!).detectLanguage(sample, { signal });
    const covered = COVERED.find((language) => guess.language === language);
    if (covered !== undefined || stopWords !== undefined) return covered ?? guess.language;
    return COVERED.find((language) => coversLanguage([language], guess, true)) ?? guess.language;
  } finally {
    await own?.dispose();
  }
}

const references = new Map<string, TermReference>();
let defaultTfidf: Promise<ReadonlyMap<string, TfidfEncoder>> | undefined;

/** How common terms are in the texts that the bundle's TF-IDF members of this language were fitted on. */
export async function bundleReference(
  language: string,
  members: ReadonlyMap<string, TfidfEncoder> | undefined,
): Promise<TermReference | undefined> {
  if (members) return referenceOf(members, language);
  let reference = references.get(language);
  if (!reference) {
    defaultTfidf ??= readDefaultTfidf();
    defaultTfidf.catch(() => {
      defaultTfidf = undefined;
    });
    reference = referenceOf(await defaultTfidf, language);
    if (reference) references.set(language, reference);
  }
  return reference;
}

function referenceOf(
  members: ReadonlyMap<string, TfidfEncoder>,
  language: string,
): TermReference | undefined {
  const terms = [...members.values()]
    .filter(({ languages }) => languages.includes(language))
    .flatMap((member) => [...member.terms()]);
  return terms.length === 0 ? undefined : TermReference.ofTerms(terms, language);
}

async function readDefaultTfidf(): Promise<ReadonlyMap<string, TfidfEncoder>> {
  const { loadBundle } = await import('../../fusion/bundle.js');
  await using bundle = await loadBundle(defaultBundlePath());
  return bundleTfidf(bundle);
}
