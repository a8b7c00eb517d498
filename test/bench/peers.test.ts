import test from 'ava';
import type { Measurement } from '../../bench/harness.js';
import { best, changes, fell, type KeptRun, markdown, merged } from '../../bench/peers/results.js';
import { chosenSuites, threadCounts } from '../../bench/peers/run.js';
import { machine } from '../../bench/report.js';

function run(times: Record<string, number>, name = 'a case', threads = 1): KeptRun {
  const ours = Object.values(times)[0]!;
  const measurements = Object.entries(times).map(
    ([contender, median]): Measurement => ({
      suite: 'mel',
      case: name,
      contender,
      median,
      min: median,
      spread: 0,
      samples: 5,
      timesOurs: median / ours,
      ...(contender === 'half the work' && { differs: 'half the work' }),
    }),
  );
  const floors = { sgemmGflops: 100, copyGbPerSecond: 10, threads };
  return { suite: 'mel', threads, floors, date: '2026-01-01', commit: 'c', measurements };
}

test('the best peer is neither ours nor one that does other work', (t) => {
  const { measurements } = run({ cinefuse: 1, 'half the work': 2, slow: 5, 'quick (Python)': 4 });
  t.is(best(measurements)?.contender, 'quick (Python)');
  t.is(best(run({ cinefuse: 1, 'half the work': 2 }).measurements), undefined);
});

test('what fell by more than a fifth is found by its ratio, whatever the times', (t) => {
  const committed = [run({ cinefuse: 1, 'cinefuse, other': 2, peer: 4 })];
  const slowerMachine = changes(committed, [run({ cinefuse: 10, 'cinefuse, other': 20, peer: 40 })]);
  t.deepEqual(
    slowerMachine.map((change) => [change.contender, change.before, change.now, fell(change)]),
    [
      ['cinefuse', 4, 4, false],
      ['cinefuse, other', 2, 2, false],
    ],
  );
  const slowerCode = changes(committed, [run({ cinefuse: 1.3, 'cinefuse, other': 2, peer: 4 })]);
  t.deepEqual(slowerCode.map(fell), [true, false]);
});

test('one slow median is not enough: the fastest calls must have fallen as well', (t) => {
  const busy = run({ cinefuse: 2, peer: 4 });
  busy.measurements[0]!.min = 1;
  const [change] = changes([run({ cinefuse: 1, peer: 4 })], [busy]);
  t.deepEqual([change!.before, change!.now, change!.fastest.now, fell(change!)], [4, 2, 4, false]);
});

test('only peers that were measured both times are compared, on as many threads', (t) => {
  const committed = [run({ cinefuse: 1, quick: 2, slow: 8 })];
  t.deepEqual(
    changes(committed, [run({ cinefuse: 1, slow: 8 })]).map(({ before, now }) => [before, now]),
    [[8, 8]],
  );
  t.deepEqual(changes(committed, [run({ cinefuse: 1, other: 2 })]), []);
  t.deepEqual(changes(committed, [run({ cinefuse: 1, slow: 8 }, 'a case', 2)]), []);
});

test('a case measured again replaces the earlier one and leaves the others', (t) => {
  const older = [run({ cinefuse: 1 }), run({ cinefuse: 2 }, 'another')];
  const all = merged(older, [run({ cinefuse: 3 })]);
  t.deepEqual(
    all.flatMap((r) => r.measurements).map((m) => [m.case, m.median]),
    [
      ['another', 2],
      ['a case', 3],
    ],
  );
});

test('the Markdown has every contender, what differs and what did not run', (t) => {
  const text = markdown({
    ...machine('npm run bench:peers'),
    versions: { npm: { 'fft.js': '4.0.4' }, python: { torch: null } },
    notRun: { 'torch (Python)': "No module named 'torch'" },
    runs: [
      run({ cinefuse: 0.002, peer: 0.003, 'half the work': 0.001 }),
      run({ cinefuse: 0.001 }, 'a case', 2),
    ],
  });
  t.regex(text, /\| a case \| cinefuse \| 2 ms \| peer 3 ms \| 1.50 \|/);
  t.regex(text, /\| half the work \| 1 ms .* half the work \|/);
  t.regex(text, /\| a case \| cinefuse \| 2 \| 2.00 \|/);
  t.regex(text, /Not run: torch \(Python\) \(No module named 'torch'\)/);
  t.regex(text, /fft\.js 4\.0\.4, torch \(not installed\)/);
});

test('words of the command line that mean nothing are named', (t) => {
  t.deepEqual(chosenSuites(['mel']), ['mel']);
  t.true(chosenSuites([]).length > 3);
  t.throws(() => chosenSuites(['mell']), { message: /no suite mell/ });
  t.deepEqual(threadCounts('1,2'), [1, 2]);
  t.throws(() => threadCounts('1,x'), { message: /not x/ });
});
