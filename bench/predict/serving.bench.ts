/** What serving forecasts takes beside throughput: loading, latency, concurrent callers, memory, cost by the number of films. */
import { defineSuite } from '../harness.js';
import { loadingGauge, runTrial } from './trials.js';

/** What the encoders and operators may use, as bench/main.ts was told. */
const threads = Number(process.env.CINEFUSE_THREADS ?? 1);
const CALLERS = [1, 2, 4, 8, 16];

export default defineSuite('serving', {
  cases: [],
  gauges: [
    { name: 'loading, a fresh process', measure: ({ quick }) => loadingGauge(threads, quick ? 3 : 7) },
    { name: 'one film', measure: ({ quick }) => runTrial('stages', { threads, count: quick ? 20 : 60 }) },
    { name: 'a stream of 64 films', measure: () => runTrial('stream', { threads, count: 64 }) },
    ...CALLERS.map((callers) => ({
      name: `${callers} concurrent callers of predict`,
      measure: ({ quick }: { quick: boolean }) =>
        runTrial('callers', { threads, count: callers, seconds: quick ? 1.5 : 5 }),
    })),
    ...[10, 100, 1000, 10_000].map((count) => ({
      name: `predictStream of ${count} films`,
      full: count > 100,
      measure: () => runTrial('scale', { threads, count }),
    })),
  ],
});
