/**
 * A small but complete bundle made on the spot: real ONNX encoders (a mean-pooled token table, a picture's colour
 * averages, a band energy of sound), a metadata encoder and TF-IDF fitted on a handful of invented films, and a fusion
 * network with random weights. For tests of everything around the numbers.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { EncoderSpec } from '../lib/encoders/spec.js';
import { type BundleContents, saveBundle } from '../lib/fusion/bundle-save.js';
import type { BundleManifest } from '../lib/fusion/manifest.js';
import { type FusionNetworkSpec, weightShapes } from '../lib/fusion/network-spec.js';
import type { StoredTensor } from '../lib/formats/safetensors.js';
import { fitMetadata } from '../lib/metadata/fit.js';
import { MetadataEncoder } from '../lib/metadata/metadata-encoder.js';
import { random } from './backends.js';
import { model, node, tensor, value } from './onnx.js';

export type Fusion = FusionNetworkSpec['fusion'];

const WORDS = 'a the of man woman war love sea light ship death night king city war family story film'.split(
  ' ',
);
const VOCABULARY = ['[PAD]', '[UNK]', ...new Set(WORDS)];

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const floats = (n: number, seed: number, scale = 1) => {
  const next = random(seed);
  return Float32Array.from({ length: n }, () => (next() * 2 - 1) * scale);
};

function tokenizer(): Buffer {
  return Buffer.from(
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: null,
      decoder: null,
      model: {
        type: 'WordLevel',
        vocab: Object.fromEntries(VOCABULARY.map((word, id) => [word, id])),
        unk_token: '[UNK]',
      },
    }),
  );
}

/** ids (batch, tokens) -> mean over tokens of their rows of a table: (batch, 6) */
function textModel(): Buffer {
  return model({
    nodes: [
      node('Gather', ['table', 'input_ids'], ['rows']),
      node('ReduceMean', ['rows'], ['embedding'], { axes: [1], keepdims: 0 }),
    ],
    inputs: [value('input_ids', 'int64', ['batch', 'tokens'])],
    outputs: [value('embedding', 'float', ['batch', 6])],
    initializers: [tensor('table', 'float', [VOCABULARY.length, 6], floats(VOCABULARY.length * 6, 1))],
  });
}

/** image (batch, 3, 16, 16) -> mean of each channel, and of the squares: (batch, 6) */
function imageModel(): Buffer {
  return model({
    nodes: [
      node('ReduceMean', ['image'], ['mean'], { axes: [2, 3], keepdims: 0 }),
      node('Mul', ['image', 'image'], ['squares']),
      node('ReduceMean', ['squares'], ['power'], { axes: [2, 3], keepdims: 0 }),
      node('Concat', ['mean', 'power'], ['features'], { axis: 1 }),
    ],
    inputs: [value('image', 'float', ['batch', 3, 16, 16])],
    outputs: [value('features', 'float', ['batch', 6])],
  });
}

/** samples (batch, 8000) -> mean and mean square: (batch, 2) */
function audioModel(): Buffer {
  return model({
    nodes: [
      node('ReduceMean', ['samples'], ['mean'], { axes: [1], keepdims: 1 }),
      node('Mul', ['samples', 'samples'], ['squares']),
      node('ReduceMean', ['squares'], ['power'], { axes: [1], keepdims: 1 }),
      node('Concat', ['mean', 'power'], ['features'], { axis: 1 }),
    ],
    inputs: [value('samples', 'float', ['batch', 8000])],
    outputs: [value('features', 'float', ['batch', 2])],
  });
}

const COMMON = {
  specVersion: 1 as const,
  version: '1',
  maxBatch: 8,
  licence: 'Apache-2.0',
  source: 'test/tiny-bundle.ts',
};
const of = (file: string, bytes: Uint8Array) => ({ file, sha256: sha256(bytes), bytes: bytes.length });

