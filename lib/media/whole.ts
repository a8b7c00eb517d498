import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { damaged } from './container.js';
import type { Subject } from './limits.js';

/**
 * Throws when a file's own frame says it should be longer: FFmpeg takes the end of a cut Matroska or WAV file for its
 * regular end. (It notices a cut MP4 or FLAC itself; in MP3, AAC and Ogg streams nothing tells.) Blocks.
 *
 * @throws MediaError ERR_MEDIA_READ
 */
export function checkWhole(path: string, subject: Subject): void {
  const head = Buffer.alloc(256);
  const file = openSync(path, 'r');
  let size: number;
  let read: number;
  try {
    size = fstatSync(file).size;
    read = readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  const declared = declaredSize(head.subarray(0, read));
  if (declared !== undefined && declared > size) {
    throw damaged(subject, `a file cut off after ${size} of ${declared} bytes`);
  }
}

/** Bytes that the file should have by its outermost element; undefined where that says nothing. */
export function declaredSize(head: Buffer): number | undefined {
  if (head.length >= 12 && head.toString('latin1', 0, 4) === 'RIFF') {
    const size = head.readUInt32LE(4);
    // Writers to a pipe leave 0 or all ones; sloppy ones count the first 8 bytes as well.
    return size === 0 || size >= 0xffffff00 ? undefined : size;
  }
  if (head.length >= 12 && head.readUInt32BE(0) === EBML) return matroskaSize(head);
  return undefined;
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
