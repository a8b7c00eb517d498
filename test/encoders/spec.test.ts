import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { hashFile, isPathInside, resolveInside, verifyFile } from '../../lib/encoders/files.js';
import { parseEncoderSpec, parseEncoderSpecText } from '../../lib/encoders/spec.js';
import { ModelError } from '../../lib/errors.js';
import { nearestName } from '../../lib/nearest.js';
import { digest, temporaryDirectory } from './fixtures.js';

const hash = 'ab'.repeat(32);
const common = {
  specVersion: 1,
  name: 'x',
  version: '1',
  file: 'model.onnx',
  sha256: hash,
  bytes: 10,
  output: 'y',
  dim: 4,
  maxBatch: 8,
  licence: 'MIT',
  source: 'here',
};
const specs: Record<string, Record<string, unknown>> = {
  text: {
    ...common,
    modality: 'text',
    inputs: { inputIds: 'input_ids' },
    tokenizer: {
      file: 'tokenizer.json',
      sha256: hash,
      bytes: 5,
      maxTokens: 128,
      padId: 0,
      unknownId: 0,
      dropIds: [0],
      addSpecialTokens: false,
    },
    languages: ['en'],
    maxUnknownShare: 0.3,
    pooling: 'none',
    normalize: false,
  },
  image: {
    ...common,
    modality: 'image',
    inputs: { image: 'x' },
    transform: { resize: 224, filter: 'bilinear', rounding: 'uint8', mean: [0, 0, 0], std: [1, 1, 1] },
    pooling: 'none',
    normalize: true,
  },
  video: {
    ...common,
    modality: 'video',
    inputs: { frames: 'x' },
    transform: { resize: [8, 8], filter: 'bilinear', rounding: 'uint8', mean: [0, 0, 0], std: [1, 1, 1] },
    clip: { frames: 8, hop: 4, layout: 'btchw' },
    pooling: 'none',
    normalize: false,
  },
  audio: {
    ...common,
    modality: 'audio',
    inputs: { audio: 'x' },
    frontEnd: {
      kind: 'waveform',
      sampleRate: 16000,
      sampleScale: 1,
      windowSamples: 100,
      hopSamples: 50,
      axes: ['batch', 'samples'],
      tail: 'drop',
    },
    pooling: 'none',
    normalize: false,
  },
};
const melFrontEnd = {
  kind: 'mel',
  sampleRate: 16000,
  sampleScale: 1,
  mel: {
    convention: 'librosa',
    nFft: 512,
    winLength: 400,
    hopLength: 160,
    window: 'hann',
    padMode: 'none',
    power: 2,
    nMels: 32,
    fMin: 60,
    fMax: 3800,
    melScale: 'slaney',
    norm: 'slaney',
    scaling: { kind: 'db', amin: 1e-10, topDb: 80 },
  },
  featureScale: 1,
  featureOffset: 0,
  windowFrames: 76,
  hopFrames: 8,
  axes: ['batch', 'frames', 'mels', 'channel'],
  tail: 'drop',
};

test('a whole spec of every modality parses to itself', (t) => {
  for (const spec of [...Object.values(specs), { ...specs.audio, frontEnd: melFrontEnd }]) {
    t.deepEqual(parseEncoderSpec(spec) as unknown, spec);
  }
});

/** [what, base spec, change, field of the error, words of the message] */
// biome-ignore lint/suspicious/noExplicitAny: a wrong spec has no type
const bad: [string, string, (spec: any) => void, string, RegExp][] = [
  ['unknown field', 'text', (s) => (s.tokeniser = 1), 'tokeniser', /did you mean tokenizer\?.*unknown field/],
  [
    'unknown inner field',
    'text',
    (s) => (s.tokenizer.maxToken = 1),
    'tokenizer.maxToken',
    /did you mean maxTokens\?/,
  ],
  [
    'unknown field of a front end',
    'audio',
    (s) => (s.frontEnd.sampleRates = 1),
    'frontEnd.sampleRates',
    /did you mean sampleRate\?/,
  ],
  ['unknown far field', 'image', (s) => (s.zzzzzzzz = 1), 'zzzzzzzz', /one of specVersion, name/],
  ['missing field', 'image', (s) => delete s.normalize, 'normalize', /boolean.*undefined/],
  ['missing modality', 'image', (s) => delete s.modality, 'modality', /received undefined/],
  ['modality', 'image', (s) => (s.modality = 'smell'), 'modality', /received the string "smell"/],
  ['dim of 0', 'image', (s) => (s.dim = 0), 'dim', />0/],
  ['fractional dim', 'image', (s) => (s.dim = 1.5), 'dim', /1.5/],
  ['NaN', 'image', (s) => (s.transform.mean = [Number.NaN, 0, 0]), 'transform.mean.0', /NaN/],
  ['std of 0', 'image', (s) => (s.transform.std = [1, 0, 1]), 'transform.std.1', />0/],
  ['short hash', 'image', (s) => (s.sha256 = 'abc'), 'sha256', /64 lower-case hexadecimal digits/],
  ['absolute path', 'image', (s) => (s.file = '/etc/passwd'), 'file', /stays inside/],
  ['climbing path', 'image', (s) => (s.file = 'a/../../b.onnx'), 'file', /stays inside/],
  ['backslash path', 'text', (s) => (s.tokenizer.file = '..\\b'), 'tokenizer.file', /stays inside/],
  ['drive path', 'image', (s) => (s.file = 'C:/b.onnx'), 'file', /stays inside/],
  ['size limit', 'image', (s) => (s.bytes = 5e9), 'bytes', /1000000000/],
  ['version', 'image', (s) => (s.specVersion = 2), 'specVersion', /1.*2/],
  ['language', 'text', (s) => (s.languages = ['English']), 'languages.0', /English/],
  ['hop of a clip', 'video', (s) => delete s.clip.hop, 'clip.hop', /clip.frames is a number/],
  [
    'double axis',
    'audio',
    (s) => (s.frontEnd.axes = ['batch', 'samples', 'samples']),
    'frontEnd.axes',
    /each axis once/,
  ],
  ['axis missing', 'audio', (s) => (s.frontEnd.axes = ['batch', 'channel']), 'frontEnd.axes', /samples/],
  [
    'fMax',
    'audio',
    (s) => (s.frontEnd = { ...melFrontEnd, mel: { ...melFrontEnd.mel, fMax: 9000 } }),
    'frontEnd.mel.fMax',
    /8000 Hz/,
  ],
  [
    'winLength',
    'audio',
    (s) => (s.frontEnd = { ...melFrontEnd, mel: { ...melFrontEnd.mel, winLength: 600 } }),
    'frontEnd.mel.winLength',
    /512/,
  ],
  [
    'mel field',
    'audio',
    (s) => (s.frontEnd = { ...melFrontEnd, mel: { ...melFrontEnd.mel, nFTT: 600 } }),
    'frontEnd.mel.nFTT',
    /did you mean nFft\?/,
  ],
];

