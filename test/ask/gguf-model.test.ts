/**
 * A language model of a GGUF file in this process: through the optional package node-llama-cpp, which is not installed
 * with the others. The small model writes nonsense about films, so it also shows that nonsense is not believed.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'ava';
import { checkGguf } from '../../lib/ask/gguf-file.js';
import { ggufModel, QuestionAnswerer } from '../../lib/ask/index.js';
import { throwsTyped } from '../errors.js';
import { temporaryDirectory } from '../tiny-bundle.js';
import { sharedPath, sharedTest } from '../shared.js';
import { exampleFilms } from './films.js';

function installed(): boolean {
  try {
    createRequire(import.meta.url).resolve('node-llama-cpp/package.json');
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED';
  }
}

const GGUF = 'models/llm/tiny-movie-llama/model-f16.gguf';
const file = sharedPath(GGUF);
const ready = installed() && existsSync(file);

test('no such file, or a folder', async (t) => {
  await throwsTyped(t, () => ggufModel('/none.gguf'), { code: 'ERR_MODEL_NOT_FOUND', file: '/none.gguf' });
  await throwsTyped(t, () => ggufModel('/'), { code: 'ERR_MODEL_NOT_FOUND' });
});

test('what is no whole GGUF model never reaches the loader', async (t) => {
  await using dir = await temporaryDirectory();
  const model = path.join(dir.path, 'model.gguf');
  const header = Buffer.alloc(24);
  header.write('GGUF');
  header.writeUInt32LE(3, 4);
  header.writeBigUInt64LE(1n, 8);
  const endless = Buffer.from(header);
  endless.writeBigUInt64LE(2n ** 63n, 16);
  for (const [bytes, got] of [
    ['', /ends too early/],
    ['GGUF and then nothing', /version/],
    ['<html>no such page</html>', /begin with GGUF/],
    [header, /ends too early/],
    [endless, /beyond its end/],
  ] as const) {
    await writeFile(model, bytes);
    await throwsTyped(t, () => ggufModel(model), { code: 'ERR_MODEL_LOAD', file: model, message: got });
  }
});

sharedTest('a real model cut off anywhere', [GGUF], async (t) => {
  await using dir = await temporaryDirectory();
  const model = path.join(dir.path, 'model.gguf');
  const whole = await readFile(file);
  await writeFile(model, whole);
  await t.notThrowsAsync(() => checkGguf(model));
  for (const share of [0.001, 0.01, 0.5]) {
    await writeFile(model, whole.subarray(0, Math.round(share * whole.length)));
    await throwsTyped(t, () => checkGguf(model), { code: 'ERR_MODEL_LOAD' });
  }
});

const needsFile = existsSync(file) && !installed();
(needsFile ? test : test.skip)('without node-llama-cpp the error says what to install', async (t) => {
  const error = await throwsTyped(t, () => ggufModel(file), { code: 'ERR_MODEL_RUNTIME' });
  t.regex(error.message, /npm install node-llama-cpp/);
});

const why = installed() ? '../shared has no GGUF model' : 'node-llama-cpp is not installed';
(ready ? test : test.skip)(
  ready ? 'a real model: what it makes up is refused, the record answers' : `a real model: SKIPPED, ${why}`,
  async (t) => {
    const languageModel = await ggufModel(file, { maxTokens: 60 });
    try {
      t.is(languageModel.name, 'model-f16.gguf');
      const [film] = await exampleFilms();
      await using answerer = await QuestionAnswerer.create([{ title: 'Sea', director: film!.director! }], {
        languageModel,
      });
      const answer = await answerer.ask('Who directed Sea?');
      t.is(answer.text, 'Maren Oyelund');
      t.false(answer.languageModel!.used);
      t.log(answer.languageModel!.reason);
      const complete = (signal?: AbortSignal) =>
        languageModel.complete([{ role: 'user', content: 'Movie: The Sea (1999)\nGenres:' }], {
          schema: { type: 'object', properties: { answer: { type: 'string' } } },
          signal,
        });
      t.deepEqual(
        await Promise.all([complete(), complete()]),
        Array(2).fill(await complete()),
        'one after the other',
      );
      await throwsTyped(t, () => complete(AbortSignal.abort()), { code: 'ERR_CANCELLED' });
    } finally {
      await languageModel.dispose?.();
    }
  },
);
