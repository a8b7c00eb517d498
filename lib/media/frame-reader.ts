import type { Frame, Packet } from 'node-av/lib';
import { type Container, damaged, type Track, type TrackDecoder, ticks } from './container.js';
import type { Checkpoint } from './job.js';
import type { Subject } from './limits.js';
import { lastAtOrBefore, type Timeline } from './timeline.js';

/** Decoding this many packets costs about as much as a seek, which empties the decoder's pipeline. */
const SEEK_WORTH_PACKETS = 12;

/**
 * So many pictures may be missing before a wanted one without the file being called damaged: some packets hold no
 * picture of their own (hidden reference pictures of VP8, second fields).
 */
const MISSING_PICTURES = 8;

export interface TimedFrame {
  frame: Frame;
  /** In ticks of the track. */
  time: number;
}

/**
 * Gives the pictures on screen at ascending instants. Decodes forward, and jumps to a later key picture where that
 * saves work; should a jump go wrong, it decodes from the start instead, so the pictures are the same either way.
 */
export class FrameReader implements Disposable {
  private container: Container;
  private readonly packet: Packet;
  private readonly keyTimes: number[];
  private readonly frames: [TimedFrame, TimedFrame];
  /** Which of `frames` is the picture on screen and which the one after it, where decoded already. */
  private shown: TimedFrame | undefined;
  private next: TimedFrame | undefined;
  /** Index in the timeline of the last packet sent to the decoder. */
  private position = Number.NEGATIVE_INFINITY;
  /** Jumping landed on this packet; it has yet to be sent. */
  private landed = false;
  /** The file's last packet is in; the decoder has been told the end; it has given its last frame. */
  private ended = false;
  private draining = false;
  private drained = false;
  private seekable: boolean;
  /** The file, opened anew because its container cannot seek. */
  private reopened: Container | undefined;

  constructor(
    private readonly first: Container,
    private readonly track: Track,
    private readonly decoder: TrackDecoder,
    private readonly timeline: Timeline,
    private readonly subject: Subject,
    private readonly checkpoint: Checkpoint,
  ) {
    this.container = first;
    this.packet = new first.av.Packet();
    this.packet.alloc();
    this.keyTimes = timeline.keys.map((key) => timeline.pts[key]!);
    this.seekable = this.keyTimes.every((time, i) => i === 0 || time > this.keyTimes[i - 1]!);
    this.frames = [this.newFrame(), this.newFrame()];
  }

  [Symbol.dispose](): void {
    for (const { frame } of this.frames) frame.free();
    this.packet.free();
    this.reopened?.[Symbol.dispose]();
  }

  /** One picture for each instant (in ticks), leaving repetitions out. A yielded frame is valid until the next. */
  *at(targets: readonly number[]): Generator<TimedFrame> {
    let last: number | undefined;
    for (const [i, target] of targets.entries()) {
      const picture = this.find(target, targets[i + 1]);
      if (picture.time !== last) yield picture;
      last = picture.time;
    }
  }

  private find(target: number, following: number | undefined): TimedFrame {
    const { shown: times } = this.timeline;
    const wanted = Math.max(0, lastAtOrBefore(times, target));
    for (;;) {
      this.approach(target);
      const nextKey = following === undefined ? Number.POSITIVE_INFINITY : this.keyBefore(following);
      this.advance(times[wanted]!, target, nextKey);
      const picture = this.shown ?? this.next;
      const missing = picture ? wanted - lastAtOrBefore(times, picture.time) : times.length;
      // A later one instead: from this key picture on, the decoder needed some more to get going.
      const late = missing < 0 && this.seekable;
      if (picture && !late && missing <= MISSING_PICTURES && picture.frame.decodeErrorFlags === 0)
        return picture;
      if (!this.seekable) {
        const seconds = this.track.toMs(times[wanted]! - times[0]!) / 1000;
        throw damaged(this.subject, `no decodable picture at ${seconds} s`);
      }
      this.seekable = false;
      this.restart();
    }
  }

  /** Packet index of the last key picture at or before an instant. */
  private keyBefore(target: number): number {
    return this.timeline.keys[Math.max(0, lastAtOrBefore(this.keyTimes, target))] ?? 0;
  }

