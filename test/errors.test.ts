/** The table of codes, its documentation, the classes and the native addon name the same set. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import * as errors from '../lib/errors.js';
import { CancelledError, CinefuseError, ERROR_CODES, type ErrorCode, errorFromCode } from '../lib/errors.js';
import { native, packageRoot } from '../lib/native.js';

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

function documented(): string[][] {
  const text = readFileSync(path.join(packageRoot(), 'docs', 'errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(ERR_[A-Z_]+)` \|(.*)\|$/gm)];
  return rows.map(([, code, rest]) => [code as string, ...(rest as string).split('|').map((c) => c.trim())]);
}

function compiledFiles(): string[] {
  const lib = path.join(packageRoot(), 'dist', 'lib');
  return readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .map((file) => path.join(lib, file));
}

test('docs/errors.md has one row for each code, in the order of the table, with its class', (t) => {
  const rows = documented();
  t.deepEqual(
    rows.map(([code]) => code),
    CODES,
  );
  for (const [code, name] of rows) t.is(name, ERROR_CODES[code as ErrorCode], code);
});

test('every row says what the code means, what causes it and what to do', (t) => {
  for (const [code, , ...cells] of documented()) {
    t.is(cells.length, 3, code);
    for (const cell of cells) t.true(cell.length >= 8, `${code}: ${JSON.stringify(cell)}`);
  }
});

test('native code knows no code that the table lacks', (t) => {
  const { errorCodes } = native().info();
  t.true(errorCodes.length > 0);
  t.is(new Set(errorCodes).size, errorCodes.length);
  for (const code of errorCodes) t.true(Object.hasOwn(ERROR_CODES, code), code);
});

test('every code makes an error of its class, with all details and a message', (t) => {
  const classes = errors as unknown as Record<string, new () => Error>;
  for (const code of CODES) {
    const error = errorFromCode(code, { field: 'poster', file: 'a.jpg', expected: 'an image', got: 'text' });
    const Class = classes[ERROR_CODES[code]];
    t.truthy(Class, `${ERROR_CODES[code]} is exported`);
    t.true(error instanceof (Class as new () => Error), code);
    t.true(error instanceof CinefuseError && error instanceof Error, code);
    t.like(error, { code, field: 'poster', file: 'a.jpg', expected: 'an image', got: 'text' });
    t.is(error.name, code === 'ERR_CANCELLED' ? 'AbortError' : ERROR_CODES[code]);
    t.deepEqual(JSON.parse(JSON.stringify(error)), {
      name: error.name,
      code,
      message: error.message,
      field: 'poster',
      file: 'a.jpg',
    });
  }
});

test('a message is composed of what was expected, where, and what came', (t) => {
  const { message } = errorFromCode('ERR_MEDIA_FORMAT', {
    field: 'poster',
    file: 'a.jpg',
    expected: 'a JPEG image',
    got: 'a PDF',
  });
  t.is(message, 'Expected a JPEG image for poster (a.jpg), received a PDF');
  t.is(new CancelledError({ cause: 'why' }).cause, 'why');
});

test('every code that the sources throw is in the table, and none is there that nothing throws', (t) => {
  // Read from the compiled library, which is what runs; native codes count as thrown.
  const used = new Set<string>(native().info().errorCodes);
  for (const file of compiledFiles()) {
    if (file.endsWith(`${path.sep}errors.js`)) continue;
    const text = readFileSync(file, 'utf8');
    for (const [, code] of text.matchAll(
      /'(ERR_(?:INPUT|MEDIA|MODEL|BUNDLE|NATIVE|DATA|TRAIN)_[A-Z_]+|ERR_[A-Z]+)'/g,
    ))
      used.add(code as string);
  }
  for (const code of used) t.true(Object.hasOwn(ERROR_CODES, code), `${code} is not in the table`);
  for (const code of CODES) t.true(used.has(code), `${code} is thrown nowhere`);
});
