import type { ChannelLayout, Frame, SoftwareResampleContext } from 'node-av/lib';
import { MediaError } from '../errors.js';
import { Container, damaged, type Track, TrackDecoder, ticks } from './container.js';
import type { Checkpoint, JobOf } from './job.js';
import { checkLimit, type MediaLimits, type Subject } from './limits.js';
import type { Av } from './runtime.js';
import type { DecodedAudio } from './types.js';

/**
 * Decodes a sound file or a video's sound track to mono at the wanted rate. Blocks: for a worker thread or child.
 *
 * Channels: stereo is averaged, surround is mixed by ITU-R BS.775 (LFE left out) and scaled to unit sum, channels
 * without a known place are averaged. Resampled by swresample (32-tap windowed sinc). Encoder delay and padding that
 * the file declares are left out, so n samples at rate r become ⌈n · sampleRate / r⌉. Values beyond [-1, 1] are clipped.
 *
 * @throws MediaError ERR_MEDIA_EMPTY (no sound), ERR_MEDIA_FORMAT, ERR_MEDIA_READ (damaged), ERR_MEDIA_LIMIT
 */
export function decodeAudio(av: Av, job: JobOf<'audio'>, checkpoint: Checkpoint): DecodedAudio {
  const { subject, limits, sampleRate, maxDurationMs } = job;
  const maxSamples = maxDurationMs === undefined ? Infinity : Math.ceil((maxDurationMs * sampleRate) / 1000);
  using container = Container.open(av, job.path, subject);
  const track = container.selectTrack('audio');
  using decoder = new TrackDecoder(av, track, subject, limits, 1);
  using collector = new SampleCollector(av, sampleRate, maxSamples, subject, limits);
  let startMs: number | undefined;
  for (const frame of audioFrames(av, container, track, decoder, subject, checkpoint)) {
    startMs ??= Math.max(0, track.toMs(ticks(frame.pts) ?? 0) - container.startMs);
    collector.add(frame);
    if (collector.full) break;
  }
  // A FLAC file says how many samples it has; one that was cut between two packets has fewer.
  const declaredMs = container.format === 'flac' ? container.durationMs : 0;
  if (!collector.full && collector.durationMs < declaredMs - 1) {
    throw damaged(subject, `sound that ends after ${collector.durationMs} of ${declaredMs} ms`);
  }
  const samples = collector.finish();
  return { samples, sampleRate, durationMs: (1000 * samples.length) / sampleRate, startMs: startMs ?? 0 };
}

/** All frames of a track, the decoder drained at the end. A yielded frame is valid until the next. */
export function* audioFrames(
  av: Av,
  container: Container,
  track: Track,
  decoder: TrackDecoder,
  subject: Subject,
  checkpoint: Checkpoint,
): Generator<Frame> {
  using packet = new av.Packet();
  packet.alloc();
  using frame = new av.Frame();
  frame.alloc();
  // Streams without a container have odd bytes at their ends and joints, which every player skips.
  const lenient = container.format === 'mp3' || container.format === 'aac';
  let packets = 0;
  let broken = 0;
  for (let more = true; more; packets++) {
    checkpoint();
    more = container.readPacket(track, packet);
    if (!decoder.send(more ? packet : null, lenient)) broken++;
    while (decoder.receive(frame) === 'frame') {
      yield frame;
      frame.unref();
    }
  }
  if (broken > Math.max(2, packets / 100)) {
    throw damaged(subject, `${broken} of ${packets} packets that cannot be decoded`);
  }
}

/** Length of swresample's filter, in samples of the lower rate. */
const FILTER_TAPS = 32;

interface Stage {
  resampler: SoftwareResampleContext;
  rate: number;
  /** Samples put in so far. */
  taken: number;
  key: string;
}

/** Frames of any layout and rate -> one array of mono samples. */
class SampleCollector implements Disposable {
  private stage: Stage | undefined;
  private samples = new Float32Array(65536);
  private filled = 0;
  /** Samples due by now, as a real number: each stretch of input adds n · sampleRate / rate. */
  private due = 0;

  constructor(
    private readonly av: Av,
    private readonly sampleRate: number,
    private readonly maxSamples: number,
    private readonly subject: Subject,
    private readonly limits: MediaLimits,
  ) {}

  [Symbol.dispose](): void {
    this.stage?.resampler.free();
  }

  /** Of the sound taken so far. */
  get durationMs(): number {
    return (1000 * this.due) / this.sampleRate;
  }

  get full(): boolean {
    return this.filled >= this.maxSamples;
  }

