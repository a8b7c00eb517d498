/** `predict` from end to end, with the bundle that ships: films a second beside what the encoders alone reach. */
import { defineSuite } from '../harness.js';
import { Predictor } from '../../lib/index.js';
import { EncodersAlone, recordFeeds } from './encoders-alone.js';
import { exampleFilm, someFilms, threadOptions } from './films.js';

/** What the encoders and operators may use, as bench/main.ts was told. */
const threads = Number(process.env.CINEFUSE_THREADS ?? 1);
const disposables: AsyncDisposable[] = [];

/** `batch` films, forecast together, and their encoder inputs alone at the best batches. */
async function batchCase(predictor: Predictor, batch: number, real: boolean) {
  const { name, movies } = real
    ? await someFilms(batch)
    : { name: 'example film', movies: Array.from({ length: batch }, (_, i) => exampleFilm(i)) };
  const alone = await EncodersAlone.create(await recordFeeds(predictor, movies), threads);
  disposables.push({ [Symbol.asyncDispose]: () => alone.dispose() });
  console.log(`${name} x ${batch}: encoders alone at ${alone.setting}`);
  const options = { batchSize: Math.min(batch, 64) };
  return {
    name: `${name} x ${batch}`,
    items: batch,
    contenders: {
      cinefuse: () => predictor.predictBatch(movies, options),
      'encoders alone': () => alone.run(),
    },
  };
}

export default defineSuite('predict', {
  cases: async () => {
    const predictor = await Predictor.load(undefined, threadOptions(threads));
    disposables.push(predictor);
    return [
      await batchCase(predictor, 1, false),
      await batchCase(predictor, 16, false),
      await batchCase(predictor, 64, false),
      await batchCase(predictor, 64, true),
    ];
  },
  dispose: async () => {
    for (const disposable of disposables) await disposable[Symbol.asyncDispose]();
  },
});
