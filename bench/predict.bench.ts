/** `predict` with the bundle that ships: films a second by batch, and the stages of the example film. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { type Movie, Predictor } from '../lib/index.js';
import { packageRoot } from '../lib/native.js';
import { defineSuite } from './harness.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
let predictor: Predictor;

function film(i: number): Movie {
  return {
    title: `The Lighthouse Keeper ${i}`,
    releaseDate: '2027-03-12',
    runtime: 104,
    budget: 12e6,
    genres: ['Drama', 'Mystery'],
    cast: ['Tove Askerud'],
    director: 'Maren Oyelund',
    synopsis: { path: path.join(EXAMPLE, 'synopsis.txt') },
    poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  };
}

/** Milliseconds until a fresh process has imported a module, less those until it has started. */
export function importMs(specifier: string): number {
  const script = `const t = performance.now(); await import(${JSON.stringify(specifier)}); console.log(performance.now() - t);`;
  const runs = Array.from({ length: 7 }, () =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })),
  );
  return runs.sort((a, b) => a - b)[3]!;
}

export default defineSuite('predict', {
  cases: async () => {
    predictor = await Predictor.load();
    for (let i = 0; i < 3; i++) await predictor.predict(film(i));
    const { timings } = await predictor.predict(film(9));
    const share = (ms: number) => `${ms.toFixed(2)} ms`;
    console.log(
      `one film: read ${share(timings.readMs)}, decode ${share(timings.decodeMs)}, encode ${share(timings.encodeMs)}, fuse ${share(timings.fuseMs)}, total ${share(timings.totalMs)}`,
    );
    console.log(
      `import 'cinefuse': ${importMs(path.join(packageRoot(), 'dist/lib/index.js')).toFixed(0)} ms`,
    );
    return [1, 16, 64].map((batch) => ({
      name: `example film x ${batch}`,
      items: batch,
      contenders: {
        cinefuse: () =>
          predictor.predictBatch(
            Array.from({ length: batch }, (_, i) => film(i)),
            { batchSize: batch },
          ),
      },
    }));
  },
  dispose: () => predictor.dispose(),
});
