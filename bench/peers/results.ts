/** The results of bench:peers: what is kept, who is the best peer of a case, and how it reads as Markdown. */
import { formatSeconds, type Measurement } from '../harness.js';
import type { Machine } from '../report.js';
import type { PeerRun } from './run.js';

export interface KeptRun extends PeerRun {
  date: string;
  commit: string;
}

export interface PeerResults extends Machine {
  versions: { npm: Record<string, string | null>; python: Record<string, string | null> };
  /** Contender to the reason. */
  notRun: Record<string, string>;
  runs: KeptRun[];
}

export const isOurs = ({ contender }: Measurement) => contender.startsWith('cinefuse');
export const isPython = ({ contender }: Measurement) => contender.endsWith('(Python)');

/** The fastest of those that do the same work. */
export function best(peers: readonly Measurement[]): Measurement | undefined {
  return peers
    .filter((m) => !isOurs(m) && !m.differs)
    .reduce<Measurement | undefined>((a, b) => (a && a.median <= b.median ? a : b), undefined);
}

/** Measurements by case, in order. */
export function byCase(measurements: readonly Measurement[]): Map<string, Measurement[]> {
  const cases = new Map<string, Measurement[]>();
  for (const m of measurements) cases.set(m.case, [...(cases.get(m.case) ?? []), m]);
  return cases;
}

/** `newer` in the place of what it measures again. */
export function merged(older: readonly KeptRun[], newer: readonly KeptRun[]): KeptRun[] {
  const result = older.map((run) => ({ ...run }));
  for (const run of newer) {
    const names = new Set(run.measurements.map((m) => m.case));
    for (const old of result)
      if (old.suite === run.suite && old.threads === run.threads)
        old.measurements = old.measurements.filter((m) => !names.has(m.case));
    result.push(run);
  }
  return result.filter((run) => run.measurements.length > 0);
}

/** A ratio may fall to this share of what it was. */
const KEPT = 0.8;

/** How many times as long as ours the best peer took, before and now. */
export interface Change {
  suite: string;
  case: string;
  threads: number;
  contender: string;
  before: number;
  now: number;
  /** The same of the fastest calls, which other work on the machine disturbs least. */
  fastest: { before: number; now: number };
}

/** Best peer over ours, the peers being those measured both times. */
export function changes(then: readonly PeerRun[], now: readonly PeerRun[]): Change[] {
  const found: Change[] = [];
  for (const run of now) {
    const before = then.filter((r) => r.suite === run.suite && r.threads === run.threads);
    const old = byCase(before.flatMap((r) => r.measurements));
    for (const [name, list] of byCase(run.measurements)) {
      const committed = old.get(name);
      if (!committed) continue;
      const shared = (a: Measurement[], b: Measurement[]) =>
        best(a.filter((m) => b.some(({ contender }) => contender === m.contender)));
      const [peer, peerThen] = [shared(list, committed), shared(committed, list)];
      if (!peer || !peerThen) continue;
      for (const ours of list.filter(isOurs)) {
        const oursThen = committed.find(({ contender }) => contender === ours.contender);
        if (oursThen)
          found.push({
            suite: run.suite,
            case: name,
            threads: run.threads,
            contender: ours.contender,
            before: peerThen.median / oursThen.median,
            now: peer.median / ours.median,
            fastest: { before: peerThen.min / oursThen.min, now: peer.min / ours.min },
          });
      }
    }
  }
  return found;
}

export const fell = ({ before, now, fastest }: Change) =>
  now < KEPT * before && fastest.now < KEPT * fastest.before;

const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
const times = (value: number | undefined) => (value === undefined ? '' : value.toFixed(value < 10 ? 2 : 1));

