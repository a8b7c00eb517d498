import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type DownloadProgress, ModelCache, type ModelCacheOptions } from '../../lib/encoders/cache.js';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { completeSpec, findPreset, PRESETS, type Preset } from '../../lib/encoders/presets.js';
import { type CinefuseError, InputError, ModelError } from '../../lib/errors.js';
import { digest, imageTensor, slowGraph, temporaryDirectory } from './fixtures.js';
import { type Fault, HubServer } from './hub-server.js';

const REPOSITORY = 'tester/tiny';
const GRAPH = slowGraph(1, 100);

function tinyPreset(change: Partial<Preset> = {}): Preset {
  const spec: Preset['spec'] = {
    specVersion: 1,
    name: 'tiny',
    version: 'main',
    modality: 'image',
    file: 'onnx/model.onnx',
    inputs: { image: 'image' },
    output: 'features',
    dim: 12,
    maxBatch: 4,
    licence: 'Apache-2.0',
    source: 'made by this test',
    transform: { resize: [2, 2], filter: 'bilinear', rounding: 'float', mean: [0, 0, 0], std: [1, 1, 1] },
    pooling: 'none',
    normalize: false,
  };
  return {
    name: 'tiny',
    use: 'tests',
    repository: REPOSITORY,
    revision: 'main',
    files: [{ path: 'onnx/model.onnx' }, { path: 'config.json' }],
    megabytes: 1,
    licence: 'Apache-2.0',
    commercialUse: true,
    spec,
    ...change,
  };
}

async function hub(
  t: ExecutionContext,
  options: { faults?: Fault[]; preset?: Partial<Preset> } & ModelCacheOptions = {},
) {
  const { faults = [], preset, ...cacheOptions } = options;
  const server = new HubServer(REPOSITORY);
  server.files.set('onnx/model.onnx', GRAPH);
  server.files.set('config.json', Buffer.from('{"a": 1}'));
  server.faults.push(...faults);
  const hubUrl = await server.start();
  t.teardown(() => server.stop());
  const directory = await temporaryDirectory();
  const open = (more: ModelCacheOptions = {}) =>
    new ModelCache({
      cacheDirectory: directory,
      hubUrl,
      presets: [tinyPreset(preset)],
      retryDelayMs: 1,
      offline: false,
      ...cacheOptions,
      ...more,
    });
  return { server, hubUrl, directory, open, cache: open(), folder: join(directory, 'models--tester--tiny') };
}

test('fetches a model into the layout that all Hugging Face tools share, and the model runs', async (t) => {
  const { server, cache, folder } = await hub(t);
  t.is(await cache.find('tiny'), undefined);
  t.deepEqual(await cache.listCached(), []);
  const progress: DownloadProgress[] = [];
  const model = await cache.download('tiny', { onProgress: (step) => progress.push(step) });
  const total = GRAPH.length + 8;
  t.deepEqual(progress.at(-1), { path: 'config.json', done: total, total });
  t.true(progress.every(({ done }, i) => i === 0 || done >= progress[i - 1]!.done));

  t.is(await readFile(join(folder, 'refs/main'), 'utf8'), server.commit);
  const entry = join(folder, 'snapshots', server.commit, 'onnx/model.onnx');
  t.true((await lstat(entry)).isSymbolicLink());
  t.is(await readlink(entry), `../../../blobs/${digest(GRAPH)}`);
  t.deepEqual(await readFile(entry), GRAPH);
  t.false((await readdir(join(folder, 'blobs'))).some((name) => name.includes('.incomplete')));

  t.like(model, { preset: 'tiny', repository: REPOSITORY, revision: 'main', commit: server.commit });
  t.deepEqual(model.files[0], {
    path: 'onnx/model.onnx',
    sha256: digest(GRAPH),
    bytes: GRAPH.length,
    trust: 'first-use',
  });
  await using pool = await EncoderPool.create([model]);
  t.is((await pool.run('tiny', { image: imageTensor(2) })).features!.data.length, 24);

  // Found again without the network.
  await server.stop();
  t.deepEqual(await cache.find('tiny'), model);
  t.deepEqual(await cache.listCached(), [model]);
  t.deepEqual(await cache.verify(), [
    {
      preset: 'tiny',
      files: [
        { path: 'onnx/model.onnx', ok: true },
        { path: 'config.json', ok: true },
      ],
    },
  ]);
});

