import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { EncoderPool, type PoolOptions } from '../../lib/encoders/pool.js';
import type { Tensor } from '../../lib/encoders/tensor.js';
import { BackendError, CinefuseError, DisposedError, InputError, ModelError } from '../../lib/errors.js';
import { externalTensor, model, node, tensor, value } from '../onnx.js';
import { digest, imageModel, imageTensor, place, slowGraph, temporaryDirectory } from './fixtures.js';

const cores = availableParallelism();
const doubled = (batch: number, start = 0) =>
  Float32Array.from({ length: batch * 12 }, (_, i) => 2 * (start + i));

/** A pool of one tiny image encoder, or of what `change` makes of it. */
async function tinyPool(
  options: PoolOptions & { model?: Parameters<typeof imageModel>[1] } = {},
): Promise<EncoderPool> {
  const { model: modelOptions, ...poolOptions } = options;
  const directory = await temporaryDirectory();
  return EncoderPool.create([await imageModel(directory, modelOptions)], poolOptions);
}

test('runs a graph and gives its outputs by name', async (t) => {
  await using pool = await tinyPool();
  const { features } = await pool.run('tiny-image', { image: imageTensor(3) });
  t.deepEqual(features, { type: 'float32', dims: [3, 12], data: doubled(3) });
});

test('says what it loaded and where it runs', async (t) => {
  await using pool = await tinyPool();
  const description = pool.describe();
  t.is(description.workers, 1);
  t.is(description.threads, cores);
  t.regex(description.runtime, /^onnxruntime-node \d/);
  t.like(description.encoders[0], {
    name: 'tiny-image',
    device: 'cpu',
    dim: 12,
    inputs: [{ name: 'image', type: 'float32', shape: ['batch', 3, 2, 2] }],
    outputs: [{ name: 'features', type: 'float32', shape: ['batch', 12] }],
  });
});

test('moves whole buffers, keeps them when asked, and copies parts and shared memory', async (t) => {
  await using pool = await tinyPool();
  const moved = imageTensor(1);
  await pool.run('tiny-image', { image: moved });
  t.is(moved.data.length, 0);

  const kept = imageTensor(1);
  const promise = pool.run('tiny-image', { image: kept }, { keepInputs: true });
  kept.data.fill(0); // the copy was taken before run() returned
  t.deepEqual((await promise).features!.data, doubled(1));
  t.is(kept.data.length, 12);

  const whole = Float32Array.from({ length: 20 }, (_, i) => i);
  const part = { type: 'float32' as const, dims: [1, 3, 2, 2], data: whole.subarray(3, 15) };
  t.deepEqual((await pool.run('tiny-image', { image: part })).features!.data, doubled(1, 3));
  t.is(whole.length, 20);

  const shared = new Float32Array(new SharedArrayBuffer(48));
  shared.set(imageTensor(1, 5).data);
  const fromShared = await pool.run('tiny-image', {
    image: { type: 'float32', dims: [1, 3, 2, 2], data: shared },
  });
  t.deepEqual(fromShared.features!.data, doubled(1, 5));
  t.is(shared[0], 5);
});

test('every tensor type goes in and comes out', async (t) => {
  const cases: [Tensor, 'float16' | 'double' | 'int8' | 'uint8' | 'int32' | 'int64' | 'bool'][] = [
    [{ type: 'float16', dims: [2], data: Uint16Array.of(0x3c00, 0xc000) }, 'float16'],
    [{ type: 'float64', dims: [2], data: Float64Array.of(1e-300, -2) }, 'double'],
    [{ type: 'int8', dims: [2], data: Int8Array.of(-128, 127) }, 'int8'],
    [{ type: 'uint8', dims: [2], data: Uint8Array.of(0, 255) }, 'uint8'],
    [{ type: 'int32', dims: [2], data: Int32Array.of(-1, 7) }, 'int32'],
    [{ type: 'int64', dims: [2], data: BigInt64Array.of(-1n, 2n ** 62n) }, 'int64'],
    [{ type: 'bool', dims: [2], data: Uint8Array.of(0, 1) }, 'bool'],
  ];
  // One graph with an identity of each type beside the image path that the spec describes; all inputs must be fed,
  // so these are fed from initializers and only read.
  for (const [input, onnxType] of cases) {
    const graph = model({
      nodes: [
        node('Identity', ['constant'], ['copy']),
        node('Flatten', ['image'], ['features'], { axis: 1 }),
      ],
      inputs: [value('image', 'float', ['batch', 3, 2, 2])],
      outputs: [value('features', 'float', ['batch', 12]), value('copy', onnxType, [2])],
      initializers: [tensor('constant', onnxType, [2], input.data)],
    });
    await using pool = await tinyPool({ model: { graph } });
    const result = await pool.run('tiny-image', { image: imageTensor(1) }, { outputs: ['copy', 'features'] });
    t.deepEqual(result.copy, input, input.type);
    t.deepEqual(Object.keys(result), ['copy', 'features']);
  }
});

