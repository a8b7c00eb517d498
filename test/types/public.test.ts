/**
 * The public types: what a user may write and what the compiler must refuse. Most of this is checked when it compiles
 * (an @ts-expect-error that expects in vain is an error itself); the test proves that it was compiled.
 */
import test from 'ava';
import {
  CinefuseError,
  type ErrorCode,
  type Feedback,
  MediaError,
  type Movie,
  type PredictionResult,
  type Predictor,
  type PredictorOptions,
} from 'cinefuse';
import type * as ops from 'cinefuse/ops';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_T extends true>() => true;

const movies: Movie[] = [
  {},
  { title: 'A' },
  { synopsis: 'text', script: { path: 'a.fountain' }, reviews: ['one', 'two'] },
  { poster: { path: 'p.jpg' }, trailer: new Uint8Array(8), audio: process.stdin },
  { title: null, budget: undefined as never },
  { director: 'A', cast: ['B'] as readonly string[] },
];

const refused: Movie[] = [
  // @ts-expect-error a field that does not exist
  { sinopsis: 'x' },
  // @ts-expect-error a number, not text
  { budget: '12 million' },
  // @ts-expect-error a poster is no bare path: text and path must not be mistaken for each other
  { poster: 'poster.jpg' },
  // @ts-expect-error a list, not one text
  { genres: 'Drama' },
  // @ts-expect-error a date is text
  { releaseDate: new Date(0) },
];

const options: PredictorOptions = { device: 'auto', isolation: 'process', threads: 2 };
// @ts-expect-error no such device
const wrongDevice: PredictorOptions = { device: 'gpu' };

function narrowed(result: PredictionResult): string {
  // @ts-expect-error there may be no feedback
  void result.feedback;
  if (result.ok) return String(result.feedback.rating?.value);
  holds<Equal<typeof result.error, CinefuseError>>();
  return result.error.code;
}

function ofError(error: unknown): ErrorCode | undefined {
  if (error instanceof MediaError) {
    // @ts-expect-error a media error never has the code of a bundle
    void (error.code === 'ERR_BUNDLE_PATH');
    return error.code;
  }
  return error instanceof CinefuseError ? error.code : undefined;
}

async function calls(predictor: Predictor): Promise<void> {
  holds<Equal<Awaited<ReturnType<Predictor['predict']>>, Feedback>>();
  await predictor.predictBatch([{ title: 'A' }], { signal: new AbortController().signal });
  for await (const result of predictor.predictStream([{ title: 'A' }])) narrowed(result);
  // @ts-expect-error one film, not a list
  await predictor.predict([{ title: 'A' }]);
  await using _ = predictor;
}

holds<Equal<Feedback['used'][number], keyof Feedback['modalities']>>();
holds<Equal<NonNullable<Feedback['rating']>['interval'], [low: number, high: number]>>();
holds<Equal<ops.Isa, 'baseline' | 'avx2' | 'avx512'>>();

test('the public types are what they should be', (t) => {
  t.is(movies.length, 6);
  t.is(refused.length, 5);
  t.is(options.device, 'auto');
  t.truthy(wrongDevice);
  t.is(typeof calls, 'function');
  t.is(ofError(new MediaError('ERR_MEDIA_EMPTY')), 'ERR_MEDIA_EMPTY');
  t.is(ofError(new Error('x')), undefined);
});
