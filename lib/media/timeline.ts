import { MediaError } from '../errors.js';
import { type Container, damaged, type Track, ticks } from './container.js';
import type { Checkpoint } from './job.js';
import { checkLimit, type MediaLimits, type Subject } from './limits.js';
import type { FrameSampling, TimesSampling } from './types.js';

/** The packets of a video track in file (decoding) order, found by reading the file once without decoding. */
export interface Timeline {
  /** Time stamps in ticks. `dts` equals `pts` where the container stores none. */
  pts: number[];
  dts: number[];
  /** Positions in `pts` of the packets from which decoding can start. */
  keys: number[];
  /** Time stamps of the shown pictures, ascending. */
  shown: number[];
  /** End of the last picture, in ticks. */
  end: number;
}

/** Bounds the memory of a timeline; four hours at 200 pictures a second are fewer. */
const MAX_PACKETS = 4_000_000;

/**
 * Reads the time stamps of every packet: exact, whatever the header says, and it notices a file that is cut off.
 *
 * @returns `shown` is empty where an edit list cuts all pictures away
 * @throws MediaError ERR_MEDIA_EMPTY (no video track), ERR_MEDIA_READ, ERR_MEDIA_LIMIT (maxDurationMs)
 */
export function readTimeline(
  container: Container,
  subject: Subject,
  limits: MediaLimits,
  checkpoint: Checkpoint,
): Timeline {
  const track = container.selectTrack('video');
  using packet = new container.av.Packet();
  packet.alloc();
  const { C } = container.av;
  const timeline: Timeline = { pts: [], dts: [], keys: [], shown: [], end: Number.NEGATIVE_INFINITY };
  const { pts, dts, keys, shown } = timeline;
  const maxTicks = limits.maxDurationMs / track.toMs(1);
  let lastDuration = 0;
  while (container.readPacket(track, packet)) {
    if (pts.length % 64 === 0) checkpoint();
    if (packet.size === 0) continue;
    const time = ticks(packet.pts) ?? ticks(packet.dts);
    if (time === undefined) throw damaged(subject, 'a packet without a time stamp');
    if (packet.hasFlags(C.AV_PKT_FLAG_KEY)) keys.push(pts.length);
    pts.push(time);
    dts.push(ticks(packet.dts) ?? time);
    const duration = Number(packet.duration);
    // Pictures that an edit list cuts away are decoded and not shown.
    if (!packet.hasFlags(C.AV_PKT_FLAG_DISCARD)) {
      shown.push(time);
      if (time + duration > timeline.end) {
        timeline.end = time + duration;
        lastDuration = duration;
      }
    }
    if (pts.length > MAX_PACKETS || timeline.end - pts[0]! > maxTicks) {
      checkLimit(subject, limits, 'maxDurationMs', Math.round(track.toMs(timeline.end - pts[0]!)));
      throw new MediaError('ERR_MEDIA_LIMIT', {
        ...subject,
        expected: `at most ${MAX_PACKETS} pictures in a video`,
        got: 'more',
      });
    }
  }
  shown.sort((a, b) => a - b);
  // Some files give the last picture no duration: it lasts as long as the others do on average.
  if (lastDuration === 0 && shown.length > 1)
    timeline.end += (shown.at(-1)! - shown[0]!) / (shown.length - 1);
  return timeline;
}

/** Pictures per second over the whole clip; the header's figure where the time stamps agree with it to 0.2 %. */
export function frameRateOf(timeline: Timeline, track: Track): number {
  const { shown } = timeline;
  const spanMs = track.toMs(shown.at(-1)! - shown[0]!);
  const { num, den } = track.stream.avgFrameRate;
  const declared = den > 0 ? num / den : 0;
  if (spanMs <= 0) return declared;
  const measured = (1000 * (shown.length - 1)) / spanMs;
  return Math.abs(measured - declared) <= 0.002 * measured ? declared : measured;
}

/** The instants whose pictures are wanted, in ticks, ascending. */
export function targetTimes(
  timeline: Timeline,
  track: Track,
  sampling: FrameSampling | TimesSampling,
  clipStartMs: number,
): number[] {
  const { shown, end } = timeline;
  const start = shown[0]!;
  const span = end - start;
  switch (sampling.kind) {
    case 'uniform':
      return Array.from({ length: sampling.count }, (_, i) => start + ((i + 0.5) * span) / sampling.count);
    case 'fps': {
      const wanted = Math.max(1, Math.ceil((track.toMs(span) * sampling.fps) / 1000 - 1e-9));
      const count = Math.min(wanted, sampling.maxCount);
      const step = count === wanted ? 1000 / sampling.fps / track.toMs(1) : span / count;
      // A hair late, so that rounding never picks the picture before the one that starts at this very tick.
      return Array.from({ length: count }, (_, i) => start + i * step + 1e-6);
    }
    case 'times':
      // Time stamps come back as they were given out; half a tick absorbs the rounding between the two units.
      return sampling.timesMs.map((ms) => (ms + clipStartMs) / track.toMs(1) + 0.5);
    case 'keyframes': {
      const first = shown[0]!;
      const times = timeline.keys.map((key) => timeline.pts[key]!).filter((time) => time >= first);
      times.sort((a, b) => a - b);
      if (times.length <= sampling.maxCount) return times;
      const share = times.length / sampling.maxCount;
      return Array.from({ length: sampling.maxCount }, (_, i) => times[Math.floor((i + 0.5) * share)]!);
    }
  }
}

/** Index of the last element of an ascending list that is <= value; -1 if none. */
export function lastAtOrBefore(ascending: readonly number[], value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
