import { MediaError } from '../errors.js';
import type { Subject } from './limits.js';

type Lib = typeof import('node-av/lib');
type Constants = typeof import('node-av/constants');

/** FFmpeg, as node-av binds it: the classes, and `C` for the constants. */
export type Av = Lib & { C: Constants };

let loading: Promise<Av> | undefined;

/**
 * node-av's low-level synchronous calls, on first use. Only ever called in a worker thread or child process: they block.
 * (Its high-level API needs Promise.withResolvers, which Node 20 lacks, and then silently yields no frames.)
 *
 * @throws MediaError ERR_MEDIA_RUNTIME when the optional dependency is missing
 */
export async function loadAv(subject: Subject): Promise<Av> {
  loading ??= load();
  try {
    return await loading;
  } catch (cause) {
    throw new MediaError('ERR_MEDIA_RUNTIME', {
      ...subject,
      message:
        `The video and sound decoder "node-av", needed for ${subject.field}, could not be loaded. ` +
        'Run: SKIP_FFMPEG=true npm install node-av@6 --include=optional',
      cause,
    });
  }
}

async function load(): Promise<Av> {
  const [lib, C] = await Promise.all([import('node-av/lib'), import('node-av/constants')]);
  lib.Log.setLevel(C.AV_LOG_QUIET); // failures come back as codes; nothing of ours is printed
  return { ...lib, C };
}