test('a second fetch brings nothing that is there', async (t) => {
  const { server, cache } = await hub(t);
  await cache.download('tiny');
  const before = server.requests.length;
  await cache.download('tiny');
  t.deepEqual(
    server.requests.slice(before).filter(({ url }) => url.includes('/resolve/')),
    [],
  );
});

test('a lost connection goes on where it stopped', async (t) => {
  const faults: Fault[] = [
    { kind: 'cut', after: 10_000 },
    { kind: 'status', status: 503 },
    { kind: 'cut', after: 0 },
  ];
  const { server, cache } = await hub(t, { faults });
  const model = await cache.download('tiny');
  t.is(model.files[0]!.sha256, digest(GRAPH));
  const ranges = server.requests.filter(({ url }) => url.endsWith('model.onnx')).map(({ range }) => range);
  t.is(ranges.length, 4);
  t.is(ranges[0], undefined);
  const resumed = Number(/^bytes=(\d+)-/.exec(ranges.at(-1)!)![1]);
  t.true(resumed > 0 && resumed <= 10_000, `went on at ${resumed}`);
});

test('a cancelled fetch keeps what came, and the next one goes on from there', async (t) => {
  const { server, open, folder } = await hub(t, { faults: [{ kind: 'stall', after: 20_000 }] });
  const controller = new AbortController();
  const fetching = open().download('tiny', {
    signal: controller.signal,
    // A moment later, when what came is written.
    onProgress: ({ done }) => done >= 20_000 && setTimeout(() => controller.abort(), 100),
  });
  await t.throwsAsync(fetching, { name: 'AbortError', code: 'ERR_CANCELLED' });
  const blobs = await readdir(join(folder, 'blobs'));
  t.deepEqual(blobs, [`${digest(GRAPH)}.incomplete`], 'and no lock is left');
  await open().download('tiny');
  const last = server.requests.filter(({ url }) => url.endsWith('model.onnx')).at(-1);
  t.regex(last!.range!, /^bytes=[1-9]\d*-/);
});

test('a server that stops sending counts as lost', async (t) => {
  const { cache } = await hub(t, { faults: [{ kind: 'stall', after: 5000 }], stallMs: 200 });
  t.is((await cache.download('tiny')).files[0]!.bytes, GRAPH.length);
});

test('bytes damaged on the way are noticed and removed', async (t) => {
  for (const path of ['onnx/model.onnx', 'config.json']) {
    const preset = { files: [{ path: 'onnx/model.onnx' }, { path: 'config.json' }] };
    const fine: Fault = { kind: 'cut', after: 0 };
    const faults: Fault[] =
      path === 'config.json' ? [fine, { kind: 'no-ranges' }, { kind: 'corrupt' }] : [{ kind: 'corrupt' }];
    const { cache, folder } = await hub(t, { faults, preset });
    const error = await t.throwsAsync(cache.download('tiny'), { instanceOf: ModelError });
    t.is(error.code, 'ERR_MODEL_CHECKSUM');
    t.is(error.field, path);
    t.false((await readdir(join(folder, 'blobs'))).some((name) => name.endsWith('.incomplete')));
    t.is(await cache.find('tiny'), undefined);
    t.is((await cache.download('tiny')).files.length, 2, 'the next attempt is clean');
  }
});

test('errors of the hub name the address and the fix', async (t) => {
  const always = (status: number): Fault[] => Array(10).fill({ kind: 'status', status });
  const cases: [Fault[], RegExp][] = [
    [always(500), /resolve\/.*model\.onnx could not be fetched: .*500.*HF_ENDPOINT/],
    [always(404), /resolve\/.*could not be fetched.*check repository, revision and file/],
    [always(401), /HF_TOKEN/],
  ];
  for (const [faults, words] of cases) {
    const { server, cache } = await hub(t, { faults, retries: 2 });
    const error = await t.throwsAsync(cache.download('tiny'), { instanceOf: ModelError });
    t.is(error.code, 'ERR_MODEL_DOWNLOAD');
    t.regex(error.message, words);
    const asked = server.requests.filter(({ url }) => url.includes('/resolve/')).length;
    t.is(
      asked,
      faults[0]!.kind === 'status' && faults[0]!.status >= 500 ? 3 : 1,
      'only a bad server is asked again',
    );
  }
});

