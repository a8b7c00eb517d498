/** `predict` with the bundle that ships: films a second by batch, and the stages of the example film. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { EncoderPool } from '../lib/encoders/pool.js';
import { type Movie, Predictor, type Timings } from '../lib/index.js';
import { MediaDecoder } from '../lib/media/decoder.js';
import { packageRoot } from '../lib/native.js';
import { Stopwatch } from '../lib/stopwatch.js';
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

/** Milliseconds that importing a module takes a fresh process; median of 7. */
function importMs(specifier: string): number {
  const script = `const t = performance.now(); await import(${JSON.stringify(specifier)}); console.log(performance.now() - t);`;
  const runs = Array.from({ length: 7 }, () =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })),
  );
  return runs.sort((a, b) => a - b)[3]!;
}

/** Medians of the stages of one film, and the share of time in which neither ONNX Runtime nor a decoder worked. */
async function reportStages(): Promise<void> {
  for (let i = 0; i < 5; i++) await predictor.predict(film(i));
  let watch = new Stopwatch();
  const { run } = EncoderPool.prototype;
  const { image } = MediaDecoder.prototype;
  EncoderPool.prototype.run = function (...call) {
    return watch.during(run.apply(this, call));
  };
  MediaDecoder.prototype.image = function (...call) {
    return watch.during(image.apply(this, call));
  };
  const rows: (Timings & { outside: number })[] = [];
  try {
    for (let i = 0; i < 60; i++) {
      watch = new Stopwatch();
      const { timings } = await predictor.predict(film(100 + i));
      rows.push({ ...timings, outside: 1 - watch.milliseconds / timings.totalMs });
    }
  } finally {
    Object.assign(EncoderPool.prototype, { run });
    Object.assign(MediaDecoder.prototype, { image });
  }
  const median = (of: (row: (typeof rows)[number]) => number) => rows.map(of).sort((a, b) => a - b)[30]!;
  const ms = (of: (row: Timings) => number) => `${median(of).toFixed(2)} ms`;
  console.log(
    `one film: read ${ms((r) => r.readMs)}, decode ${ms((r) => r.decodeMs)}, encode ${ms((r) => r.encodeMs)}, fuse ${ms((r) => r.fuseMs)}, total ${ms((r) => r.totalMs)} (decoding and encoding overlap)`,
  );
  console.log(
    `outside ONNX Runtime and media decoding: ${(100 * median((r) => r.outside)).toFixed(1)} % of the wall time`,
  );
  console.log(`import 'cinefuse': ${importMs(path.join(packageRoot(), 'dist/lib/index.js')).toFixed(0)} ms`);
}

export default defineSuite('predict', {
  cases: async () => {
    predictor = await Predictor.load();
    await reportStages();
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
