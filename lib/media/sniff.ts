/** The image formats that are decoded. SVG, PDF and the rest of what libvips could open never reach it. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff';

const AVIF_BRANDS = new Set(['avif', 'avis']);

/** Image format by the first bytes, whatever the file is called; undefined when it is none of ours. */
export function sniffImage(head: Uint8Array): ImageFormat | undefined {
  const ascii = (from: number, to: number) => String.fromCharCode(...head.subarray(from, to));
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return 'jpeg';
  if (ascii(0, 8) === '\x89PNG\r\n\x1a\n') return 'png';
  if (ascii(0, 4) === 'RIFF' && ascii(8, 12) === 'WEBP') return 'webp';
  if (ascii(0, 6) === 'GIF87a' || ascii(0, 6) === 'GIF89a') return 'gif';
  // TIFF (42) and BigTIFF (43), little and big endian
  if (/^(II[*+]\0|MM\0[*+])$/.test(ascii(0, 4))) return 'tiff';
  if (ascii(4, 8) === 'ftyp' && hasAvifBrand(head)) return 'avif';
  return undefined;
}

/** The `ftyp` box lists a major brand, a version and compatible brands, four bytes each. */
function hasAvifBrand(head: Uint8Array): boolean {
  if (head.length < 16) return false;
  const size = Math.min(new DataView(head.buffer, head.byteOffset).getUint32(0), head.length, 256);
  for (let at = 8; at + 4 <= size; at += 4) {
    if (at !== 12 && AVIF_BRANDS.has(String.fromCharCode(...head.subarray(at, at + 4)))) return true;
  }
  return false;
}
