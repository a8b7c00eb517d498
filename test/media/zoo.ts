/**
 * Makes media files for the tests with node-av's own encoders, so that no `ffmpeg` program is needed: pictures and
 * sound whose content says what they are.
 */
import * as C from 'node-av/constants';
import * as av from 'node-av/lib';
import type { VideoFrame } from '../../lib/media/types.js';

av.Log.setLevel(C.AV_LOG_ERROR);
process.env.SVT_LOG = '0'; // the AV1 encoder has a log of its own

export interface VideoPlan {
  width: number;
  height: number;
  /** Encoder by FFmpeg's name; lossless where the test reads pixels. */
  encoder: string;
  encoderOptions?: Record<string, string>;
  pixelFormat?: string;
  muxerOptions?: Record<string, string>;
  /** Time stamp of each picture in ms. */
  timesMs: number[];
  /** Packed planes of picture i. */
  paint(i: number): Buffer;
  gop?: number;
  bFrames?: number;
  /** Clockwise turn that the file asks of the player. */
  rotation?: 0 | 90 | 180 | 270;
  mirrored?: boolean;
  /** Leaves the last picture without a duration. */
  lastless?: boolean;
  colorSpace?: number;
  colorRange?: number;
  colorTransfer?: number;
  colorPrimaries?: number;
}

export interface AudioPlan {
  encoder: string;
  sampleRate: number;
  /** One array per channel. */
  channels: Float32Array[];
  sampleFormat: C.AVSampleFormat;
}

/** `container` is a muxer's name: mp4, webm, matroska, mov, wav, flac, mp3, ogg, ipod (m4a). */
export function writeMedia(
  path: string,
  container: string,
  { video, audio }: { video?: VideoPlan; audio?: AudioPlan },
): void {
  const output = new av.FormatContext();
  must(output.allocOutputContext2(null, container, path));
  const tracks = [video && new VideoTrack(output, video), audio && new AudioTrack(output, audio)].filter(
    (track) => track !== undefined,
  );
  must(output.openOutputSync());
  must(output.writeHeaderSync(av.Dictionary.fromObject(video?.muxerOptions ?? {})));
  for (const track of tracks) track.encode();
  must(output.writeTrailerSync());
  output.closeOutputSync();
  for (const track of tracks) track.context.freeContext();
  output.freeContext();
}

abstract class Track {
  readonly context = new av.CodecContext();
  protected readonly stream: av.Stream;
  private readonly packet = new av.Packet();

  constructor(
    protected readonly output: av.FormatContext,
    encoder: string,
  ) {
    const codec = av.Codec.findEncoderByName(encoder as unknown as C.FFEncoderCodec);
    if (!codec) throw new Error(`FFmpeg has no encoder ${encoder}`);
    this.context.allocContext3(codec);
    this.packet.alloc();
    this.stream = output.newStream(codec);
    this.codec = codec;
  }
  protected readonly codec: av.Codec;
  /** Duration of a packet whose encoder gives none. */
  protected step = 0n;

  protected open(options: Record<string, string>): void {
    this.context.setFlags(C.AV_CODEC_FLAG_GLOBAL_HEADER);
    for (const [name, value] of Object.entries(options)) must(this.context.setOption(name, value));
    must(this.context.open2Sync(this.codec));
    must(this.stream.codecpar.fromContext(this.context));
    this.stream.timeBase = this.context.timeBase;
  }

  protected send(frame: av.Frame | null): void {
    must(this.context.sendFrameSync(frame));
    while (this.context.receivePacketSync(this.packet) >= 0) {
      // Not every encoder hands durations on; without one an MP4 ends before its last picture.
      if (this.packet.duration === 0n) this.packet.duration = this.step;
      this.packet.rescaleTs(this.context.timeBase, this.stream.timeBase);
      this.packet.streamIndex = this.stream.index;
      must(this.output.interleavedWriteFrameSync(this.packet));
      this.packet.unref();
    }
  }

  abstract encode(): void;
}

class VideoTrack extends Track {
  constructor(
    output: av.FormatContext,
    private readonly plan: VideoPlan,
  ) {
    super(output, plan.encoder);
    const { context } = this;
    context.width = plan.width;
    context.height = plan.height;
    context.pixelFormat = this.format;
    context.timeBase = new av.Rational(1, 1000);
    context.gopSize = plan.gop ?? 12;
    context.maxBFrames = plan.bFrames ?? 0;
    const [first = 0, second = first + 40] = plan.timesMs;
    if (!plan.lastless) this.step = BigInt(Math.max(1, second - first));
    context.framerate = new av.Rational(1000, Math.max(1, second - first));
    if (plan.colorSpace !== undefined) context.colorSpace = plan.colorSpace as C.AVColorSpace;
    if (plan.colorRange !== undefined) context.colorRange = plan.colorRange as C.AVColorRange;
    if (plan.colorTransfer !== undefined)
      context.colorTrc = plan.colorTransfer as C.AVColorTransferCharacteristic;
    if (plan.colorPrimaries !== undefined) context.colorPrimaries = plan.colorPrimaries as C.AVColorPrimaries;
    this.context.setFlags(C.AV_CODEC_FLAG_FRAME_DURATION);
    this.open(plan.encoderOptions ?? {});
    const matrix = displayMatrix(plan.rotation ?? 0, plan.mirrored ?? false, plan.width, plan.height);
    if (matrix) must(this.stream.codecpar.addCodedSideData(C.AV_PKT_DATA_DISPLAYMATRIX, matrix));
  }

