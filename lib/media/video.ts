import { MediaError } from '../errors.js';
import { Container, TrackDecoder } from './container.js';
import { FrameReader } from './frame-reader.js';
import type { Checkpoint, JobOf } from './job.js';
import { checkLimit } from './limits.js';
import { orientationOf, PictureConverter, uprightSize } from './picture.js';
import type { Av } from './runtime.js';
import { frameRateOf, readTimeline, targetTimes } from './timeline.js';
import type { DecodedVideo, VideoFrame } from './types.js';

/**
 * Takes the wanted pictures of a video. Blocks: for a worker thread or child process.
 *
 * The file's packets are read once for their time stamps; then only the stretches from a key picture to a wanted one
 * are decoded. Which pictures come out does not depend on where decoding starts.
 *
 * @throws MediaError ERR_MEDIA_EMPTY (no video), ERR_MEDIA_FORMAT, ERR_MEDIA_READ (damaged, cut off), ERR_MEDIA_LIMIT
 */
export function decodeVideo(av: Av, job: JobOf<'video'>, checkpoint: Checkpoint): DecodedVideo {
  const { subject, limits, sampling, maxSide } = job;
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
  const targets = targetTimes(timeline, track, sampling);

  const { codecpar } = track.stream;
  const orientation = orientationOf(codecpar.getCodedSideData(av.C.AV_PKT_DATA_DISPLAYMATRIX));
  const size = uprightSize(codecpar.width, codecpar.height, orientation, maxSide);
  const bytesEach = 1.5 * size.width * size.height;
  checkLimit(subject, limits, 'maxDecodedBytes', bytesEach * Math.min(targets.length, timeline.shown.length));

  using converter = new PictureConverter(av, track, orientation, maxSide, subject);
  using reader = new FrameReader(container, track, decoder, timeline, subject, checkpoint);
  const frames: VideoFrame[] = [];
  let bytes = 0;
  for (const { frame, time } of reader.at(targets)) {
    const picture = converter.convert(frame);
    bytes += picture.data.length;
    checkLimit(subject, limits, 'maxDecodedBytes', bytes);
    frames.push({ ...picture, timestampMs: track.toMs(time) - container.startMs });
  }
  const { width, height } = frames[0]!;
  return {
    frames,
    durationMs: track.toMs(timeline.end) - container.startMs,
    width,
    height,
    frameRate: frameRateOf(timeline, track),
  };
}
