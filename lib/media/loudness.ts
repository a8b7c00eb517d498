import type { Frame, SoftwareResampleContext } from 'node-av/lib';
import { MediaError } from '../errors.js';
import { audioFrames } from './audio.js';
import { Container, damaged, TrackDecoder, ticks } from './container.js';
import type { Checkpoint, JobOf, Report } from './job.js';
import { checkLimit, type MediaLimits, type Subject } from './limits.js';
import type { Av } from './runtime.js';
import type { LoudnessBlocks } from './types.js';

/** Blocks a second: ITU-R BS.1770's 400 ms overlap by three quarters. */
const BLOCKS_PER_SECOND = 10;
/** Weights of channels by place (bit of FFmpeg's mask): LFE does not count, what is beside or behind counts 1.5 dB more. */
const LFE = 1n << 3n;
const SURROUND = (1n << 4n) | (1n << 5n) | (1n << 8n) | (1n << 9n) | (1n << 10n);

/**
 * Mean squares of a sound track's 100 ms blocks after K-weighting, all channels at the file's own rate. Blocks: for a
 * worker thread or child process.
 *
 * @throws MediaError ERR_MEDIA_EMPTY (no sound), ERR_MEDIA_FORMAT, ERR_MEDIA_READ (damaged), ERR_MEDIA_LIMIT
 */
export function measureLoudness(
  av: Av,
  job: JobOf<'loudness'>,
  checkpoint: Checkpoint,
  report: Report,
): LoudnessBlocks {
  const { subject, limits } = job;
  using container = Container.open(av, job.path, subject);
  const track = container.selectTrack('audio');
  using decoder = new TrackDecoder(av, track, subject, limits, 1);
  using planar = new PlanarReader(av, subject);
  let startMs: number | undefined;
  let meter: Meter | undefined;
  for (const frame of audioFrames(av, container, track, decoder, subject, checkpoint)) {
    if (frame.nbSamples === 0) continue;
    startMs ??= Math.max(0, track.toMs(ticks(frame.pts) ?? 0) - container.startMs);
    meter ??= new Meter(frame.sampleRate, planar.weightsOf(frame), subject, limits);
    meter.add(planar.read(frame), frame);
    if (container.durationMs > 0) report(Math.min(1, meter.durationMs / container.durationMs));
  }
  if (!meter) {
    throw new MediaError('ERR_MEDIA_EMPTY', { ...subject, expected: 'sound', got: 'no sample' });
  }
  return { ...meter.finish(), startMs: startMs ?? 0 };
}

/** Frames of any sample format -> one float32 array a channel. */
class PlanarReader implements Disposable {
  private resampler: SoftwareResampleContext | undefined;
  private key = '';
  private planes: Buffer[] = [];

  constructor(
    private readonly av: Av,
    private readonly subject: Subject,
  ) {}

  [Symbol.dispose](): void {
    this.resampler?.free();
  }

  weightsOf(frame: Frame): number[] {
    const { nbChannels, order, mask } = this.layoutOf(frame);
    if (order !== this.av.C.AV_CHANNEL_ORDER_NATIVE) return new Array(nbChannels).fill(1);
    const weights: number[] = [];
    for (let bit = 1n; weights.length < nbChannels && bit <= mask; bit <<= 1n) {
      if ((mask & bit) !== 0n) weights.push(bit === LFE ? 0 : (SURROUND & bit) !== 0n ? 1.41 : 1);
    }
    return weights;
  }

  /** Arrays valid until the next call. */
  read(frame: Frame): Float32Array[] {
    const { av } = this;
    const layout = this.layoutOf(frame);
    const key = `${frame.sampleRate} ${frame.format} ${layout.nbChannels} ${layout.mask}`;
    if (key !== this.key) {
      this.resampler?.free();
      this.resampler = new av.SoftwareResampleContext();
      const format = frame.format as Parameters<SoftwareResampleContext['allocSetOpts2']>[1];
      const rate = frame.sampleRate;
      this.must(this.resampler.allocSetOpts2(layout, av.C.AV_SAMPLE_FMT_FLTP, rate, layout, format, rate));
      this.must(this.resampler.init());
      this.key = key;
    }
    const count = frame.nbSamples;
    if (this.planes.length !== layout.nbChannels || this.planes[0]!.length < 4 * count) {
      this.planes = Array.from({ length: layout.nbChannels }, () => Buffer.from(new ArrayBuffer(4 * count)));
    }
    this.must(this.resampler!.convertSync(this.planes, count, frame.extendedData, count));
    return this.planes.map((plane) => new Float32Array(plane.buffer, plane.byteOffset, count));
  }

  private layoutOf(frame: Frame) {
    const given = frame.channelLayout;
    // A file that names no places means the usual ones for so many channels.
    return given.order === this.av.C.AV_CHANNEL_ORDER_UNSPEC
      ? this.av.avChannelLayoutDefault(given.nbChannels)
      : given;
  }

