/** Texts on the command line: which file is read as what. */
import { extname } from 'node:path';
import type { Option } from 'commander';
import { InputError } from '../errors.js';
import { MAX_TEXT_BYTES, readText } from '../text/read-text.js';
import type { TextModels } from '../text-models.js';
import { type Context, type PredictorFlags, predictorOptions } from './context.js';

/** Of the options of commands that load a bundle, those that texts need. */
export function textOptions(): Option[] {
  const wanted = ['bundle', 'threads', 'device'];
  return predictorOptions().filter((option) => wanted.includes(option.attributeName()));
}

export async function loadTextModels(
  { bundle, threads, device }: PredictorFlags,
  { signal }: Context,
): Promise<TextModels> {
  const { TextModels } = await import('../text-models.js');
  return TextModels.load({ bundle, threads, device, signal });
}

/** The text of a file, or of standard input for "-". @throws InputError as readText */
export async function readTextFile(file: string): Promise<string> {
  if (file !== '-') return readText({ path: file }, 'text');
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_TEXT_BYTES) {
      throw new InputError('ERR_INPUT_FILE', {
        field: 'standard input',
        expected: `at most ${MAX_TEXT_BYTES} bytes`,
        got: 'more',
      });
    }
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString('utf8');
  if (text.trim() === '') {
    throw new InputError('ERR_INPUT_EMPTY', { field: 'standard input', expected: 'a text', got: 'nothing' });
  }
  return text;
}

export function isSubtitleFile(file: string): boolean {
  return ['.srt', '.vtt'].includes(extname(file).toLowerCase());
}

/** What of a file's text is read: of a screenplay action and dialogue, of subtitles what is said, else all of it. */
export async function wordsOfFile(file: string): Promise<string> {
  const text = await readTextFile(file);
  if (isSubtitleFile(file)) {
    const { dialogueOf } = await import('../text/subtitles.js');
    return dialogueOf(text);
  }
  if (extname(file).toLowerCase() !== '.fountain') return text;
  const [{ readScreenplay }, { proseOf }] = await Promise.all([
    import('../text/scripts/screenplay.js'),
    import('../text/scripts/prose.js'),
  ]);
  return proseOf(await readScreenplay(text));
}