  /** Goes to the key picture before the target, unless decoding on is as good. */
  private approach(target: number): void {
    const key = this.keyBefore(target);
    const onTheWay = this.position >= 0 && key <= this.position + SEEK_WORTH_PACKETS;
    if (onTheWay && (this.ended || !this.draining)) return;
    if (this.shown && this.shownIsLastBefore(target)) return;
    if (!this.seekable || !this.seek(key)) this.restart();
  }

  /** The picture at hand is the one on screen at the target as well. */
  private shownIsLastBefore(target: number): boolean {
    const { shown } = this.timeline;
    return this.shown!.time === shown[Math.max(0, lastAtOrBefore(shown, target))];
  }

  /** Goes to a key picture, or one before it. Containers index by picture times or by decoding times: both are tried. */
  private seek(key: number): boolean {
    return this.seekTime(key, this.timeline.pts[key]!) || this.seekTime(key, this.timeline.dts[key]!);
  }

  private seekTime(key: number, timestamp: number): boolean {
    const { timeline, container, track } = this;
    if (!container.seek(track, BigInt(timestamp))) return false;
    this.forget();
    while (container.readPacket(track, this.packet)) {
      this.checkpoint();
      if (this.packet.size === 0) continue;
      const time = ticks(this.packet.pts) ?? ticks(this.packet.dts);
      let at = key;
      while (at >= 0 && timeline.pts[at] !== time) at--;
      if (at < 0) return false; // landed past the key picture
      if (!this.packet.hasFlags(container.av.C.AV_PKT_FLAG_KEY)) continue;
      this.position = at - 1;
      this.landed = true;
      return true;
    }
    return false;
  }

  private restart(): void {
    this.reopened?.[Symbol.dispose]();
    this.reopened = this.first.reopen();
    this.reopened.selectTrack('video');
    this.container = this.reopened;
    this.forget();
    this.position = -1;
  }

  private forget(): void {
    this.decoder.flush();
    this.shown = undefined;
    this.next = undefined;
    this.ended = false;
    this.draining = false;
    this.drained = false;
    this.landed = false;
    this.position = Number.NEGATIVE_INFINITY;
  }

  /** Decodes until the picture of time `wanted` is shown, or the one after `target` has come, or nothing is left. */
  private advance(wanted: number, target: number, nextKey: number): void {
    for (;;) {
      if (this.next) {
        if (this.next.time > target) return;
        this.shown = this.next;
        this.next = undefined;
      }
      if (this.shown?.time === wanted || this.drained) return;
      this.receive(wanted, nextKey);
    }
  }

  /**
   * Takes one frame out of the decoder, feeding it as needed. Where the way on leads over a seek to `nextKey` anyway, the
   * decoder is drained once the packet of the wanted picture is in, instead of fed until it yields.
   */
  private receive(wanted: number, nextKey: number): void {
    const free = this.frames.find((frame) => frame !== this.shown)!;
    for (;;) {
      this.checkpoint();
      free.frame.unref();
      const got = this.decoder.receive(free.frame);
      if (got === 'frame') {
        const time = ticks(free.frame.bestEffortTimestamp) ?? ticks(free.frame.pts);
        if (time === undefined) throw damaged(this.subject, 'a picture without a time stamp');
        free.time = time;
        this.next = free;
        return;
      }
      if (got === 'end') {
        this.drained = true;
        return;
      }
      const enough =
        this.timeline.pts[this.position] === wanted && nextKey > this.position + SEEK_WORTH_PACKETS;
      this.ended = !enough && !this.read();
      this.draining = enough || this.ended;
      this.decoder.send(this.draining ? null : this.packet);
    }
  }

  private read(): boolean {
    if (this.landed) this.landed = false;
    else {
      do {
        if (!this.container.readPacket(this.track, this.packet)) return false;
      } while (this.packet.size === 0);
    }
    this.position++;
    return true;
  }

  private newFrame(): TimedFrame {
    const frame = new this.container.av.Frame();
    frame.alloc();
    return { frame, time: 0 };
  }
}