  private must(status: number): void {
    if (status < 0)
      throw damaged(this.subject, `sound that cannot be converted: ${this.av.FFmpegError.strerror(status)}`);
  }
}

interface Section {
  b: readonly [number, number, number];
  a: readonly [number, number];
}

/**
 * The two filters of ITU-R BS.1770-5 annex 1 (a shelf for the head, then a high pass) for any rate: the analogue
 * prototypes behind the table for 48 kHz, bilinearly transformed.
 */
export function kWeighting(sampleRate: number): [Section, Section] {
  const shelf = (() => {
    const k = Math.tan((Math.PI * 1681.974450955533) / sampleRate);
    const q = 0.7071752369554196;
    const high = 10 ** (3.999843853973347 / 20);
    const middle = high ** 0.4996667741545416;
    const a0 = 1 + k / q + k * k;
    return {
      b: [
        (high + (middle * k) / q + k * k) / a0,
        (2 * (k * k - high)) / a0,
        (high - (middle * k) / q + k * k) / a0,
      ],
      a: [(2 * (k * k - 1)) / a0, (1 - k / q + k * k) / a0],
    } as const;
  })();
  const k = Math.tan((Math.PI * 38.13547087602444) / sampleRate);
  const q = 0.5003270373238773;
  const a0 = 1 + k / q + k * k;
  const pass = { b: [1, -2, 1], a: [(2 * (k * k - 1)) / a0, (1 - k / q + k * k) / a0] } as const;
  return [shelf, pass];
}

class Meter {
  private readonly sections: [Section, Section];
  private readonly states: Float64Array[];
  private readonly energies: number[] = [];
  private energy = 0;
  private filled = 0;
  private samples = 0;
  private peak = 0;

  constructor(
    private readonly sampleRate: number,
    private readonly weights: readonly number[],
    private readonly subject: Subject,
    private readonly limits: MediaLimits,
  ) {
    this.sections = kWeighting(sampleRate);
    this.states = weights.map(() => new Float64Array(4));
  }

  get durationMs(): number {
    return (1000 * this.samples) / this.sampleRate;
  }

  add(channels: readonly Float32Array[], frame: Frame): void {
    if (frame.sampleRate !== this.sampleRate || channels.length !== this.weights.length) {
      throw damaged(this.subject, 'sound that changes its rate or channels in mid-stream');
    }
    const count = channels[0]!.length;
    for (let from = 0; from < count; ) {
      const due = this.blockEnd(this.energies.length + 1) - this.blockEnd(this.energies.length);
      const to = Math.min(count, from + due - this.filled);
      for (const [c, weight] of this.weights.entries()) {
        if (weight > 0) this.energy += weight * this.sumOfSquares(channels[c]!, from, to, this.states[c]!);
      }
      this.filled += to - from;
      from = to;
      if (this.filled < due) continue;
      this.energies.push(this.energy / due);
      this.energy = 0;
      this.filled = 0;
    }
    this.samples += count;
    checkLimit(this.subject, this.limits, 'maxDurationMs', this.durationMs);
  }

  finish(): Omit<LoudnessBlocks, 'startMs'> {
    if (!Number.isFinite(this.peak)) throw damaged(this.subject, 'a sample that is not a number');
    return {
      energies: Float64Array.from(this.energies),
      sampleRate: this.sampleRate,
      channels: this.weights.length,
      peak: this.peak,
      durationMs: this.durationMs,
    };
  }

  /** Sample at which block n begins: rates that ten does not divide have blocks of two lengths. */
  private blockEnd(n: number): number {
    return Math.round((n * this.sampleRate) / BLOCKS_PER_SECOND);
  }

  private sumOfSquares(samples: Float32Array, from: number, to: number, state: Float64Array): number {
    const [{ b, a }, { a: p }] = this.sections;
    const [b0, b1, b2] = b;
    const [a1, a2] = a;
    const [p1, p2] = p;
    let [s1, s2, t1, t2] = state as unknown as [number, number, number, number];
    let sum = 0;
    let { peak } = this;
    for (let i = from; i < to; i++) {
      const x = samples[i]!;
      const magnitude = Math.abs(x);
      if (!(magnitude <= peak)) peak = magnitude;
      const y = b0 * x + s1;
      s1 = b1 * x - a1 * y + s2;
      s2 = b2 * x - a2 * y;
      const z = y + t1;
      t1 = -2 * y - p1 * z + t2;
      t2 = y - p2 * z;
      sum += z * z;
    }
    state[0] = s1;
    state[1] = s2;
    state[2] = t1;
    state[3] = t2;
    this.peak = peak;
    return sum;
  }
}
