import { MediaError } from '../errors.js';
import { Container, type Track, TrackDecoder } from './container.js';
import { FrameReader } from './frame-reader.js';
import type { Checkpoint, JobOf } from './job.js';
import { checkLimit } from './limits.js';
import { type Orientation, orientationOf, PictureConverter, uprightSize } from './picture.js';
import type { Av } from './runtime.js';
import { frameRateOf, readTimeline, type Timeline, targetTimes } from './timeline.js';
import type { DecodedVideo, VideoFrame } from './types.js';

/** A video ready to be decoded. */
export interface OpenVideo {
  track: Track;
  timeline: Timeline;
  reader: FrameReader;
  orientation: Orientation;
  /** Of the upright pictures in the file. */
  width: number;
  height: number;
  frameRate: number;
  durationMs: number;
  /** Clip time zero, in ms on the file's own clock. */
  clipStartMs: number;
}

/**
 * Opens a video for `body` and closes it. The file's packets are read once for their time stamps. Blocks.
 *
 * @throws MediaError ERR_MEDIA_EMPTY (no video), ERR_MEDIA_FORMAT, ERR_MEDIA_READ (damaged, cut off), ERR_MEDIA_LIMIT
 */
export function withVideo<T>(
  av: Av,
  job: JobOf<'video'> | JobOf<'scan'>,
  checkpoint: Checkpoint,
  body: (video: OpenVideo) => T,
): T {
  const { subject, limits } = job;
  using edited = Container.open(av, job.path, subject);
  const timelineOf = (container: Container) => readTimeline(container, subject, limits, checkpoint);
  let timeline = timelineOf(edited);
  // Some writers give the last picture, or the only one, no duration; their edit list then cuts everything away.
  using unedited = timeline.shown.length === 0 ? edited.reopen(false) : null;
  if (unedited) timeline = timelineOf(unedited);
  if (timeline.shown.length === 0) {
    throw new MediaError('ERR_MEDIA_EMPTY', { ...subject, expected: 'a video with pictures', got: 'none' });
  }
  const container = unedited ?? edited;
  const track = container.selectTrack('video');
  using decoder = new TrackDecoder(av, track, subject, limits, job.threads);
  const { codecpar } = track.stream;
  const orientation = orientationOf(codecpar.getCodedSideData(av.C.AV_PKT_DATA_DISPLAYMATRIX));
  using reader = new FrameReader(container, track, decoder, timeline, subject, checkpoint);
  return body({
    track,
    timeline,
    reader,
    orientation,
    ...uprightSize(codecpar.width, codecpar.height, orientation, undefined),
    frameRate: frameRateOf(timeline, track),
    durationMs: track.toMs(timeline.end) - container.startMs,
    clipStartMs: container.startMs,
  });
}

/**
 * Takes the wanted pictures of a video. Blocks: for a worker thread or child process.
 *
 * Only the stretches from a key picture to a wanted one are decoded. Which pictures come out does not depend on where
 * decoding starts.
 *
 * @throws as withVideo
 */
export function decodeVideo(av: Av, job: JobOf<'video'>, checkpoint: Checkpoint): DecodedVideo {
  const { subject, limits, sampling, maxSide } = job;
  return withVideo(av, job, checkpoint, ({ track, timeline, reader, orientation, clipStartMs, ...video }) => {
    const targets = targetTimes(timeline, track, sampling, clipStartMs);
    const { codecpar } = track.stream;
    const size = uprightSize(codecpar.width, codecpar.height, orientation, maxSide);
    const bytesEach = 1.5 * size.width * size.height;
    checkLimit(
      subject,
      limits,
      'maxDecodedBytes',
      bytesEach * Math.min(targets.length, timeline.shown.length),
    );

    using converter = new PictureConverter(av, track, orientation, maxSide, subject);
    const frames: VideoFrame[] = [];
    let bytes = 0;
    for (const { frame, time } of reader.at(targets)) {
      const picture = converter.convert(frame);
      bytes += picture.data.length;
      checkLimit(subject, limits, 'maxDecodedBytes', bytes);
      frames.push({ ...picture, timestampMs: track.toMs(time) - clipStartMs });
    }
    const { width, height } = frames[0]!;
    return { frames, durationMs: video.durationMs, width, height, frameRate: video.frameRate };
  });
}
