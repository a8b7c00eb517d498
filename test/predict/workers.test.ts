/** Predictors in worker threads, which are also ended in the middle of it: the process must live on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

/** @param loop  what each worker does, over and over, until it is terminated */
const program = (index: URL, ops: URL, bundle: string, loop: string) => `
  import { Worker } from 'node:worker_threads';
  const code = \`
    import { parentPort } from 'node:worker_threads';
    import { Predictor } from '${index.href}';
    import { activation } from '${ops.href}';
    const predictor = await Predictor.load(${JSON.stringify(bundle)});
    const x = new Float32Array(200_000).fill(0.5);
    parentPort.postMessage('running');
    for (;;) { ${loop} }\`;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(code, { eval: true });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await new Promise((resolve) => setTimeout(resolve, 20 + 13 * i));
    await worker.terminate();
  }
  console.log('alive');`;

for (const [what, loop] of [
  ['operators', `await Promise.all([1, 2, 3, 4].map(() => activation('gelu', x)));`],
  ['predictions', `await predictor.predict({ title: 'Sea', synopsis: 'A story of the sea.', runtime: 90 });`],
] as const) {
  test(`worker threads terminated amid ${what}`, async (t) => {
    await using dir = await temporaryDirectory();
    const at = (file: string) => new URL(`../../lib/${file}`, import.meta.url);
    const source = program(at('index.js'), at('ops/index.js'), await saveTiny(dir.path), loop);
    const child = spawn(process.execPath, ['--input-type=module', '-e', source]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
    const [code, signal] = await once(child, 'close');
    t.deepEqual([code, signal, output.trim()], [0, null, 'alive']);
  });
}