test('weights outside the .onnx are verified and used', async (t) => {
  const directory = await temporaryDirectory();
  const weights = Float32Array.from({ length: 12 }, (_, i) => i);
  const part = await place(directory, 'weights.bin', new Uint8Array(weights.buffer));
  const graph = model({
    nodes: [node('Flatten', ['image'], ['flat'], { axis: 1 }), node('Add', ['flat', 'w'], ['features'])],
    inputs: [value('image', 'float', ['batch', 3, 2, 2])],
    outputs: [value('features', 'float', ['batch', 12])],
    initializers: [externalTensor('w', 'float', [12], 'weights.bin')],
  });
  const described = await imageModel(directory, { graph, change: (spec) => (spec.externalData = [part]) });
  await using pool = await EncoderPool.create([described]);
  t.deepEqual((await pool.run('tiny-image', { image: imageTensor(1) })).features!.data, doubled(1));
  await writeFile(join(directory, 'weights.bin'), new Uint8Array(48));
  const error = await t.throwsAsync(EncoderPool.create([described]), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_CHECKSUM');
});

test('wrong feeds are refused before anything runs', async (t) => {
  await using pool = await tinyPool();
  const image = imageTensor(1);
  const cases: [Record<string, Tensor>, string, RegExp][] = [
    [{}, 'ERR_MODEL_IO', /the inputs image.*received none/],
    [{ picture: image }, 'ERR_MODEL_IO', /the inputs image.*received picture/],
    [{ image, more: image }, 'ERR_MODEL_IO', /received image, more/],
    [{ image: { ...image, type: 'int32', data: new Int32Array(12) } }, 'ERR_MODEL_IO', /float32.*int32/],
    [{ image: { ...image, type: 'float64' } as unknown as Tensor }, 'ERR_MODEL_IO', /Float32Array/],
    [{ image: { ...image, dims: [2, 3, 2, 2] } }, 'ERR_SHAPE', /24 values/],
    [{ image: { ...image, dims: [1, 12] } }, 'ERR_SHAPE', /\[batch, 3, 2, 2\].*\[1, 12\]/],
    [{ image: { ...image, dims: [1, 3, 4, 1] } }, 'ERR_SHAPE', /\[batch, 3, 2, 2\]/],
    [{ image: { ...image, dims: [-1, 3, -2, 2] } }, 'ERR_SHAPE', /whole sizes/],
  ];
  for (const [feeds, code, words] of cases) {
    const error = await t.throwsAsync(pool.run('tiny-image', feeds), { instanceOf: CinefuseError });
    t.is(error.code as string, code);
    t.regex(error.message, words);
  }
  const output = await t.throwsAsync(pool.run('tiny-image', { image }, { outputs: ['logits'] }));
  t.regex(output.message, /some of features.*received logits/);
  const name = await t.throwsAsync(pool.run('tiny-imege', { image }), { instanceOf: ModelError });
  t.is(name.code, 'ERR_MODEL_NOT_FOUND');
  t.regex(name.message, /Expected tiny-image\?.*"tiny-imege"/);
  t.is(image.data.length, 12, 'refused feeds keep their buffers');
});

test('a graph that is not what its spec says is refused, and the error lists what it has', async (t) => {
  const flat = node('Flatten', ['image'], ['features'], { axis: 1 });
  const image = value('image', 'float', ['batch', 3, 2, 2]);
  const features = value('features', 'float', ['batch', 12]);
  // biome-ignore lint/suspicious/noExplicitAny: a wrong spec has no type
  const cases: [string, { graph?: Buffer; change?: (spec: any) => void }, RegExp][] = [
    [
      'input name',
      { change: (s) => (s.inputs.image = 'pixels') },
      /"pixels".*inputs are: image float32 \[batch, 3, 2, 2\]/,
    ],
    [
      'output name',
      { change: (s) => (s.output = 'logits') },
      /"logits".*outputs are: features float32 \[batch, 12\]/,
    ],
    ['dim', { change: (s) => (s.dim = 13) }, /12 in features.*dim 13/],
    [
      'image size',
      { change: (s) => (s.transform.resize = [4, 4]) },
      /\[batch, 3, 4, 4\].*\[batch, 3, 2, 2\]/,
    ],
    [
      'a second input',
      {
        graph: model({
          nodes: [flat],
          inputs: [image, value('mask', 'bool', ['batch'])],
          outputs: [features],
        }),
      },
      /further graph inputs: mask bool \[batch\]/,
    ],
    [
      'an integer image',
      {
        graph: model({
          nodes: [flat],
          inputs: [value('image', 'uint8', ['batch', 3, 2, 2])],
          outputs: [value('features', 'uint8', ['batch', 12])],
        }),
      },
      /float32.*image uint8/,
    ],
  ];
  for (const [what, options, words] of cases) {
    const error = await t.throwsAsync(tinyPool({ model: options }), { instanceOf: ModelError }, what);
    t.is(error.code, 'ERR_MODEL_IO', what);
    t.regex(error.message, words, what);
  }
});

test('files that are missing, cut, changed or no graph are told apart', async (t) => {
  const attempt = async (spoil: (file: string) => Promise<unknown>, options = {}) => {
    const directory = await temporaryDirectory();
    const described = await imageModel(directory, options);
    await spoil(join(directory, described.spec.file));
    return t.throwsAsync(EncoderPool.create([described]), { instanceOf: ModelError });
  };
  const directory = await temporaryDirectory();
  const missing = await imageModel(directory);
  const gone = { spec: { ...missing.spec, file: 'gone.onnx' }, directory } as typeof missing;
  const notFound = await t.throwsAsync(EncoderPool.create([gone]), { instanceOf: ModelError });
  t.is(notFound.code, 'ERR_MODEL_NOT_FOUND');
  t.regex(notFound.message, /gone\.onnx/);

  t.is((await attempt((file) => truncate(file, 100))).code, 'ERR_MODEL_CHECKSUM');
  const changed = await attempt((file) => writeFile(file, Buffer.alloc(missing.spec.bytes, 1)));
  t.is(changed.code, 'ERR_MODEL_CHECKSUM');
  t.regex(changed.message, /SHA-256/);

  for (const graph of [
    Buffer.from('not a graph at all'),
    Buffer.alloc(2000, 0xff),
    slowGraph(1, 16).subarray(0, 300),
  ]) {
    const garbage = await attempt(async () => undefined, { graph });
    t.is(garbage.code, 'ERR_MODEL_LOAD');
    t.is(garbage.field, 'tiny-image');
  }
});

test('a run that fails says so and leaves the encoder working', async (t) => {
  // Reshape to a fixed batch of 2: only a batch of 2 runs.
  const graph = model({
    nodes: [node('Reshape', ['image', 'shape'], ['features'])],
    inputs: [value('image', 'float', ['batch', 3, 2, 2])],
    outputs: [value('features', 'float', [2, 12])],
    initializers: [tensor('shape', 'int64', [2], BigInt64Array.of(2n, 12n))],
  });
  await using pool = await tinyPool({ model: { graph } });
  const error = await t.throwsAsync(pool.run('tiny-image', { image: imageTensor(3) }), {
    instanceOf: ModelError,
  });
  t.is(error.code, 'ERR_MODEL_RUN');
  t.is((await pool.run('tiny-image', { image: imageTensor(2) })).features!.data.length, 24);
});

test('the event loop runs on while a graph runs', async (t) => {
  await using pool = await tinyPool({ model: { graph: slowGraph(60) }, threads: 1 });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  delay.enable();
  for (let i = 0; i < 4; i++) await pool.run('tiny-image', { image: imageTensor(256) });
  delay.disable();
  clearInterval(timer);
  // Four runs of a graph on the main thread would leave about four ticks, one between each two.
  t.true(ticks > 20, `${ticks} ticks, longest delay ${delay.max / 1e6} ms`);
});

test('concurrent runs over several workers keep their answers apart', async (t) => {
  const workers = Math.min(2, cores);
  const directory = await temporaryDirectory();
  const models = [
    await imageModel(directory, { name: 'first' }),
    await imageModel(directory, { name: 'second' }),
  ];
  await using pool = await EncoderPool.create(models, { workers, threads: 1 });
  const runs = Array.from({ length: 60 }, async (_, i) => {
    const { features } = await pool.run(i % 2 ? 'first' : 'second', { image: imageTensor(1 + (i % 3), i) });
    t.deepEqual(features!.data, doubled(1 + (i % 3), i));
  });
  await Promise.all(runs);
});

test('encoders take turns: one run of another is not behind a long queue', async (t) => {
  const directory = await temporaryDirectory();
  const models = [
    await imageModel(directory, { name: 'busy', graph: slowGraph(5, 256) }),
    await imageModel(directory, { name: 'quick' }),
  ];
  await using pool = await EncoderPool.create(models, { workers: 1 });
  const order: string[] = [];
  const busy = Array.from({ length: 10 }, () =>
    pool.run('busy', { image: imageTensor(1) }).then(() => order.push('busy')),
  );
  await Promise.all([...busy, pool.run('quick', { image: imageTensor(1) }).then(() => order.push('quick'))]);
  t.true(order.indexOf('quick') <= 2, order.join());
});

test('the queue is bounded', async (t) => {
  await using pool = await tinyPool({ maxQueued: 2, model: { graph: slowGraph() } });
  const accepted = Array.from({ length: 3 }, () => pool.run('tiny-image', { image: imageTensor(1) }));
  const refused = imageTensor(1);
  const error = await t.throwsAsync(pool.run('tiny-image', { image: refused }), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_QUEUE');
  t.is(refused.data.length, 12);
  t.is((await Promise.all(accepted)).length, 3);
});

test('cancelling: before, while waiting, while running', async (t) => {
  await using pool = await tinyPool({ model: { graph: slowGraph(60) }, threads: 1 });
  const run = (signal: AbortSignal, batch = 64) =>
    pool.run('tiny-image', { image: imageTensor(batch) }, { signal });
  const cancelled = { code: 'ERR_CANCELLED', name: 'AbortError' };
  await t.throwsAsync(run(AbortSignal.abort('no')), cancelled);

  const running = new AbortController();
  const waiting = new AbortController();
  const order: string[] = [];
  const note = (what: string) => (error: CinefuseError) => {
    order.push(what);
    t.is(error.code, 'ERR_CANCELLED');
  };
  const first = run(running.signal, 512).catch(note('running'));
  const second = run(waiting.signal).catch(note('waiting'));
  const third = pool.run('tiny-image', { image: imageTensor(1) }).then(() => order.push('third'));
  t.like(pool.describe(), { running: 1, queued: 2 });
  waiting.abort();
  t.like(pool.describe(), { running: 1, queued: 1 });
  running.abort(new Error('enough'));
  await Promise.all([first, second, third]);
  t.deepEqual(order.slice(0, 2).sort(), ['running', 'waiting']);
  t.is(order[2], 'third');
});

test('creating can be cancelled', async (t) => {
  const controller = new AbortController();
  const creating = tinyPool({ signal: controller.signal, model: { graph: slowGraph(10) } });
  controller.abort();
  await t.throwsAsync(creating, { name: 'AbortError' });
});

test('restart lets the current run end; waiting runs get a fresh thread', async (t) => {
  await using pool = await tinyPool({ model: { graph: slowGraph(30) } });
  const calls = Array.from({ length: 3 }, () => pool.run('tiny-image', { image: imageTensor(64) }));
  await pool.restart();
  for (const { features } of await Promise.all(calls)) t.is(features!.data.length, 768);
  t.is((await pool.run('tiny-image', { image: imageTensor(2) })).features!.data.length, 24);
});

test('a thread that cannot start fails the call, not the process', async (t) => {
  const error = await t.throwsAsync(tinyPool({ maxHeapMb: 1 }), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_RUN');
  t.regex(error.message, /memory|ended/);
});

test('dispose: pending and later calls fail with DisposedError, twice is fine', async (t) => {
  const pool = await tinyPool({ model: { graph: slowGraph(30) } });
  const calls = Array.from({ length: 3 }, () =>
    t.throwsAsync(pool.run('tiny-image', { image: imageTensor(64) }), { instanceOf: DisposedError }),
  );
  await Promise.all([pool.dispose(), ...calls]);
  await pool.dispose();
  await t.throwsAsync(pool.run('tiny-image', { image: imageTensor(1) }), {
    instanceOf: DisposedError,
    code: 'ERR_DISPOSED',
  });
});

test('options out of range are refused', async (t) => {
  const cases: [PoolOptions, string][] = [
    [{ workers: 0 }, 'workers'],
    [{ workers: cores + 1 }, 'workers'],
    [{ threads: cores + 1 }, 'threads'],
    [{ workers: cores, threads: 2 }, 'threads'],
    [{ threads: Number.NaN }, 'threads'],
    [{ maxQueued: 0 }, 'maxQueued'],
    [{ device: 'gpu' as 'cuda' }, 'device'],
  ];
  for (const [options, field] of cases) {
    const error = await t.throwsAsync(tinyPool(options), { instanceOf: InputError });
    t.is(error.code, 'ERR_INPUT_VALUE');
    t.is(error.field, field);
  }
});

test('a name used twice is refused', async (t) => {
  const described = await imageModel(await temporaryDirectory());
  const error = await t.throwsAsync(EncoderPool.create([described, described]), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_SPEC');
});

test('auto says why it has no CUDA; cuda without it is an error that says why', async (t) => {
  await using pool = await tinyPool({ device: 'auto' });
  const [encoder] = pool.describe().encoders;
  if (encoder!.device === 'cuda') {
    t.log('CUDA is present and was taken');
    await using second = await tinyPool({ device: 'cuda' });
    t.is(second.describe().encoders[0]!.device, 'cuda');
    return;
  }
  t.regex(encoder!.whyNotCuda!, /CUDA/);
  const error = await t.throwsAsync(tinyPool({ device: 'cuda' }), { instanceOf: BackendError });
  t.is(error.code, 'ERR_BACKEND');
  t.true(error.message.includes(encoder!.whyNotCuda!));
});

/** Runs a program in a fresh Node, importing from a copy of the compiled library with only the packages named. */
async function program(source: string, packages: string[]) {
  const directory = await temporaryDirectory();
  await cp(fileURLToPath(new URL('../../lib', import.meta.url)), join(directory, 'lib'), { recursive: true });
  await mkdir(join(directory, 'node_modules'));
  for (const name of packages) {
    const target = fileURLToPath(new URL(`../../../node_modules/${name}`, import.meta.url));
    await symlink(target, join(directory, 'node_modules', name));
  }
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await writeFile(join(directory, 'main.js'), source);
  return promisify(execFile)(process.execPath, ['main.js'], { cwd: directory, timeout: 60_000 });
}

async function programOfPool(packages: string[], rest: string) {
  const { spec, directory } = await imageModel(await temporaryDirectory());
  return program(
    `import { EncoderPool } from './lib/encoders/pool.js';
     const model = ${JSON.stringify({ spec, directory })};
     ${rest}`,
    packages,
  );
}

test('without onnxruntime-node the error names the command that brings it', async (t) => {
  const { stdout } = await programOfPool(
    ['zod'],
    `await EncoderPool.create([model]).catch((error) => console.log(error.code, error.message));`,
  );
  t.regex(stdout, /^ERR_MODEL_RUNTIME .*npm install onnxruntime-node/);
});

test('an idle pool does not keep the process alive', async (t) => {
  const { stdout } = await programOfPool(
    ['zod', 'onnxruntime-node', 'onnxruntime-common'],
    `const pool = await EncoderPool.create([model]);
     const image = { type: 'float32', dims: [1, 3, 2, 2], data: new Float32Array(12).fill(1) };
     console.log((await pool.run('tiny-image', { image })).features.data.join());`,
  );
  t.is(stdout.trim(), Array(12).fill(2).join());
});

test('exiting in the middle of a run ends the process with its own exit code', async (t) => {
  const { spec, directory } = await imageModel(await temporaryDirectory(), { graph: slowGraph(60) });
  const failure = await t.throwsAsync(
    program(
      `import { EncoderPool } from './lib/encoders/pool.js';
       const pool = await EncoderPool.create([${JSON.stringify({ spec, directory })}]);
       const image = { type: 'float32', dims: [2048, 3, 2, 2], data: new Float32Array(2048 * 12) };
       pool.run('tiny-image', { image });
       setTimeout(() => process.exit(7), 100);`,
      ['zod', 'onnxruntime-node', 'onnxruntime-common'],
    ),
  );
  t.like(failure, { code: 7, signal: null });
});

test('the file that is run is the one whose hash was checked', async (t) => {
  const directory = await temporaryDirectory();
  const described = await imageModel(directory);
  t.is(described.spec.sha256, digest(await readFile(join(directory, described.spec.file))));
  await using pool = await EncoderPool.create([described]);
  // Replaced after loading: the session keeps running on what it has verified.
  await writeFile(join(directory, described.spec.file), 'gone');
  t.is((await pool.run('tiny-image', { image: imageTensor(1) })).features!.data.length, 12);
  // A fresh thread loads again and notices.
  await pool.restart();
  const error = await t.throwsAsync(pool.run('tiny-image', { image: imageTensor(1) }), {
    instanceOf: ModelError,
  });
  t.is(error.code, 'ERR_MODEL_CHECKSUM');
});
