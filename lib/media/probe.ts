import { MediaError } from '../errors.js';
import { Container } from './container.js';
import type { Job } from './job.js';
import { orientationOf, uprightSize } from './picture.js';
import type { Av } from './runtime.js';
import type { MediaInfo } from './types.js';

/**
 * What a video or sound file says it holds. Reads its header and the first packets; blocks.
 *
 * @throws MediaError ERR_MEDIA_FORMAT, ERR_MEDIA_READ, ERR_MEDIA_EMPTY (neither picture nor sound)
 */
export function probeContainer(av: Av, job: Job): MediaInfo {
  using container = Container.open(av, job.path, job.subject);
  const video = container.findTrack('video');
  const audio = container.findTrack('audio');
  if (!video && !audio) {
    throw new MediaError('ERR_MEDIA_EMPTY', {
      ...job.subject,
      expected: 'a video or sound track',
      got: `a file (${container.format}) without one`,
    });
  }
  const info: MediaInfo = { format: container.format.split(',')[0]!, durationMs: container.durationMs };
  if (video) {
    const { codecpar, avgFrameRate } = video.stream;
    const matrix = codecpar.getCodedSideData(av.C.AV_PKT_DATA_DISPLAYMATRIX);
    info.video = {
      codec: container.codecName(video.stream),
      ...uprightSize(codecpar.width, codecpar.height, orientationOf(matrix), undefined),
      frameRate: avgFrameRate.den > 0 ? avgFrameRate.num / avgFrameRate.den : 0,
    };
  }
  if (audio) {
    const { codecpar } = audio.stream;
    info.audio = {
      codec: container.codecName(audio.stream),
      sampleRate: codecpar.sampleRate,
      channels: codecpar.channels,
    };
  }
  return info;
}
