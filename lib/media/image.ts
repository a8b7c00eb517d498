import { setImmediate } from 'node:timers/promises';
import { MediaError } from '../errors.js';
import { checkLimit, type MediaLimits, type Subject } from './limits.js';
import { sniffImage } from './sniff.js';
import type { MediaInfo, RgbImage } from './types.js';

type Sharp = typeof import('sharp').default;

/** sharp, on first use only: `import 'cinefuse'` must not load it. */
async function loadSharp(subject: Subject): Promise<Sharp> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new MediaError('ERR_MEDIA_RUNTIME', {
      ...subject,
      message:
        `The image decoder "sharp", needed for ${subject.field}, could not be loaded. ` +
        'Run: npm install sharp --include=optional',
      cause,
    });
  }
}

/**
 * Decodes an image to upright 8-bit sRGB, alpha laid over white, first picture of an animation.
 *
 * Runs on sharp's own threads. EXIF orientation is applied; embedded ICC profiles, CMYK, gray and 16-bit samples are
 * converted to sRGB.
 *
 * @throws MediaError ERR_MEDIA_EMPTY, ERR_MEDIA_FORMAT, ERR_MEDIA_READ (damaged or cut off), ERR_MEDIA_LIMIT
 *   (maxImagePixels, maxDecodedBytes), ERR_MEDIA_RUNTIME
 */
export async function decodeImage(
  bytes: Uint8Array,
  subject: Subject,
  limits: MediaLimits,
): Promise<RgbImage> {
  const { pipeline } = await openImage(bytes, subject, limits);
  try {
    const { data, info } = await pipeline
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { data: await toRgb(data, width, height, channels), width, height };
  } catch (cause) {
    throw readError(subject, cause);
  }
}

/** Format and upright size, from the header alone. Errors as decodeImage. */
export async function probeImage(
  bytes: Uint8Array,
  subject: Subject,
  limits: MediaLimits,
): Promise<MediaInfo> {
  const { format, width, height } = await openImage(bytes, subject, limits);
  return { format, image: { width, height } };
}

async function openImage(bytes: Uint8Array, subject: Subject, limits: MediaLimits) {
  if (bytes.length === 0) throw emptyError(subject);
  const format = sniffImage(bytes);
  if (!format) throw formatError(subject, describeHead(bytes));
  const sharp = await loadSharp(subject);
  const pipeline = sharp(bytes, {
    failOn: 'error',
    limitInputPixels: false, // checked below, so that the message names our limit
    sequentialRead: true,
    pages: 1,
  }).timeout({ seconds: Math.min(3600, Math.ceil(limits.timeoutMs / 1000)) });
  const {
    width,
    height,
    orientation = 1,
  } = await pipeline.metadata().catch((cause: unknown) => {
    throw readError(subject, cause);
  });
  checkLimit(subject, limits, 'maxImagePixels', width * height, `an image of ${width} x ${height}`);
  checkLimit(subject, limits, 'maxDecodedBytes', 3 * width * height);
  const turned = orientation >= 5;
  return { pipeline, format, width: turned ? height : width, height: turned ? width : height };
}

function emptyError(subject: Subject): MediaError {
  return new MediaError('ERR_MEDIA_EMPTY', { ...subject, expected: 'an image', got: '0 bytes' });
}

function formatError(subject: Subject, got: string): MediaError {
  return new MediaError('ERR_MEDIA_FORMAT', {
    ...subject,
    expected: 'a JPEG, PNG, WebP, GIF, AVIF or TIFF image',
    got,
  });
}

function readError(subject: Subject, cause: unknown): MediaError {
  const reason = cause instanceof Error ? cause.message.trim().split('\n')[0] : String(cause);
  return /timeout/i.test(reason ?? '')
    ? new MediaError('ERR_MEDIA_TIMEOUT', {
        ...subject,
        expected: 'an image decoded in time',
        got: reason,
        cause,
      })
    : new MediaError('ERR_MEDIA_READ', {
        ...subject,
        expected: 'a whole image',
        got: `a damaged one: ${reason}`,
        cause,
      });
}

/** Printable start of the file, to tell the user what it is instead. */
function describeHead(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 16));
  const text = head.toString('latin1');
  return /^[\x20-\x7e\r\n\t]+$/.test(text)
    ? `a file that begins with ${JSON.stringify(text)}`
    : `a file that begins with the bytes ${head.toString('hex').replace(/(..)(?=.)/g, '$1 ')}`;
}

const CHUNK_PIXELS = 2 ** 21;

/**
 * Three channels: sharp leaves gray images with one. What has three is left in sharp's memory, which cannot be
 * transferred to a thread: a copy would cost a sixth of the decoding, most of it for fresh pages. In steps, so that a
 * huge image does not hold the event loop.
 */
async function toRgb(data: Buffer, width: number, height: number, channels: number): Promise<Uint8Array> {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const pixels = width * height;
  const rgb = new Uint8Array(3 * pixels);
  for (let from = 0; from < pixels; from += CHUNK_PIXELS) {
    const to = Math.min(pixels, from + CHUNK_PIXELS);
    for (let i = from; i < to; i++) rgb.fill(data[i * channels]!, 3 * i, 3 * i + 3);
    if (to < pixels) await setImmediate();
  }
  return rgb;
}
