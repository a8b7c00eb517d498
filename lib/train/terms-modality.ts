/** The modality of a TF-IDF member that is fitted with the network: texts of all films, in the languages it takes. */
import { type CinefuseError, InputError } from '../errors.js';
import { FilmSources } from '../film-sources.js';
import type { Bundle } from '../fusion/bundle.js';
import { MediaDecoder } from '../media/decoder.js';
import type { GivenInputs } from '../movie.js';
import { Stopwatch } from '../stopwatch.js';
import { TextThread } from '../text/text-thread.js';
import type { DataProblem, Dataset } from './data/types.js';
import type { EncodedModality, EncodeModality, TermsModalityOptions } from './encode-types.js';
import type { TableModality, TableSplit } from './table.js';
import { type FittedTerms, fitTerms } from './terms-fit.js';

/** Inputs that are texts. */
export const TEXT_INPUTS = ['title', 'synopsis', 'script', 'subtitles', 'reviews'] as const;
export type TextInputName = (typeof TEXT_INPUTS)[number];

export interface TermsContext {
  dataset: Dataset;
  /** By row. */
  texts: readonly GivenInputs[TextInputName][];
  split: TableSplit;
  problems: DataProblem[];
  signal: AbortSignal | undefined;
  onTexts: (done: number, total: number) => void;
}

export interface TermsModality {
  modality: TableModality;
  /** By row: whether the film has it, as serving would say. */
  rows: Uint8Array;
  leftOut: EncodedModality['leftOut'];
  fitted: FittedTerms;
}

/** @throws InputError ERR_INPUT_VALUE  modalities that no TF-IDF member can be fitted for, naming the first */
export function checkTerms(
  modalities: readonly EncodeModality[],
  bundle: Bundle,
  split: TableSplit | undefined,
): void {
  const fail = (name: string, expected: string, got: string): never => {
    throw new InputError('ERR_INPUT_VALUE', { field: `modalities.${name}`, expected, got });
  };
  const seen = new Set<string>();
  for (const { name, input, encoder, sequence } of modalities) {
    if (bundle.encoders.some(({ spec }) => spec.name === encoder))
      fail(name, 'a TF-IDF member of another name than the encoders of the bundle', encoder);
    if (!TEXT_INPUTS.some((text) => text === input)) fail(name, 'a text as input of a TF-IDF member', input);
    if (sequence) fail(name, 'one vector a film of a TF-IDF member', 'a sequence');
    if (seen.has(encoder)) fail(name, 'a TF-IDF member of its own for each modality', `${encoder} twice`);
    if (!split) fail(name, 'the parts of the data set, since the member is fitted on train', 'no split');
    seen.add(encoder);
  }
}

/** Films whose texts are read and whose languages are guessed together. */
const TOGETHER = 64;

/**
 * Reads the films' texts, leaves out those in other languages as serving does, and fits the member on the films of train.
 *
 * @throws InputError ERR_INPUT_VALUE  no term that enough training texts have
 * @throws CancelledError ERR_CANCELLED
 */
export async function fitTermsModality(
  { name, input, encoder, languages = ['en'] }: EncodeModality,
  options: TermsModalityOptions,
  context: TermsContext,
): Promise<TermsModality> {
  const { dataset, texts: inputs, split, signal } = context;
  const leftOut: Record<string, number> = {};
  const texts: (string | undefined)[] = new Array(inputs.length).fill(undefined);
  const field = input as TextInputName;
  const job = { key: name, input, encoder, languages };
  const watches = { decoding: new Stopwatch(), encoding: new Stopwatch() };
  const media = new MediaDecoder();
  const thread = new TextThread();
  try {
    for (let start = 0; start < inputs.length; start += TOGETHER) {
      const rows = Array.from({ length: Math.min(TOGETHER, inputs.length - start) }, (_, k) => start + k);
      await Promise.all(
        rows.map(async (row) => {
          const given = inputs[row];
          if (given === undefined) return;
          const film = { given: { [field]: given } as GivenInputs };
          const source = new FilmSources(film, [job], media, thread, {
            signal,
            onInputError: 'skip',
            ...watches,
          });
          const found = await source.text(job, languages);
          const why =
            'unused' in found ? found.unused : 'error' in found ? refusal(found.error, row) : undefined;
          if ('sample' in found) texts[row] = found.sample;
          if (why !== undefined) leftOut[why] = (leftOut[why] ?? 0) + 1;
        }),
      );
      context.onTexts(start + rows.length, inputs.length);
    }
  } finally {
    await Promise.all([media.dispose(), thread.dispose()]);
  }
  const { targets = [], leastTexts = 5 } = options;
  const fitted = await fitTerms(texts, split.train, targets, {
    directions: options.directions ?? 38,
    leastTexts,
    maxTerms: options.maxTerms ?? 12_000,
    penalty: options.penalty ?? 4,
    folds: options.folds ?? 10,
    seed: options.seed ?? 0,
    name: encoder,
    languages,
    signal,
  });
  if (!fitted) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: `modalities.${name}`,
      expected: `terms that at least ${leastTexts} training texts have`,
      got: 'none',
    });
  }
  texts.forEach((text, row) => {
    if (text === undefined || fitted.known[row]) return;
    const why = `${encoder} knows none of its words`;
    leftOut[why] = (leftOut[why] ?? 0) + 1;
  });
  const modality = { dim: fitted.spec.dim, steps: 1, values: fitted.values };
  return { modality, rows: fitted.known, leftOut, fitted };

  function refusal(error: CinefuseError, row: number): string {
    const why = `${input} cannot be used: ${error.message}`;
    context.problems.push({ file: error.file ?? dataset.path, id: dataset.ids[row]!, why });
    return error.message;
  }
}