function encoders(): { spec: EncoderSpec; files: Record<string, Uint8Array> }[] {
  const tokens = tokenizer();
  const text = textModel();
  const image = imageModel();
  const audio = audioModel();
  return [
    {
      spec: {
        ...COMMON,
        ...of('model.onnx', text),
        name: 'words',
        modality: 'text',
        output: 'embedding',
        dim: 6,
        inputs: { inputIds: 'input_ids' },
        tokenizer: {
          ...of('tokenizer.json', tokens),
          maxTokens: 12,
          padId: 0,
          unknownId: 1,
          dropIds: [1],
          addSpecialTokens: false,
        },
        languages: ['en'],
        maxUnknownShare: 1,
        pooling: 'none',
        normalize: false,
      },
      files: { 'model.onnx': text, 'tokenizer.json': tokens },
    },
    {
      spec: {
        ...COMMON,
        ...of('model.onnx', image),
        name: 'colours',
        modality: 'image',
        output: 'features',
        dim: 6,
        inputs: { image: 'image' },
        transform: {
          resize: [16, 16],
          filter: 'bilinear',
          rounding: 'float',
          mean: [0, 0, 0],
          std: [1, 1, 1],
        },
        pooling: 'none',
        normalize: false,
      },
      files: { 'model.onnx': image },
    },
    {
      spec: {
        ...COMMON,
        ...of('model.onnx', audio),
        name: 'loudness',
        modality: 'audio',
        output: 'features',
        dim: 2,
        inputs: { audio: 'samples' },
        frontEnd: {
          kind: 'waveform',
          sampleRate: 16000,
          sampleScale: 1,
          windowSamples: 8000,
          hopSamples: 8000,
          axes: ['batch', 'samples'],
          tail: 'pad',
        },
        pooling: 'none',
        normalize: false,
      },
      files: { 'model.onnx': audio },
    },
  ];
}

const FILMS = [
  {
    fields: {
      title: 'Sea',
      releaseDate: '1999-03',
      runtime: 90,
      budget: 1e6,
      genres: ['Drama'],
      cast: ['Ann Lee'],
      director: 'Bo Ek',
    },
    rating: 7,
    logRevenue: 6.5,
  },
  {
    fields: {
      title: 'Ship',
      releaseDate: '2004-07',
      runtime: 100,
      budget: 2e6,
      genres: ['Action'],
      cast: ['Ann Lee', 'Cy Orr'],
      director: 'Bo Ek',
    },
    rating: 6.5,
    logRevenue: 7,
  },
  {
    fields: {
      title: 'War 2',
      releaseDate: '2008-11',
      runtime: 130,
      budget: 9e7,
      genres: ['War', 'Action'],
      cast: ['Cy Orr'],
      director: 'Di Fay',
    },
    rating: 5.5,
    logRevenue: 8.2,
  },
  {
    fields: {
      title: 'Love',
      releaseDate: '2011-02',
      runtime: 80,
      budget: 5e5,
      genres: ['Romance'],
      cast: ['Ed Gu'],
      director: 'Hal Ito',
    },
    rating: 6,
    logRevenue: 5.9,
  },
];

