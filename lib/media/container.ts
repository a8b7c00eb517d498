import type { Codec, CodecContext, FormatContext, Frame, Packet, Stream } from 'node-av/lib';
import { MediaError } from '../errors.js';
import { checkLimit, type MediaLimits, type Subject } from './limits.js';
import type { Av } from './runtime.js';
import { checkWhole } from './whole.js';

/** Names of FFmpeg's demuxers. Playlists, image sequences, network and script formats are not among them. */
const FORMATS = 'mov,mp4,m4a,matroska,webm,mp3,flac,wav,ogg,aac';
const VIDEO_FORMATS = 'an MP4, MOV, WebM or Matroska video';
const AUDIO_FORMATS = 'WAV, MP3, FLAC, Ogg, M4A, AAC, or a video with a sound track';

export type TrackKind = 'video' | 'audio';

/** The facts of one track that decoding needs. */
export interface Track {
  kind: TrackKind;
  index: number;
  stream: Stream;
  codec: Codec;
  /** A time on the track's clock in milliseconds, correctly rounded. */
  toMs(ticks: number): number;
}

/**
 * An open container. `using` closes it; all calls block.
 *
 * FFmpeg gets an absolute path behind `file:`, and of its protocols only that one, so nothing in the path or in the
 * file can lead to another file or to the network.
 */
export class Container implements Disposable {
  readonly format: string;
  /** Clip time zero, in ms on the file's own clock: the start of its earliest track, but never before 0 (priming). */
  readonly startMs: number;
  /** As the header declares it; 0 when unknown. */
  readonly durationMs: number;

  private constructor(
    readonly av: Av,
    private readonly context: FormatContext,
    private readonly path: string,
    private readonly subject: Subject,
    private readonly edits: boolean,
  ) {
    this.format = context.iformat?.name ?? 'unknown';
    this.startMs = Math.max(0, microsecondsToMs(context.startTime));
    this.durationMs = Math.max(0, microsecondsToMs(context.duration));
  }

  /**
   * @param edits  whether to leave out what the edit list of an MP4 cuts away
   * @throws MediaError ERR_MEDIA_FORMAT, ERR_MEDIA_READ
   */
  static open(av: Av, path: string, subject: Subject, edits = true): Container {
    checkWhole(path, subject);
    const context = new av.FormatContext();
    context.allocContext();
    const options = av.Dictionary.fromObject({
      protocol_whitelist: 'file',
      format_whitelist: FORMATS,
      max_streams: '64',
      advanced_editlist: edits ? '1' : '0',
    });
    try {
      check(av, context.openInputSync(`file:${path}`, null, options), subject, 'ERR_MEDIA_FORMAT');
      check(av, context.findStreamInfoSync(null), subject, 'ERR_MEDIA_READ');
      return new Container(av, context, path, subject, edits);
    } catch (error) {
      context.closeInputSync();
      throw error;
    } finally {
      options.free();
    }
  }

  [Symbol.dispose](): void {
    this.context.closeInputSync();
  }

  /** The same file once more, from its start. */
  reopen(edits = this.edits): Container {
    return Container.open(this.av, this.path, this.subject, edits);
  }

  /** The best track of a kind, or undefined. Cover art does not count as video. */
  findTrack(kind: TrackKind): Track | undefined {
    const { C } = this.av;
    const type = kind === 'video' ? C.AVMEDIA_TYPE_VIDEO : C.AVMEDIA_TYPE_AUDIO;
    const index = this.context.findBestStream(type);
    const stream = index >= 0 ? this.context.streams[index] : undefined;
    if (!stream || (stream.disposition & C.AV_DISPOSITION_ATTACHED_PIC) !== 0) return undefined;
    const codec = this.av.Codec.findDecoder(stream.codecpar.codecId);
    if (!codec) {
      throw new MediaError('ERR_MEDIA_FORMAT', {
        ...this.subject,
        expected: `a ${kind} codec that FFmpeg decodes`,
        got: this.codecName(stream),
      });
    }
    const { num, den } = stream.timeBase;
    return { kind, index, stream, codec, toMs: (time) => (1000 * num * time) / den };
  }

  /** The same, required. Packets of all other tracks are skipped from here on. @throws MediaError ERR_MEDIA_EMPTY */
  selectTrack(kind: TrackKind): Track {
    const track = this.findTrack(kind);
    if (!track) {
      throw new MediaError('ERR_MEDIA_EMPTY', {
        ...this.subject,
        expected: kind === 'video' ? `a video track (${VIDEO_FORMATS})` : `a sound track (${AUDIO_FORMATS})`,
        got: `a file (${this.format}) without one`,
      });
    }
    for (const stream of this.context.streams) {
      if (stream.index !== track.index) stream.discard = this.av.C.AVDISCARD_ALL;
    }
    return track;
  }

  codecName(stream: Stream): string {
    return this.av.avGetCodecName(stream.codecpar.codecId) ?? 'an unknown codec';
  }

