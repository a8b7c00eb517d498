/** A file is there whole or not at all. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { writeWhole } from '../lib/write-whole.js';
import { throwsTyped } from './errors.js';
import { temporaryDirectory } from './tiny-bundle.js';

test('a text, bytes, parts; over what was there; several at once', async (t) => {
  await using dir = await temporaryDirectory();
  const file = path.join(dir.path, 'new', 'file');
  await t.throwsAsync(() => writeWhole(file, 'x'), { code: 'ENOENT' });
  t.is(await writeWhole(file, 'né', { createFolder: true }), 3);
  t.is(await writeWhole(file, new Uint8Array([1, 2])), 2);
  const part = new Uint8Array(400_000).fill(7);
  t.is(await writeWhole(file, Array<Uint8Array>(6).fill(part)), 2_400_000);
  t.true((await readFile(file)).every((byte) => byte === 7));
  t.is(await writeWhole(file, ''), 0);
  await Promise.all(Array.from({ length: 8 }, (_, i) => writeWhole(file, String(i).repeat(9))));
  t.regex(await readFile(file, 'utf8'), /^(\d)\1{8}$/);
  t.deepEqual(await readdir(path.dirname(file)), ['file'], 'no draft is left');
});

test('parts that throw, a call that is cancelled, a folder in the way: the old file stays, and no draft', async (t) => {
  await using dir = await temporaryDirectory();
  const file = path.join(dir.path, 'file');
  await writeFile(file, 'old');
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(2 ** 21);
    throw new Error('the source is broken');
  }
  await t.throwsAsync(() => writeWhole(file, broken()), { message: 'the source is broken' });
  const signal = AbortSignal.abort();
  await throwsTyped(t, () => writeWhole(file, 'new', { signal }), { code: 'ERR_CANCELLED' });
  t.is(await readFile(file, 'utf8'), 'old');
  const folder = path.join(dir.path, 'folder');
  await mkdir(path.join(folder, 'inner'), { recursive: true });
  await t.throwsAsync(() => writeWhole(folder, 'new'));
  t.deepEqual((await readdir(dir.path)).sort(), ['file', 'folder']);
});
