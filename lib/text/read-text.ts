import { open, stat } from 'node:fs/promises';
import { InputError } from '../errors.js';

/** Most characters (UTF-16 units) of a text: about 1,500 pages. */
export const MAX_TEXT_CHARACTERS = 4_000_000;
/** Most bytes of a text file that is handed in. */
export const MAX_TEXT_BYTES = 16 * 2 ** 20;

/**
 * The text itself, or the contents of the UTF-8 file it stands in (a byte-order mark is dropped).
 *
 * @param field  what to call it in errors, e.g. "synopsis"
 * @throws InputError ERR_INPUT_FILE   not there, not a regular file, over 16 MiB, not UTF-8
 * @throws InputError ERR_INPUT_VALUE  a file without words, or with more than 4,000,000 characters
 */
export async function readText(input: string | { path: string }, field: string): Promise<string> {
  if (typeof input === 'string') return input;
  const file = input.path;
  const fail = (expected: string, got: string, cause?: unknown) =>
    new InputError('ERR_INPUT_FILE', { field, file, expected, got, cause });
  const unreadable = (cause: NodeJS.ErrnoException) => {
    throw fail('a readable text file', cause.code === 'ENOENT' ? 'nothing there' : cause.message, cause);
  };
  // Before it is opened: opening a FIFO would wait for a writer.
  const info = await stat(file).catch(unreadable);
  if (!info.isFile()) throw fail('a regular file', info.isDirectory() ? 'a directory' : 'something else');
  const handle = await open(file, 'r').catch(unreadable);
  try {
    if (info.size > MAX_TEXT_BYTES) throw fail(`at most ${MAX_TEXT_BYTES} bytes`, `${info.size} bytes`);
    const bytes = await handle.readFile();
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (cause) {
      throw fail('text in UTF-8', 'bytes that are not UTF-8', cause);
    }
    if (text.trim() === '') {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        file,
        expected: 'a text that is not empty',
        got: 'a file without words',
      });
    }
    if (text.length > MAX_TEXT_CHARACTERS) {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        file,
        expected: `at most ${MAX_TEXT_CHARACTERS} characters`,
        got: `${text.length}`,
      });
    }
    return text;
  } finally {
    await handle.close();
  }
}
