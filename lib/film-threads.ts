/** The threads that a FilmEncoder works with. They start slowly, so a Predictor starts them before it reads its bundle. */
import type { Device } from './device.js';
import type { EncoderPool } from './encoders/pool.js';
import type { TextThread } from './text/text-thread.js';
import type { Trace } from './trace.js';

export interface FilmThreadOptions {
  /** Of the encoders. */
  threads?: number | undefined;
  encoderWorkers?: number | undefined;
  device?: Device | undefined;
  mixCalls?: boolean | undefined;
  trace?: Trace | undefined;
}

export interface FilmThreads {
  /** Holds no encoder yet. */
  pool: EncoderPool;
  text: TextThread;
}

/** @throws InputError ERR_INPUT_VALUE  as EncoderPool.create */
export async function startFilmThreads(options: FilmThreadOptions): Promise<FilmThreads> {
  const [{ EncoderPool }, { TextThread }] = await Promise.all([
    import('./encoders/pool.js'),
    import('./text/text-thread.js'),
  ]);
  const { threads, encoderWorkers: workers = 'auto', device = 'auto', mixCalls, trace } = options;
  const pool = EncoderPool.start({ threads, workers, device, mixCalls, trace });
  const text = new TextThread({ trace });
  text.start();
  return { pool, text };
}

export async function endFilmThreads({ pool, text }: FilmThreads): Promise<void> {
  await Promise.all([pool.dispose(), text.dispose()]);
}