/** All the contents of the bundle. Change what you want to test. */
export function tinyContents(fusion: Fusion = { kind: 'concat' }): BundleContents {
  const metadata = fitMetadata(FILMS);
  const layer = { out: 8, activation: 'tanh' as const, layerNorm: false };
  const network: FusionNetworkSpec = {
    modalities: [
      { name: 'synopsis', dim: 6, sequence: { pooling: 'mean' }, projection: layer },
      { name: 'terms', dim: 3, projection: layer },
      { name: 'metadata', dim: new MetadataEncoder(metadata).dim, projection: layer },
      { name: 'poster', dim: 6, projection: layer },
      { name: 'frames', dim: 6, sequence: { pooling: 'attention', attentionDim: 4 }, projection: layer },
      { name: 'sound', dim: 2, sequence: { pooling: 'attention', attentionDim: 4 }, projection: layer },
    ],
    fusion,
    trunk: [layer],
    heads: ['rating', 'ratingSpread', 'wellReceived', 'boxOffice', 'laughs'].map((name) => ({
      name,
      out: 1,
    })),
  };
  if (fusion.kind === 'tensor') network.modalities = network.modalities.slice(2, 6);
  const tensors = new Map<string, StoredTensor>();
  const put = (name: string, shape: readonly number[], data: Float32Array | Int8Array) =>
    tensors.set(name, { dtype: data instanceof Int8Array ? 'I8' : 'F32', shape, data });
  let seed = 100;
  for (const [name, shape] of weightShapes(network)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const fanIn = shape.at(-1)!;
    if (name.endsWith('.scaler.scale')) put(name, shape, new Float32Array(size).fill(1));
    else put(name, shape, floats(size, seed++, 1 / Math.sqrt(fanIn)));
  }
  const terms = ['sea', 'war', 'love', 'ship'];
  put('tfidf.terms.idf', [4], Float32Array.of(1, 1.2, 1.1, 2));
  put(
    'tfidf.terms.projection',
    [4, 3],
    Int8Array.from({ length: 12 }, (_, i) => (i * 37) % 100),
  );
  put('tfidf.terms.scale', [3], Float32Array.of(0.01, 0.02, 0.01));
  put('sentiment.en.weight', [9], floats(9, 5));
  put('sentiment.en.bias', [1], Float32Array.of(0.1));

  const inputs = {
    synopsis: 'synopsis',
    terms: 'synopsis',
    metadata: 'metadata',
    poster: 'poster',
    frames: 'trailer.video',
    sound: 'trailer.audio',
  } as const;
  const encoderOf = {
    synopsis: 'words',
    terms: 'terms',
    metadata: 'metadata',
    poster: 'colours',
    frames: 'colours',
    sound: 'loudness',
  } as const;
  const files: Record<string, Uint8Array> = {};
  const specs: string[] = [];
  for (const { spec, files: own } of encoders()) {
    const file = `encoders/${spec.name}/encoder.json`;
    specs.push(file);
    files[file] = Buffer.from(JSON.stringify(spec));
    for (const [name, bytes] of Object.entries(own)) files[`encoders/${spec.name}/${name}`] = bytes;
  }
  const manifest: Omit<BundleManifest, 'files'> = {
    format: 'cinefuse-bundle',
    formatVersion: 1,
    name: 'tiny',
    version: '1.0.0',
    licence: 'Apache-2.0',
    encoders: specs,
    tfidf: [{ version: 1, name: 'terms', vocabulary: terms.join('\n'), dim: 3, languages: ['en'] }],
    metadata,
    modalities: network.modalities.map(({ name }) => {
      const key = name as keyof typeof inputs;
      return {
        name,
        input: inputs[key],
        encoder: encoderOf[key],
        ...(inputs[key] === 'synopsis' && { languages: ['en'] }),
        ...(key === 'frames' && { sampling: { kind: 'uniform' as const, count: 4 } }),
      };
    }),
    network,
    heads: [
      {
        name: 'rating',
        task: 'regression',
        unit: 'points of 10',
        mean: 6,
        std: 1,
        min: 0,
        max: 10,
        transform: 'none',
        interval: {
          level: 0.9,
          quantiles: { '*': 1.5, metadata: 1.25 },
          spreadHead: 'ratingSpread',
          calibratedOn: 'nothing',
        },
      },
      { name: 'ratingSpread', task: 'auxiliary' },
      {
        name: 'wellReceived',
        task: 'binary',
        positive: 'rating >= 6.1',
        temperatures: { '*': 1.5 },
        threshold: 0.5,
        calibratedOn: 'nothing',
      },
      {
        name: 'boxOffice',
        task: 'regression',
        unit: 'USD',
        mean: 7,
        std: 1,
        transform: 'log10',
        interval: { level: 0.9, quantiles: { '*': 1 }, calibratedOn: 'nothing' },
      },
      {
        name: 'laughs',
        task: 'binary',
        positive: 'somebody laughs',
        temperatures: { '*': 1 },
        threshold: 0.5,
        calibratedOn: 'nothing',
      },
    ],
    sentiment: { en: { features: ['words', 'terms'], temperature: 1, trainedOn: 'nothing', metrics: {} } },
    notUsed: { script: 'this model has no script encoder', audio: 'this model has no use for music' },
    beforeRelease: true,
    metrics: {},
    training: {},
    card: {},
  };
  return { manifest, tensors, files };
}

/** A temporary directory that goes away with `using`. */
export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const directory = await mkdtemp(path.join(tmpdir(), 'cinefuse-test-'));
  return { path: directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** Writes the bundle to `directory`/bundle and returns that path. */
export async function saveTiny(directory: string, fusion?: Fusion): Promise<string> {
  const target = path.join(directory, 'bundle');
  await saveBundle(target, tinyContents(fusion));
  return target;
}