for (const [what, base, change, field, words] of bad) {
  test(`a bad spec is refused by field: ${what}`, (t) => {
    const spec = structuredClone(specs[base]!);
    change(spec);
    const error = t.throws(() => parseEncoderSpec(spec, 'some.json'), { instanceOf: ModelError });
    t.is(error.code, 'ERR_MODEL_SPEC');
    t.is(error.field, field);
    t.is(error.file, 'some.json');
    t.regex(error.message, words);
  });
}

test('what is not an object, or not JSON, is refused', (t) => {
  for (const value of [null, 3, 'x', []]) {
    t.is(t.throws(() => parseEncoderSpec(value), { instanceOf: ModelError }).code, 'ERR_MODEL_SPEC');
  }
  const error = t.throws(() => parseEncoderSpecText('{"name": ', 'a.json'), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_SPEC');
  t.regex(error.message, /JSON.*a\.json/);
});

test('paths inside a directory', (t) => {
  for (const good of ['a', 'a/b.onnx', 'a..b', '.hidden', 'a b/ü']) t.true(isPathInside(good), good);
  for (const path of ['', '.', '..', '/', 'a//b', './a', 'a/', 'a/..', '../a', 'a\0', 'x:/a', '\\\\h\\s']) {
    t.false(isPathInside(path), path);
  }
});

test('a link may lead anywhere inside the directory and nowhere else', async (t) => {
  const root = await temporaryDirectory();
  await mkdir(join(root, 'in/blobs'), { recursive: true });
  await writeFile(join(root, 'outside'), 'x');
  await writeFile(join(root, 'in/blobs/1'), 'x');
  await symlink('blobs/1', join(root, 'in/good'));
  await symlink('../outside', join(root, 'in/bad'));
  await symlink(root, join(root, 'in/up'));
  t.true((await resolveInside(join(root, 'in'), 'good', 'file')).endsWith('blobs/1'));
  for (const path of ['bad', 'up/outside']) {
    const error = await t.throwsAsync(resolveInside(join(root, 'in'), path, 'file'), {
      instanceOf: ModelError,
    });
    t.is(error.code, 'ERR_MODEL_SPEC');
    t.regex(error.message, /a link that leaves it/);
  }
  for (const path of ['blobs', 'nothing', 'blobs/1/2']) {
    const error = await t.throwsAsync(resolveInside(join(root, 'in'), path, 'file'), {
      instanceOf: ModelError,
    });
    t.is(error.code, 'ERR_MODEL_NOT_FOUND', path);
  }
});

test('hashes are those of the whole file, and can be cancelled', async (t) => {
  const path = join(await temporaryDirectory(), 'f');
  const data = Buffer.alloc(1_000_003, 'cinefuse');
  await writeFile(path, data);
  t.deepEqual(await hashFile(path), { sha256: digest(data), bytes: data.length });
  const expected = { path, field: 'file', sha256: digest(data), bytes: data.length };
  await t.notThrowsAsync(verifyFile(expected));
  for (const change of [{ bytes: 3 }, { sha256: hash }]) {
    const error = await t.throwsAsync(verifyFile({ ...expected, ...change }), { instanceOf: ModelError });
    t.is(error.code, 'ERR_MODEL_CHECKSUM');
  }
  await t.throwsAsync(hashFile(path, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('the nearest name forgives small slips only', (t) => {
  const known = ['maxTokens', 'padId', 'filter'];
  t.is(nearestName('maxtoken', known), 'maxTokens');
  t.is(nearestName('fitler', known), 'filter');
  t.is(nearestName('padID', known), 'padId');
  t.is(nearestName('quite different', known), undefined);
  t.is(nearestName('a', []), undefined);
});
