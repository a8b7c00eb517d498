import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { damaged } from './container.js';
import type { Subject } from './limits.js';

/**
 * Throws when a file's own frame says it should be longer: FFmpeg takes the end of a cut Matroska, WAV or MP4 file for
 * the regular end of some of its tracks. (FLAC states its number of samples; in MP3, AAC and Ogg streams nothing tells.)
 * Blocks.
 *
 * @throws MediaError ERR_MEDIA_READ
 */
export function checkWhole(path: string, subject: Subject): void {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const declared = declaredSize((at, length) => {
      const piece = Buffer.alloc(length);
      return piece.subarray(0, readSync(file, piece, 0, length, at));
    }, size);
    if (declared > size) throw damaged(subject, `a file cut off after ${size} of ${declared} bytes`);
  } finally {
    closeSync(file);
  }
}

type Read = (at: number, length: number) => Buffer;

/** Bytes that the file should have by its outermost elements; 0 where they say nothing. */
function declaredSize(read: Read, size: number): number {
  const head = read(0, 256);
  if (head.length < 12) return 0;
  if (head.toString('latin1', 0, 4) === 'RIFF') {
    const length = head.readUInt32LE(4);
    // Writers to a pipe leave 0 or all ones; sloppy ones count the first 8 bytes as well.
    return length >= 0xffffff00 ? 0 : length;
  }
  if (head.readUInt32BE(0) === EBML) return matroskaSize(head) ?? 0;
  return boxesEnd(read, size);
}

/** What an MP4 or QuickTime file consists of. */
const BOXES = new Set(
  'ftyp styp moov moof mdat mfra free skip wide sidx ssix uuid meta udta pdin emsg prft pnot'.split(' '),
);

/** A day of one-second fragments has fewer; a file made of millions of empty boxes must not hold us up. */
const MAX_BOXES = 200_000;

/** Each box begins with its length (32 bits; 1: 64 bits follow the name; 0: up to the end of the file) and name. */
function boxesEnd(read: Read, size: number): number {
  let at = 0;
  for (let boxes = 0; at < size && boxes < MAX_BOXES; boxes++) {
    const head = read(at, 16);
    if (head.length < 8 || !BOXES.has(head.toString('latin1', 4, 8))) break;
    const short = head.readUInt32BE(0);
    if (short === 0) return size;
    const length = short === 1 && head.length === 16 ? Number(head.readBigUInt64BE(8)) : short;
    if (length < 8) break;
    at += length;
  }
  return at;
}

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const VOID = 0xec;

/** EBML header, perhaps padding, then the Segment that holds everything. */
function matroskaSize(head: Buffer): number | undefined {
  const header = variableInteger(head, 4);
  let at = header?.value === undefined ? head.length : header.end + header.value;
  while (at + 12 <= head.length) {
    if (head[at] === VOID) {
      const padding = variableInteger(head, at + 1);
      if (padding?.value === undefined) return undefined;
      at = padding.end + padding.value;
    } else {
      if (head.readUInt32BE(at) !== SEGMENT) return undefined;
      const segment = variableInteger(head, at + 4);
      return segment?.value === undefined ? undefined : segment.end + segment.value;
    }
  }
  return undefined;
}

/** EBML size: the first byte's leading zeros give the length. All value bits set means unknown. */
function variableInteger(bytes: Buffer, at: number): { value: number | undefined; end: number } | undefined {
  const first = bytes[at];
  if (first === undefined || first === 0) return undefined;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return undefined;
  let value = first & (0xff >> length);
  let unknown = value === 0xff >> length;
  for (let i = 1; i < length; i++) {
    value = value * 256 + bytes[at + i]!;
    unknown &&= bytes[at + i] === 0xff;
  }
  return { value: unknown ? undefined : value, end: at + length };
}
