/** A record of what ran when, for a person who asks where the time went. */

/** Milliseconds since 1970, to the microsecond, on one clock for all threads of the process. */
export function traceTime(): number {
  return performance.timeOrigin + performance.now();
}

interface Span {
  lane: string;
  name: string;
  start: number;
  end: number;
  details: Readonly<Record<string, unknown>> | undefined;
}

/** The format of chrome://tracing and ui.perfetto.dev. */
export interface TraceDocument {
  displayTimeUnit: 'ms';
  traceEvents: TraceEvent[];
}

export type TraceEvent =
  | { ph: 'M'; name: 'thread_name' | 'thread_sort_index'; pid: number; tid: number; args: object }
  | { ph: 'X'; name: string; pid: number; tid: number; ts: number; dur: number; args?: object };

/** Spans beyond this number are counted, not kept: some 100 MB. */
const MOST_SPANS = 500_000;

/**
 * Collects spans of work by lane: an encoder thread, decoders, a film's stay. Give it to `Predictor.load` and write
 * `JSON.stringify(trace)` to a file, which chrome://tracing and ui.perfetto.dev open.
 *
 * A lane whose spans overlap becomes as many rows as ran at once, so the rows of `decode` say how many decoders worked.
 */
export class Trace {
  readonly #spans: Span[] = [];
  #left = 0;

  /**
   * @param start  as `traceTime` tells it; the same for `end`
   */
  add(
    lane: string,
    name: string,
    start: number,
    end: number,
    details?: Readonly<Record<string, unknown>>,
  ): void {
    if (this.#spans.length < MOST_SPANS) this.#spans.push({ lane, name, start, end, details });
    else this.#left++;
  }

  /** Trace Event Format, "complete" events with times in microseconds since the first span. */
  toJSON(): TraceDocument {
    const pid = 1;
    const spans = [...this.#spans].sort((a, b) => a.start - b.start || b.end - a.end);
    const origin = spans[0]?.start ?? 0;
    const micros = (ms: number) => Math.round(ms * 1000);
    /** By lane the rows, each with the time at which it is free again. */
    const lanes = new Map<string, { tid: number; free: number }[]>();
    const events: TraceEvent[] = [];
    let lastRow = 0;
    for (const { lane, name, start, end, details } of spans) {
      const rows = lanes.get(lane) ?? [];
      lanes.set(lane, rows);
      const from = micros(start - origin);
      const to = Math.max(from, micros(end - origin));
      let row = rows.find(({ free }) => free <= from);
      if (!row) {
        row = { tid: ++lastRow, free: 0 };
        rows.push(row);
      }
      row.free = to;
      events.push({
        ...{ ph: 'X', name, pid, tid: row.tid, ts: from, dur: to - from },
        ...(details && { args: details }),
      });
    }
    const names: TraceEvent[] = [];
    for (const [index, [lane, rows]] of [...lanes].sort(([a], [b]) => (a < b ? -1 : 1)).entries()) {
      rows.forEach(({ tid }, i) => {
        const name = rows.length > 1 ? `${lane} ${i + 1}` : lane;
        names.push({ ph: 'M', name: 'thread_name', pid, tid, args: { name } });
        names.push({
          ...{ ph: 'M', name: 'thread_sort_index', pid, tid },
          args: { sort_index: index * 1000 + i },
        });
      });
    }
    if (this.#left > 0) {
      const name = `${this.#left} further spans were left out`;
      events.push({ ph: 'X', name, pid, tid: 0, ts: micros(spans.at(-1)!.end - origin), dur: 0 });
    }
    return { displayTimeUnit: 'ms', traceEvents: [...names, ...events] };
  }
}

/** Runs `work` and records how long it took, where there is a trace; also work that fails. */
export async function traced<T>(
  trace: Trace | undefined,
  lane: string,
  name: string,
  work: () => Promise<T>,
  details?: Readonly<Record<string, unknown>>,
): Promise<T> {
  if (!trace) return work();
  const start = traceTime();
  try {
    return await work();
  } finally {
    trace.add(lane, name, start, traceTime(), details);
  }
}