  /** Reads the track's next packet. @returns false at the end of the file. @throws MediaError ERR_MEDIA_READ */
  readPacket(track: Track, packet: Packet): boolean {
    const { C } = this.av;
    for (;;) {
      packet.unref();
      const status = this.context.readFrameSync(packet);
      if (status === C.AVERROR_EOF) return false;
      check(this.av, status, this.subject, 'ERR_MEDIA_READ');
      if (packet.streamIndex !== track.index) continue;
      if (packet.hasFlags(C.AV_PKT_FLAG_CORRUPT)) throw damaged(this.subject, 'a packet that is cut off');
      return true;
    }
  }

  /** @returns whether the container could go to (or before) the time stamp */
  seek(track: Track, timestamp: bigint): boolean {
    return this.context.seekFrameSync(track.index, timestamp, this.av.C.AVSEEK_FLAG_BACKWARD) >= 0;
  }
}

/** A decoder of one track. Frames must be taken to the end (`send(null)`, then `receive` until false): it buffers some. */
export class TrackDecoder implements Disposable {
  private readonly context: CodecContext;

  /** @throws MediaError ERR_MEDIA_LIMIT (maxFramePixels), ERR_MEDIA_FORMAT */
  constructor(
    private readonly av: Av,
    track: Track,
    private readonly subject: Subject,
    limits: MediaLimits,
    threads: number,
  ) {
    const { width, height } = track.stream.codecpar;
    checkLimit(subject, limits, 'maxFramePixels', width * height, `a video of ${width} x ${height}`);
    this.context = new av.CodecContext();
    this.context.allocContext3(track.codec);
    try {
      check(av, this.context.parametersToContext(track.stream.codecpar), subject, 'ERR_MEDIA_FORMAT');
      this.context.pktTimebase = track.stream.timeBase;
      this.context.threadCount = threads;
      // FFmpeg's own guard: the size may also change in mid-stream.
      const maxPixels = Math.min(limits.maxFramePixels, 2 ** 31 - 1);
      check(av, this.context.setOption('max_pixels', maxPixels), subject, 'ERR_MEDIA_FORMAT');
      check(av, this.context.open2Sync(track.codec), subject, 'ERR_MEDIA_FORMAT');
    } catch (error) {
      this.context.freeContext();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.context.freeContext();
  }

  /**
   * To be called when `receive` wants more.
   *
   * @returns whether the packet could be used; a damaged one throws unless `lenient`
   * @throws MediaError ERR_MEDIA_READ
   */
  send(packet: Packet | null, lenient = false): boolean {
    const status = this.context.sendPacketSync(packet);
    if (lenient && status === this.av.C.AVERROR_INVALIDDATA) return false;
    check(this.av, status, this.subject, 'ERR_MEDIA_READ');
    return true;
  }

  /** @returns 'frame', 'more' (wants a packet) or 'end' (drained). @throws MediaError ERR_MEDIA_READ */
  receive(frame: Frame): 'frame' | 'more' | 'end' {
    const status = this.context.receiveFrameSync(frame);
    if (status === this.av.C.AVERROR_EAGAIN) return 'more';
    if (status === this.av.C.AVERROR_EOF) return 'end';
    check(this.av, status, this.subject, 'ERR_MEDIA_READ');
    return 'frame';
  }

  /** Forgets what was sent: after a seek or a drain. */
  flush(): void {
    this.context.flushBuffers();
  }
}

/** Turns a negative FFmpeg status into an error. */
export function check(
  av: Av,
  status: number,
  subject: Subject,
  code: 'ERR_MEDIA_FORMAT' | 'ERR_MEDIA_READ',
): void {
  if (status >= 0) return;
  const reason = av.FFmpegError.strerror(status);
  if (status === av.C.AVERROR_ENOMEM) {
    throw new MediaError('ERR_MEDIA_LIMIT', { ...subject, expected: 'memory to decode with', got: reason });
  }
  if (code === 'ERR_MEDIA_READ') throw damaged(subject, reason);
  throw new MediaError('ERR_MEDIA_FORMAT', {
    ...subject,
    expected: `${VIDEO_FORMATS}, or ${AUDIO_FORMATS}`,
    got: `a file FFmpeg refuses: ${reason}`,
  });
}

export function damaged(subject: Subject, what: string): MediaError {
  return new MediaError('ERR_MEDIA_READ', {
    ...subject,
    expected: 'a whole, undamaged file',
    got: what,
  });
}

const NO_TIMESTAMP = -(2n ** 63n);

function microsecondsToMs(time: bigint): number {
  return time === NO_TIMESTAMP ? 0 : Number(time) / 1000;
}

/** A time stamp in ticks as a number (exact below 2^53), or undefined when the file has none. */
export function ticks(time: bigint): number | undefined {
  return time === NO_TIMESTAMP ? undefined : Number(time);
}