  private get format(): C.AVPixelFormat {
    return av.avGetPixFmtFromName(this.plan.pixelFormat ?? 'yuv420p');
  }

  encode(): void {
    const { width, height, timesMs, paint } = this.plan;
    for (const [i, time] of timesMs.entries()) {
      const frame = av.Frame.fromVideoBuffer(paint(i), {
        width,
        height,
        format: this.format,
        pts: BigInt(time),
        timeBase: { num: 1, den: 1000 },
      });
      const next = timesMs[i + 1] ?? time + (time - (timesMs[i - 1] ?? time - 40));
      frame.duration = BigInt(this.plan.lastless && i === timesMs.length - 1 ? 0 : next - time);
      if (this.plan.colorSpace !== undefined) frame.colorSpace = this.plan.colorSpace as C.AVColorSpace;
      if (this.plan.colorRange !== undefined) frame.colorRange = this.plan.colorRange as C.AVColorRange;
      this.send(frame);
      frame.free();
    }
    this.send(null);
  }
}

class AudioTrack extends Track {
  constructor(
    output: av.FormatContext,
    private readonly plan: AudioPlan,
  ) {
    super(output, plan.encoder);
    this.context.sampleRate = plan.sampleRate;
    this.context.sampleFormat = plan.sampleFormat;
    this.context.channelLayout = av.avChannelLayoutDefault(plan.channels.length);
    this.context.timeBase = new av.Rational(1, plan.sampleRate);
    this.open({});
  }

  encode(): void {
    const { channels, sampleRate, sampleFormat } = this.plan;
    const total = channels[0]!.length;
    const step = this.context.frameSize || 4096;
    for (let from = 0; from < total; from += step) {
      const slices = channels.map((channel) => channel.subarray(from, from + step));
      const frame = av.Frame.fromAudioBuffer(packSamples(slices, sampleFormat), {
        sampleRate,
        format: sampleFormat,
        nbSamples: slices[0]!.length,
        channelLayout: av.avChannelLayoutDefault(channels.length),
        pts: BigInt(from),
        timeBase: { num: 1, den: sampleRate },
      });
      this.send(frame);
      frame.free();
    }
    this.send(null);
  }
}

/** Samples in [-1, 1] as an encoder wants them: 16-bit or float, interleaved or one plane per channel. */
function packSamples(channels: Float32Array[], format: C.AVSampleFormat): Buffer {
  const count = channels[0]!.length;
  const float = format === C.AV_SAMPLE_FMT_FLT || format === C.AV_SAMPLE_FMT_FLTP;
  const planar = av.avSampleFmtIsPlanar(format);
  const packed = Buffer.alloc(channels.length * count * (float ? 4 : 2));
  for (const [c, channel] of channels.entries()) {
    for (const [i, sample] of channel.entries()) {
      const at = planar ? c * count + i : i * channels.length + c;
      if (float) packed.writeFloatLE(sample, 4 * at);
      else packed.writeInt16LE(Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), 2 * at);
    }
  }
  return packed;
}

/** As ISO 14496-12 stores it: a b u c d v x y w, 16.16 and 2.30. Mirroring (left-right) comes before the turn. */
function displayMatrix(
  rotation: number,
  mirrored: boolean,
  width: number,
  height: number,
): Buffer | undefined {
  if (rotation === 0 && !mirrored) return undefined;
  const angle = (rotation * Math.PI) / 180;
  const cos = Math.round(Math.cos(angle));
  const sin = Math.round(Math.sin(angle));
  const flip = mirrored ? -1 : 1;
  const [a, b, c, d] = [cos * flip, sin * flip, -sin, cos];
  // The turned picture is moved back to where its corner is at the origin.
  const x = -Math.min(0, a * width, c * height, a * width + c * height);
  const y = -Math.min(0, b * width, d * height, b * width + d * height);
  const matrix = Buffer.alloc(36);
  const values = [a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, x * 65536, y * 65536, 2 ** 30];
  for (const [i, value] of values.entries()) matrix.writeInt32LE(value, 4 * i);
  return matrix;
}

/** A frame of one brightness, colours neutral: 8-bit planar 4:2:0. */
export function flat420(width: number, height: number, y: number, u = 128, v = 128): Buffer {
  const chroma = Math.ceil(width / 2) * Math.ceil(height / 2);
  return Buffer.concat([Buffer.alloc(width * height, y), Buffer.alloc(chroma, u), Buffer.alloc(chroma, v)]);
}

/** 0, step, 2 step ... */
export const every = (count: number, stepMs: number) => Array.from({ length: count }, (_, i) => i * stepMs);

/** Brightness that says which picture it is. */
export const level = (i: number) => 20 + 3 * i;

/** Sixty pictures at 25 a second that count by their brightness. */
export function counting(encoder: string, plan: Partial<VideoPlan> = {}): VideoPlan {
  const { width = 64, height = 64 } = plan;
  return {
    width,
    height,
    encoder,
    timesMs: every(60, 40),
    paint: (i) => flat420(width, height, level(i)),
    ...plan,
  };
}

/** Mean of the Y plane (or of all samples of RGB). */
export function brightness({ data, format, width, height }: VideoFrame): number {
  const count = format === 'rgb24' ? 3 * width * height : width * height;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += data[i]!;
  return sum / count;
}

export function sine(frequency: number, sampleRate: number, samples: number, amplitude = 0.5): Float32Array {
  return Float32Array.from(
    { length: samples },
    (_, i) => amplitude * Math.sin((2 * Math.PI * frequency * i) / sampleRate),
  );
}

function must(status: number): void {
  av.FFmpegError.throwIfError(status);
}
