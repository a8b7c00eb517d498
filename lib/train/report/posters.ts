/** Small pictures of films, to stand in a page that needs no other file. */
import { open } from 'node:fs/promises';
import { decodeImage } from '../../media/image.js';
import { resolveLimits } from '../../media/limits.js';

const HEIGHT = 132;
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * A picture's file as a JPEG of 132 pixels in height, in a data URI; undefined where it cannot be read or decoded: a
 * report does without it.
 */
export async function posterUri(file: string): Promise<string | undefined> {
  try {
    const { default: sharp } = await import('sharp');
    const rgb = await decodeImage(await bytesOf(file), { field: 'poster', file }, resolveLimits());
    const jpeg = await sharp(rgb.data, { raw: { width: rgb.width, height: rgb.height, channels: 3 } })
      .resize({ height: HEIGHT, width: HEIGHT, fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: 78 })
      .toBuffer();
    return `data:image/jpeg;base64,${jpeg.toString('base64')}`;
  } catch {
    return undefined;
  }
}

async function bytesOf(file: string): Promise<Uint8Array> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size > MAX_BYTES) throw new RangeError(`${size} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