test('a missing repository, a missing file and an unreachable hub', async (t) => {
  const { server, hubUrl, open } = await hub(t, { retries: 1 });
  const elsewhere = open({ presets: [tinyPreset({ repository: 'tester/none' })] });
  const missing = await t.throwsAsync(elsewhere.download('tiny'), { instanceOf: ModelError });
  t.is(missing.code, 'ERR_MODEL_DOWNLOAD');
  t.regex(missing.message, /tester\/none.*404|404.*tester\/none/s);

  const files = [{ path: 'onnx/model.onnx' }, { path: 'absent.json' }];
  const absent = await t.throwsAsync(open({ presets: [tinyPreset({ files })] }).download('tiny'));
  t.regex(absent.message, /no file absent\.json/);

  await server.stop();
  const gone = await t.throwsAsync(open().download('tiny'), { instanceOf: ModelError });
  t.is(gone.code, 'ERR_MODEL_DOWNLOAD');
  t.true(gone.message.includes(hubUrl));
  t.regex(gone.message, /ECONNREFUSED.*HF_ENDPOINT/);
});

test('offline is an error at once, without a request', async (t) => {
  const { server, open } = await hub(t);
  const error = await t.throwsAsync(open({ offline: true }).download('tiny'), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_DOWNLOAD');
  t.regex(error.message, /HF_HUB_OFFLINE/);
  t.deepEqual(server.requests, []);
});

test('a server that cannot send parts sends the whole again', async (t) => {
  const { cache } = await hub(t, { faults: [{ kind: 'cut', after: 1000 }, { kind: 'no-ranges' }] });
  t.is((await cache.download('tiny')).files[0]!.sha256, digest(GRAPH));
});

test('too large a model is refused before a byte of it is fetched', async (t) => {
  const { server, cache } = await hub(t, { maxBytes: 1000 });
  const error = await t.throwsAsync(cache.download('tiny'), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_DOWNLOAD');
  t.regex(error.message, /at most 1000 bytes/);
  t.false(server.requests.some(({ url }) => url.includes('/resolve/')));
});

test('a moved branch is noticed, and taken only when accepted', async (t) => {
  const { server, open, folder } = await hub(t);
  await open().download('tiny');
  server.commit = 'f'.repeat(40);
  const changed = slowGraph(2, 100);
  server.files.set('onnx/model.onnx', changed);
  const error = await t.throwsAsync(open().download('tiny'), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_CHECKSUM');
  t.regex(error.message, /recorded when it was first fetched.*accept the change/);
  t.is((await open().find('tiny'))!.files[0]!.sha256, digest(GRAPH), 'the old one stays in use');
  const accepted = await open().download('tiny', { acceptChange: true });
  t.is(accepted.commit, 'f'.repeat(40));
  t.is(accepted.files[0]!.sha256, digest(changed));
  t.is((await readdir(join(folder, 'snapshots'))).length, 2);
});

test('the record outlives the cached files', async (t) => {
  const { server, open, folder } = await hub(t);
  await open().download('tiny');
  await rm(folder, { recursive: true });
  server.files.set('onnx/model.onnx', slowGraph(2, 100));
  await t.throwsAsync(open().download('tiny'), { code: 'ERR_MODEL_CHECKSUM' });
});

test('a pinned hash is held, accepted change or not', async (t) => {
  const pin = (sha256: string) => ({
    preset: { files: [{ path: 'onnx/model.onnx', sha256 }, { path: 'config.json' }] },
  });
  const wrong = await hub(t, pin('0'.repeat(64)));
  for (const acceptChange of [false, true]) {
    const error = await t.throwsAsync(wrong.cache.download('tiny', { acceptChange }), {
      instanceOf: ModelError,
    });
    t.is(error.code, 'ERR_MODEL_CHECKSUM');
    t.regex(error.message, /which the preset pins/);
  }
  await wrong.server.stop();
  const right = await hub(t, pin(digest(GRAPH)));
  t.is((await right.cache.download('tiny')).files[0]!.trust, 'pinned');
});

test('verify finds a changed and a shortened file', async (t) => {
  const { server, cache, folder } = await hub(t);
  await cache.download('tiny');
  await server.stop();
  const damaged = Buffer.from(GRAPH);
  damaged[500]! ^= 1;
  await writeFile(join(folder, 'blobs', digest(GRAPH)), damaged);
  const [result] = await cache.verify({ preset: 'tiny' });
  t.like(result!.files[0], { ok: false });
  t.regex(result!.files[0]!.problem!, /SHA-256/);
  t.true(result!.files[1]!.ok);
  await writeFile(join(folder, 'blobs', digest(GRAPH)), 'short');
  t.is(await cache.find('tiny'), undefined, 'not whole');
  await writeFile(join(folder, 'blobs', digest(GRAPH)), GRAPH);
  await t.throwsAsync(cache.verify({ signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('a damaged record is an error that says what to do', async (t) => {
  const { cache, directory } = await hub(t);
  await cache.download('tiny');
  await writeFile(join(directory, '.locks/cinefuse-models.lock.json'), '{"lockVersion": 9}');
  const error = await t.throwsAsync(cache.find('tiny'), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_CHECKSUM');
  t.regex(error.message, /restore the file, or remove it/);
});

test('two fetches at once bring each file once', async (t) => {
  const { server, open } = await hub(t);
  const [a, b] = await Promise.all([open().download('tiny'), open().download('tiny')]);
  t.deepEqual(a, b);
  t.is(server.requests.filter(({ url }) => url.includes('/resolve/')).length, 2);
});

test('a lock of a process that is gone is overruled', async (t) => {
  const { open, folder } = await hub(t, { faults: [{ kind: 'cut', after: 100 }], retries: 0 });
  await t.throwsAsync(open().download('tiny'), { code: 'ERR_MODEL_DOWNLOAD' });
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  const lock = join(folder, 'blobs', `${digest(GRAPH)}.incomplete.lock`);
  await writeFile(lock, String(child.pid));
  await open().download('tiny');
  t.false(existsSync(lock));
});

test('the access token goes to the hub', async (t) => {
  const { server, open } = await hub(t);
  await open({ accessToken: 'hf_secret' }).download('tiny');
  t.true(server.requests.every(({ authorization }) => authorization === 'Bearer hf_secret'));
});

test('where the cache is and which hub is asked follow the environment', (t) => {
  const names = ['HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HOME', 'XDG_CACHE_HOME'];
  const saved = names.map((name) => [name, process.env[name]] as const);
  try {
    for (const name of names) delete process.env[name];
    process.env.HOME = '/home/x';
    t.is(new ModelCache().directory, '/home/x/.cache/huggingface/hub');
    process.env.XDG_CACHE_HOME = '/xdg';
    t.is(new ModelCache().directory, '/xdg/huggingface/hub');
    process.env.HF_HOME = '/hf';
    t.is(new ModelCache().directory, '/hf/hub');
    process.env.HF_HUB_CACHE = '/hub';
    t.is(new ModelCache().directory, '/hub');
    t.is(new ModelCache({ cacheDirectory: '/own' }).directory, '/own');
  } finally {
    for (const [name, text] of saved) {
      if (text === undefined) delete process.env[name];
      else process.env[name] = text;
    }
  }
});

test('every preset makes a whole spec, and unknown names are answered with the nearest', async (t) => {
  for (const preset of PRESETS) {
    const files = preset.files.map(({ path }, i) => ({ path, sha256: String(i).repeat(64), bytes: 10 + i }));
    const spec = completeSpec(preset, files, 'commit');
    t.is(spec.name, preset.name);
    t.is(spec.file, preset.files[0]!.path);
    t.is(spec.version, 'commit');
    t.is(spec.licence, preset.licence);
    if (spec.modality === 'text') t.is(spec.tokenizer.config!.bytes, 12);
  }
  t.is(new Set(PRESETS.map(({ name }) => name)).size, PRESETS.length);
  const error = t.throws(() => findPreset('minilm-eng'), { instanceOf: InputError });
  t.regex(error.message, /did you mean minilm-en\?/);
  const { cache } = await hub(t);
  const unknown = (await t.throwsAsync(cache.download('clp'))) as CinefuseError;
  t.regex(unknown.message, /did you mean clap\?/);
});
