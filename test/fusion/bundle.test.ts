import { createHash } from 'node:crypto';
import {
  access,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { pack as createPack } from 'tar-stream';
import { loadBundle, verifyBundle } from '../../lib/fusion/bundle.js';
import { saveBundle } from '../../lib/fusion/bundle-save.js';
import type { BundleManifest } from '../../lib/fusion/manifest.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory, tinyContents } from '../tiny-bundle.js';

test('a bundle comes back as it was saved, from a directory and from a .tar', async (t) => {
  await using dir = await temporaryDirectory();
  const contents = tinyContents();
  const tar = path.join(dir.path, 'bundle.tar');
  const written = await saveBundle(path.join(dir.path, 'bundle'), contents);
  await saveBundle(tar, contents);
  for (const source of [path.join(dir.path, 'bundle'), tar]) {
    await using bundle = await loadBundle(source);
    t.deepEqual(bundle.manifest, written);
    t.is(bundle.encoders.length, 3);
    t.deepEqual([...bundle.tensors.keys()].sort(), [...contents.tensors.keys()].sort());
    for (const [name, { shape, data }] of contents.tensors)
      t.deepEqual({ ...bundle.tensor(name, shape) }.data, data);
    t.is(bundle.networkWeights().get('heads.rating.weight')?.data.length, 8);
    await verifyBundle(source);
  }
  t.deepEqual((await readdir(dir.path)).sort(), ['bundle', 'bundle.tar']);
});

test('what a .tar was unpacked to goes away with dispose()', async (t) => {
  await using dir = await temporaryDirectory();
  const tar = path.join(dir.path, 'b.tar');
  await saveBundle(tar, tinyContents());
  const bundle = await loadBundle(tar);
  await access(bundle.directory);
  await bundle.dispose();
  await t.throwsAsync(access(bundle.directory), { code: 'ENOENT' });
});

test('the same contents give the same bytes', async (t) => {
  await using dir = await temporaryDirectory();
  const hashes = [];
  for (const name of ['a.tar', 'b.tar']) {
    await saveBundle(path.join(dir.path, name), tinyContents());
    hashes.push(
      createHash('sha256')
        .update(await readFile(path.join(dir.path, name)))
        .digest('hex'),
    );
  }
  t.is(hashes[0], hashes[1]);
});

test('an existing target is replaced only when told, and a failed save leaves it alone', async (t) => {
  await using dir = await temporaryDirectory();
  const target = await saveTiny(dir.path);
  await throwsTyped(t, () => saveBundle(target, tinyContents()), { code: 'ERR_BUNDLE_WRITE' });
  const bad = tinyContents();
  bad.manifest.network.heads[0]!.out = 3;
  await throwsTyped(t, () => saveBundle(target, bad, { overwrite: true }), { code: 'ERR_BUNDLE_FORMAT' });
  const missing = tinyContents();
  missing.files['encoders/words/model.onnx'] = path.join(dir.path, 'not-there.onnx');
  await throwsTyped(t, () => saveBundle(target, missing, { overwrite: true }), { code: 'ERR_BUNDLE_WRITE' });
  const controller = new AbortController();
  controller.abort();
  await throwsTyped(
    t,
    () => saveBundle(target, tinyContents(), { overwrite: true, signal: controller.signal }),
    {
      code: 'ERR_CANCELLED',
    },
  );
  await verifyBundle(target);
  const renamed = tinyContents();
  renamed.manifest.version = '2.0.0';
  await saveBundle(target, renamed, { overwrite: true });
  t.is((await verifyBundle(target)).version, '2.0.0');
  t.deepEqual(await readdir(dir.path), ['bundle']);
});

test('writing where one may not, or to a full device, is a typed error', async (t) => {
  await using dir = await temporaryDirectory();
  await writeFile(path.join(dir.path, 'file'), '');
  await throwsTyped(t, () => saveBundle(path.join(dir.path, 'file', 'bundle'), tinyContents()), {
    code: 'ERR_BUNDLE_WRITE',
  });
  t.deepEqual(await readdir(dir.path), ['file']);
});

/** Loads a copy of the tiny bundle after `damage`, which must fail as `expected`. */
async function damaged(
  t: Parameters<typeof throwsTyped>[0],
  damage: (bundle: string) => Promise<unknown>,
  expected: Parameters<typeof throwsTyped>[2],
  load: (source: string) => Promise<unknown> = loadBundle,
) {
  await using dir = await temporaryDirectory();
  const bundle = await saveTiny(dir.path);
  await damage(bundle);
  await throwsTyped(t, () => load(bundle), expected);
}

/** Rewrites bundle.json; with `rehash`, entries of `files` are brought up to date. */
async function editManifest(bundle: string, edit: (manifest: BundleManifest) => unknown): Promise<void> {
  const file = path.join(bundle, 'bundle.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  edit(manifest);
  await writeFile(file, JSON.stringify(manifest));
}

async function rehash(bundle: string, name: string): Promise<void> {
  const data = await readFile(path.join(bundle, name));
  await editManifest(bundle, (m) => {
    m.files[name] = { sha256: createHash('sha256').update(data).digest('hex'), bytes: data.length };
  });
}

test('damage is found and named', async (t) => {
  const weights = (b: string) => path.join(b, 'weights.safetensors');
  await throwsTyped(t, () => loadBundle('/nowhere/at/all'), { code: 'ERR_BUNDLE_NOT_FOUND' });
  await damaged(t, (b) => rm(path.join(b, 'bundle.json')), { code: 'ERR_BUNDLE_NOT_FOUND' });
  await damaged(t, (b) => truncate(path.join(b, 'bundle.json'), 500), { code: 'ERR_BUNDLE_FORMAT' });
  await damaged(t, (b) => truncate(weights(b), 1000), {
    code: 'ERR_BUNDLE_CHECKSUM',
    field: 'files.weights.safetensors',
  });
  const flip = async (file: string) => {
    const data = await readFile(file);
    data[data.length - 1]! ^= 1;
    await writeFile(file, data);
  };
  await damaged(t, (b) => flip(weights(b)), {
    code: 'ERR_BUNDLE_CHECKSUM',
    field: 'files.weights.safetensors',
  });
  const onnx = (b: string) => path.join(b, 'encoders/words/model.onnx');
  await damaged(
    t,
    (b) => flip(onnx(b)),
    { code: 'ERR_BUNDLE_CHECKSUM', field: 'files.encoders/words/model.onnx' },
    verifyBundle,
  );
  await damaged(t, (b) => rm(onnx(b)), { code: 'ERR_BUNDLE_NOT_FOUND' });
  await damaged(
    t,
    async (b) => {
      await rm(onnx(b));
      await mkdir(onnx(b));
    },
    { code: 'ERR_BUNDLE_CHECKSUM' },
  );
  await damaged(
    t,
    async (b) => {
      await truncate(weights(b), 1000);
      await rehash(b, 'weights.safetensors');
    },
    { code: 'ERR_BUNDLE_FORMAT' },
  );
});

test('a manifest that does not fit is refused by field', async (t) => {
  type Change = (manifest: BundleManifest) => unknown;
  const edit = (change: Change) => (b: string) => editManifest(b, change);
  const cases: [Change, Parameters<typeof throwsTyped>[2]][] = [
    [(m) => Object.assign(m, { formatVersion: 2 }), { code: 'ERR_BUNDLE_VERSION', field: 'formatVersion' }],
    [(m) => Object.assign(m, { format: 'zip' }), { code: 'ERR_BUNDLE_FORMAT', field: 'format' }],
    [
      (m) => Object.assign(m, { netwrok: 1 }),
      { code: 'ERR_BUNDLE_FORMAT', field: 'netwrok', message: /network/ },
    ],
    [
      (m) => Object.assign(m, { files: { '../out': { sha256: 'a'.repeat(64), bytes: 1 } } }),
      { code: 'ERR_BUNDLE_FORMAT' },
    ],
    [(m) => Object.assign(m.heads[0]!, { std: 0 }), { code: 'ERR_BUNDLE_FORMAT', field: 'heads.0.std' }],
    [
      (m) => Object.assign(m.modalities[0]!, { encoder: 'nobody' }),
      { code: 'ERR_BUNDLE_FORMAT', field: 'modalities.synopsis.encoder' },
    ],
    [(m) => Object.assign(m.modalities[0]!, { encoder: 'loudness' }), { code: 'ERR_BUNDLE_SHAPE' }],
  ];
  for (const [change, expected] of cases) await damaged(t, edit(change), expected);
  // The network's shapes are held against the weights when they are taken.
  await damaged(
    t,
    edit((m) => Object.assign(m.network.trunk[0]!, { out: 9 })),
    {
      code: 'ERR_BUNDLE_SHAPE',
      field: 'trunk.0.weight',
    },
    async (b) => (await loadBundle(b)).networkWeights(),
  );
});

test('nothing outside the bundle is read', async (t) => {
  await damaged(
    t,
    async (b) => {
      const outside = path.join(b, '..', 'outside.onnx');
      await rename(path.join(b, 'encoders/words/model.onnx'), outside);
      await symlink(outside, path.join(b, 'encoders/words/model.onnx'));
    },
    { code: 'ERR_BUNDLE_PATH' },
  );
  await damaged(
    t,
    async (b) => {
      await cp(path.join(b, 'encoders'), path.join(b, '..', 'elsewhere'), { recursive: true });
      await rm(path.join(b, 'encoders'), { recursive: true });
      await symlink(path.join(b, '..', 'elsewhere'), path.join(b, 'encoders'));
    },
    { code: 'ERR_BUNDLE_PATH' },
  );
});

test('a hostile .tar is refused, and nothing of it stays', async (t) => {
  await using dir = await temporaryDirectory();
  const tarOf = async (
    name: string,
    entries: { name: string; type?: 'symlink' | 'file'; linkname?: string }[],
  ) => {
    const pack = createPack();
    for (const entry of entries) pack.entry(entry, '');
    pack.finalize();
    const file = path.join(dir.path, name);
    await writeFile(file, pack as AsyncIterable<Uint8Array>);
    return file;
  };
  const climbing = await tarOf('escape.tar', [{ name: '../escaped' }]);
  const absolute = await tarOf('absolute.tar', [{ name: '/tmp-escaped' }]);
  const link = await tarOf('link.tar', [{ name: 'bundle.json', type: 'symlink', linkname: '/etc/passwd' }]);
  for (const file of [climbing, absolute, link]) {
    await throwsTyped(t, () => loadBundle(file), { code: 'ERR_BUNDLE_PATH', file });
  }
  await throwsTyped(t, async () => loadBundle(await tarOf('empty.tar', [])), { code: 'ERR_BUNDLE_FORMAT' });
  const noise = path.join(dir.path, 'noise.tar');
  await writeFile(noise, Buffer.alloc(5000, 7));
  await throwsTyped(t, () => loadBundle(noise), { code: 'ERR_BUNDLE_FORMAT', file: noise });
  const whole = path.join(dir.path, 'whole.tar');
  await saveBundle(whole, tinyContents());
  await truncate(whole, 3000);
  await t.throwsAsync(loadBundle(whole), { name: 'BundleError' });
});

test('limits: every breach names the limit', async (t) => {
  await using dir = await temporaryDirectory();
  const target = await saveTiny(dir.path);
  for (const limits of [{ manifestBytes: 100 }, { weightsBytes: 100 }, { totalBytes: 1000 }, { files: 2 }]) {
    await throwsTyped(t, () => loadBundle(target, { limits }), { code: 'ERR_BUNDLE_LIMIT' });
  }
});
