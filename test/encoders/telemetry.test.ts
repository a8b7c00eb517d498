/** Loading encoders leaves nothing in the temporary directory or the home, and reports to nobody. */
import { execFile } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { temporaryDirectory } from '../tiny-bundle.js';

test('ONNX Runtime keeps no records of its use', async (t) => {
  await using dir = await temporaryDirectory();
  const home = path.join(dir.path, 'home');
  const temporary = path.join(dir.path, 'tmp');
  await Promise.all([mkdir(home), mkdir(temporary)]);
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...env } = process.env;
  const index = new URL('../../lib/index.js', import.meta.url).href;
  await promisify(execFile)(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { Predictor } from '${index}';
       const predictor = await Predictor.load();
       await predictor.predict({ title: 'Sea', synopsis: 'A story of the sea and of a man.' });
       await predictor.dispose();`,
    ],
    { env: { ...env, HOME: home, TMPDIR: temporary } },
  );
  t.deepEqual(await readdir(temporary), []);
  t.deepEqual(await readdir(home), []);
});