function summary(results: PeerResults, threads: number): string[] {
  const rows = [];
  for (const run of results.runs.filter((r) => r.threads === threads))
    for (const [name, list] of byCase(run.measurements)) {
      const npm = best(list.filter((m) => !isPython(m)));
      const python = best(list.filter(isPython));
      for (const ours of list.filter(isOurs))
        rows.push(
          line([
            name,
            ours.contender,
            formatSeconds(ours.median),
            ...[npm, python].flatMap((peer) =>
              peer
                ? [
                    `${peer.contender.replace(' (Python)', '')} ${formatSeconds(peer.median)}`,
                    times(peer.median / ours.median),
                  ]
                : ['', ''],
            ),
            times(ours.timesFloor),
          ]),
        );
    }
  if (rows.length === 0) return [];
  const floors = results.runs.filter((r) => r.threads === threads).at(-1)?.floors;
  return [
    `## ${threads} thread${threads === 1 ? '' : 's'}`,
    '',
    `Floor: ${floors?.sgemmGflops.toFixed(0)} GFLOP/s of sgemm, ${floors?.copyGbPerSecond.toFixed(1)} GB/s copied (read + written).`,
    '',
    line(['work', 'ours', 'time', 'best of npm', 'x', 'best of Python', 'x', 'x floor']),
    line(['---', '---', '---:', '---', '---:', '---', '---:', '---:']),
    ...rows,
    '',
  ];
}

/** Ours on more threads over ours on one. */
function scaling(results: PeerResults): string[] {
  const rows = [];
  const singles = results.runs.filter((r) => r.threads === 1);
  for (const run of results.runs.filter((r) => r.threads > 1))
    for (const m of run.measurements.filter(isOurs)) {
      const one = singles
        .flatMap((r) => r.measurements)
        .find((o) => o.case === m.case && o.contender === m.contender);
      if (one) rows.push(line([m.case, m.contender, String(run.threads), times(one.median / m.median)]));
    }
  if (rows.length === 0) return [];
  return [
    '## More threads over one',
    '',
    line(['work', 'ours', 'threads', 'times as fast']),
    line(['---', '---', '---:', '---:']),
    ...rows,
    '',
  ];
}

function details(results: PeerResults): string[] {
  const lines = ['## Everything', ''];
  for (const run of results.runs)
    for (const [name, list] of byCase(run.measurements)) {
      lines.push(
        `### ${name}, ${run.threads} thread${run.threads === 1 ? '' : 's'}`,
        '',
        line(['', 'median', 'fastest', 'spread', 'x ours', 'x floor', 'differs']),
        line(['---', '---:', '---:', '---:', '---:', '---:', '---']),
        ...list.map((m) =>
          line([
            m.contender,
            formatSeconds(m.median),
            formatSeconds(m.min),
            `±${(100 * m.spread).toFixed(0)} %`,
            times(m.timesOurs),
            times(m.timesFloor),
            m.differs ?? '',
          ]),
        ),
        '',
      );
    }
  return lines;
}

export function markdown(results: PeerResults): string {
  const versions = Object.entries({ ...results.versions.npm, ...results.versions.python }).map(
    ([name, version]) => `${name} ${version ?? '(not installed)'}`,
  );
  const missing = Object.entries(results.notRun).map(([name, reason]) => `${name} (${reason})`);
  return [
    '# cinefuse beside other libraries',
    '',
    `${results.cpu}, ${results.cores} cores, ${results.isa}, Node ${results.node}, ${results.date.slice(0, 10)}. To repeat: \`${results.command}\`.`,
    '',
    'The contenders of a case have the same inputs, their outputs are compared, and they take turns in one run on the same',
    'number of threads; those in Python read the clock themselves. Times are medians; `x` is how many times as long the peer',
    'takes; `x floor` is our time over the least that the floating-point operations or bytes of the work allow here.',
    'Peers that do not do the same work are listed at the end, with what differs, and are never the best.',
    '',
    `Versions: ${versions.join(', ')}.`,
    ...(missing.length > 0 ? ['', `Not run: ${missing.join(', ')}.`] : []),
    '',
    ...[...new Set(results.runs.map((r) => r.threads))].sort().flatMap((n) => summary(results, n)),
    ...scaling(results),
    ...details(results),
  ].join('\n');
}
