import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { type Movie, Predictor, Trace, type TraceDocument } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');

function rowsOf({ traceEvents }: TraceDocument): Map<string, { name: string; ts: number; dur: number }[]> {
  const names = new Map<number, string>();
  for (const event of traceEvents) {
    if (event.ph === 'M' && event.name === 'thread_name')
      names.set(event.tid, (event.args as { name: string }).name);
  }
  const rows = new Map<string, { name: string; ts: number; dur: number }[]>();
  for (const event of traceEvents) {
    if (event.ph !== 'X') continue;
    const row = names.get(event.tid)!;
    rows.set(row, [...(rows.get(row) ?? []), event]);
  }
  return rows;
}

test('spans of a lane that overlap stand in rows of their own, in microseconds from the first', (t) => {
  const trace = new Trace();
  trace.add('decode', 'b', 1002.5, 1004);
  trace.add('decode', 'a', 1001, 1003, { file: 'x' });
  trace.add('decode', 'c', 1003, 1003.25);
  trace.add('encoder', 'd', 1001, 1010);
  t.deepEqual(Object.fromEntries(rowsOf(trace.toJSON())), {
    'decode 1': [
      { ph: 'X', name: 'a', pid: 1, tid: 2, ts: 0, dur: 2000, args: { file: 'x' } },
      { ph: 'X', name: 'c', pid: 1, tid: 2, ts: 2000, dur: 250 },
    ],
    'decode 2': [{ ph: 'X', name: 'b', pid: 1, tid: 3, ts: 1500, dur: 1500 }],
    encoder: [{ ph: 'X', name: 'd', pid: 1, tid: 1, ts: 0, dur: 9000 }],
  } as never);
  t.deepEqual(new Trace().toJSON(), { displayTimeUnit: 'ms', traceEvents: [] });
});

test('spans beyond the most that are kept are counted, at the time of the last one', (t) => {
  const trace = new Trace();
  for (let i = 0; i < 500_002; i++) trace.add('films', 'f', 1e12 + i, 1e12 + i + 1);
  const { traceEvents } = trace.toJSON();
  t.deepEqual(traceEvents.at(-1), {
    ...{ ph: 'X', pid: 1, tid: 0, ts: 500_000_000, dur: 0 },
    name: '2 further spans were left out',
  });
});

test('a Predictor records loading, decoding, tokenising, encoding and fusing, inside the time of the call', async (t) => {
  await using dir = await temporaryDirectory();
  const trace = new Trace();
  await using predictor = await Predictor.load(await saveTiny(dir.path), { threads: 1, trace });
  const movie: Movie = {
    title: 'Ship of Night',
    synopsis: 'A man and a woman tell the story of the night a ship sank in the sea.',
    poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  };
  const loaded = performance.now();
  await predictor.predict(movie);
  const took = performance.now() - loaded;
  const rows = rowsOf(trace.toJSON());
  const names = (lane: string) => [...rows].flatMap(([row, spans]) => (row.startsWith(lane) ? spans : []));
  for (const [lane, name] of [
    ['load', /^encoders$/],
    ['decode', /^image poster$/],
    ['text thread', /^prepare$/],
    ['encoder thread', /^load /],
    ['operators', /^frames of 1$/],
    ['operators', /^fuse 1$/],
  ] as const)
    t.true(
      names(lane).some((span) => name.test(span.name)),
      `${lane} ${name}`,
    );
  const runs = names('encoder thread').filter((span) => !span.name.startsWith('load'));
  t.true(runs.length > 1);
  const fused = names('operators').find(({ name }) => name === 'fuse 1')!;
  const decoded = names('decode')[0]!;
  // One clock for all threads: what the film needed lies between its first and last step.
  for (const span of runs.slice(-2)) {
    t.true(span.ts >= decoded.ts - took * 1000 && span.ts + span.dur <= fused.ts + 2000, span.name);
  }
  for (const spans of rows.values()) {
    for (const [i, { ts, dur }] of spans.slice(0, -1).entries()) t.true(spans[i + 1]!.ts >= ts + dur);
  }
});

test('--trace writes it; what is no Trace is refused', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-trace-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'trace.json');
  const main = path.join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  await promisify(execFile)(process.execPath, [main, 'predict', EXAMPLE, '--json', '--trace', file]);
  const rows = rowsOf(JSON.parse(await readFile(file, 'utf8')) as TraceDocument);
  const encoding = [...rows].flatMap(([row, spans]) => (row.startsWith('encoder thread') ? spans : []));
  t.true(encoding.some(({ name }) => name === 'image'));
  await throwsTyped(t, () => Predictor.load(undefined, { trace: {} as Trace }), {
    code: 'ERR_INPUT_TYPE',
    field: 'options.trace',
  });
});
