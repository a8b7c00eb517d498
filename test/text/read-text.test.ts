import { execFileSync } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { MAX_TEXT_BYTES, readText } from '../../lib/text/read-text.js';
import { throwsTyped } from '../errors.js';
import { temporaryDirectory } from '../tiny-bundle.js';

test('a text is itself; a file is read as UTF-8 without its byte-order mark', async (t) => {
  await using dir = await temporaryDirectory();
  const file = path.join(dir.path, 'a.txt');
  await writeFile(file, '\uFEFFDas Licht 灯塔');
  t.is(await readText('here', 'synopsis'), 'here');
  t.is(await readText({ path: file }, 'synopsis'), 'Das Licht 灯塔');
});

test('what is no text file is a typed error that names field and file', async (t) => {
  await using dir = await temporaryDirectory();
  const make = async (name: string, bytes: string | Uint8Array) => {
    await writeFile(path.join(dir.path, name), bytes);
    return path.join(dir.path, name);
  };
  const huge = await make('huge.txt', '');
  await truncate(huge, MAX_TEXT_BYTES + 1);
  const fifo = path.join(dir.path, 'fifo');
  execFileSync('mkfifo', [fifo]);
  for (const file of [
    dir.path,
    path.join(dir.path, 'none'),
    huge,
    fifo,
    await make('latin', Buffer.from([0x4c, 0xe9])),
  ]) {
    await throwsTyped(t, () => readText({ path: file }, 'script'), {
      code: 'ERR_INPUT_FILE',
      field: 'script',
      file,
    });
  }
  const empty = await make('empty', ' \n');
  await throwsTyped(t, () => readText({ path: empty }, 'script'), { code: 'ERR_INPUT_VALUE', file: empty });
});