  add(frame: Frame): void {
    if (frame.nbSamples === 0) return;
    const { nbChannels, order, mask } = frame.channelLayout;
    const key = `${frame.sampleRate} ${frame.format} ${nbChannels} ${order} ${mask}`;
    if (this.stage?.key !== key) {
      this.flush();
      this.stage = { resampler: this.newResampler(frame), rate: frame.sampleRate, taken: 0, key };
    }
    this.due += (frame.nbSamples * this.sampleRate) / frame.sampleRate;
    const durationMs = Math.min(this.due, this.maxSamples) * (1000 / this.sampleRate);
    checkLimit(this.subject, this.limits, 'maxDurationMs', durationMs);
    checkLimit(this.subject, this.limits, 'maxDecodedBytes', 4 * Math.min(this.due, this.maxSamples));
    this.stage.taken += frame.nbSamples;
    this.convert(this.stage.resampler, frame);
  }

  /** @throws MediaError ERR_MEDIA_EMPTY when no sample came, ERR_MEDIA_READ for samples that are not numbers */
  finish(): Float32Array {
    this.flush();
    // A file's length in samples is exact; the resampler's tail can be off by one.
    const length = Math.min(Math.ceil(this.due - 1e-6), this.maxSamples);
    if (length === 0) {
      throw new MediaError('ERR_MEDIA_EMPTY', { ...this.subject, expected: 'sound', got: 'no sample' });
    }
    const samples = new Float32Array(length);
    samples.set(this.samples.subarray(0, Math.min(this.filled, length)));
    for (let i = 0; i < length; i++) {
      const sample = samples[i]!;
      if (sample >= -1 && sample <= 1) continue;
      if (Number.isNaN(sample))
        throw damaged(this.subject, `a sample that is not a number, at ${i / this.sampleRate} s`);
      samples[i] = sample < 0 ? -1 : 1;
    }
    return samples;
  }

  private newResampler(frame: Frame): SoftwareResampleContext {
    const { av } = this;
    const { C } = av;
    const resampler = new av.SoftwareResampleContext();
    const mono: ChannelLayout = { nbChannels: 1, order: C.AV_CHANNEL_ORDER_NATIVE, mask: 4n };
    // A file that names no places means the usual ones for so many channels, where there are such.
    const given = frame.channelLayout;
    const layout =
      given.order === C.AV_CHANNEL_ORDER_UNSPEC ? av.avChannelLayoutDefault(given.nbChannels) : given;
    const known = layout.order === C.AV_CHANNEL_ORDER_NATIVE;
    const format = frame.format as Parameters<SoftwareResampleContext['allocSetOpts2']>[1];
    this.must(
      resampler.allocSetOpts2(mono, C.AV_SAMPLE_FMT_FLT, this.sampleRate, layout, format, frame.sampleRate),
    );
    resampler.setOption('rematrix_maxval', 1); // unit sum, so that a mix never clips
    if (!known) {
      this.must(
        resampler.setMatrix(new Array(layout.nbChannels).fill(1 / layout.nbChannels), layout.nbChannels),
      );
    }
    this.must(resampler.init());
    return resampler;
  }

  private flush(): void {
    if (!this.stage) return;
    const { resampler, rate, taken } = this.stage;
    // Sound shorter than its filter never leaves swresample; silence behind it pushes it out.
    const enough = 4 * FILTER_TAPS * Math.ceil(Math.max(1, rate / this.sampleRate));
    if (rate !== this.sampleRate && taken < enough) this.must(resampler.injectSilence(enough));
    this.convert(resampler, null);
    resampler.free();
    this.stage = undefined;
  }

  /** Resamples a frame, or with null what the resampler still holds, into `samples`. */
  private convert(resampler: SoftwareResampleContext, frame: Frame | null): void {
    const count = frame?.nbSamples ?? 0;
    for (;;) {
      const room = Math.max(256, resampler.getOutSamples(count));
      this.reserve(room);
      const target = Buffer.from(this.samples.buffer, 4 * this.filled, 4 * room);
      const got = resampler.convertSync([target], room, frame?.extendedData ?? null, count);
      this.must(got);
      this.filled += got;
      if (frame || got === 0) return;
    }
  }

  private reserve(room: number): void {
    if (this.filled + room <= this.samples.length) return;
    const larger = new Float32Array(2 * (this.filled + room));
    larger.set(this.samples.subarray(0, this.filled));
    this.samples = larger;
  }

  private must(status: number): void {
    if (status < 0)
      throw damaged(this.subject, `sound that cannot be converted: ${this.av.FFmpegError.strerror(status)}`);
  }
}
