import { InputError } from '../errors.js';
import { nearestName } from '../nearest.js';
import { type EncoderSpec, parseEncoderSpec, type TextEncoderSpec } from './spec.js';

/** A known encoder on the Hugging Face hub: where its files are and the spec they get once they are here. */
export interface Preset {
  name: string;
  use: string;
  /** owner/name on the hub. */
  repository: string;
  /** Branch, tag or commit. A branch may move: what was first fetched is recorded and held against later fetches. */
  revision: string;
  /** Paths in the repository; the first is the graph. `sha256` where it is pinned. */
  files: readonly { path: string; sha256?: string }[];
  /** About what is fetched in all. */
  megabytes: number;
  licence: string;
  /** False for licences that exclude commercial use or want reading first. */
  commercialUse: boolean;
  /** The spec without what only the files can tell (hashes, sizes). */
  spec: PresetSpec;
}

type WithoutHashes<T> = T extends unknown ? Omit<T, 'sha256' | 'bytes'> : never;
type PresetSpec =
  | WithoutHashes<Exclude<EncoderSpec, TextEncoderSpec>>
  | (Omit<WithoutHashes<TextEncoderSpec>, 'tokenizer'> & { tokenizer: PresetTokenizer });
interface PresetTokenizer {
  file: string;
  config: { file: string };
  maxTokens: number;
  padId: number;
  unknownId: number | null;
  dropIds: number[];
  addSpecialTokens: boolean;
  prefix?: string;
}

const TOKENIZER_FILES = [{ path: 'tokenizer.json' }, { path: 'tokenizer_config.json' }];

interface TextPresetOptions {
  name: string;
  use: string;
  repository: string;
  megabytes: number;
  licence: string;
  dim: number;
  languages: string[] | 'any';
  pooling: 'mean' | 'cls';
  normalize: boolean;
  tokenizer: 'bert' | 'xlm-roberta';
  maxTokens: number;
  prefix?: string;
}

/** Sentence encoders of one build: BERT-shaped graphs with three inputs and the last hidden state as output. */
function textPreset(options: TextPresetOptions): Preset {
  const { name, use, repository, megabytes, licence, dim, languages, pooling, normalize } = options;
  const graph = 'onnx/model_quantized.onnx';
  const ids = options.tokenizer === 'bert' ? { padId: 0, unknownId: 100 } : { padId: 1, unknownId: 3 };
  return {
    name,
    use,
    repository,
    revision: 'main',
    files: [{ path: graph }, ...TOKENIZER_FILES],
    megabytes,
    licence,
    commercialUse: true,
    spec: {
      specVersion: 1,
      name,
      version: 'main',
      modality: 'text',
      file: graph,
      inputs: { inputIds: 'input_ids', attentionMask: 'attention_mask', tokenTypeIds: 'token_type_ids' },
      output: 'last_hidden_state',
      dim,
      maxBatch: 16,
      licence,
      source: `Hugging Face hub, ${repository}`,
      tokenizer: {
        file: 'tokenizer.json',
        config: { file: 'tokenizer_config.json' },
        maxTokens: options.maxTokens,
        ...ids,
        dropIds: [],
        addSpecialTokens: true,
        ...(options.prefix !== undefined && { prefix: options.prefix }),
      },
      languages,
      maxUnknownShare: 0.3,
      pooling,
      normalize,
    },
  };
}

function clipVision(options: {
  name: string;
  use: string;
  repository: string;
  megabytes: number;
  licence: string;
  commercialUse: boolean;
  size: number;
  filter: 'bilinear' | 'bicubic';
  mean: [number, number, number];
  std: [number, number, number];
}): Preset {
  const { name, use, repository, megabytes, licence, commercialUse, size, filter, mean, std } = options;
  const graph = 'onnx/vision_model_quantized.onnx';
  return {
    name,
    use,
    repository,
    revision: 'main',
    files: [{ path: graph }],
    megabytes,
    licence,
    commercialUse,
    spec: {
      specVersion: 1,
      name,
      version: 'main',
      modality: 'image',
      file: graph,
      inputs: { image: 'pixel_values' },
      output: 'image_embeds',
      dim: 512,
      maxBatch: 16,
      licence,
      source: `Hugging Face hub, ${repository}`,
      transform: { resize: size, crop: [size, size], filter, rounding: 'uint8', mean, std },
      pooling: 'none',
      normalize: true,
    },
  };
}

const MULTILINGUAL_MINILM_LANGUAGES =
  'ar bg ca cs da de el en es et fa fi fr gl gu he hi hr hu hy id it ja ka ko ku lt lv mk mn mr ms my nl no pl pt ro ru sk sl sq sr sv th tr uk ur vi zh';

const AST_MEAN = -4.2677393;
const AST_STD = 4.5689974;

/**
 * Encoders that can be fetched on request. Names of inputs and outputs, sizes and licences are as the models' pages and
 * exports have them; the graph itself is held against its spec when it is loaded, so a difference is an error, never
 * a wrong vector.
 */
export const PRESETS: readonly Preset[] = [
  textPreset({
    name: 'minilm-en',
    use: 'English text',
    repository: 'Xenova/all-MiniLM-L6-v2',
    megabytes: 24,
    licence: 'Apache-2.0',
    dim: 384,
    languages: ['en'],
    pooling: 'mean',
    normalize: true,
    tokenizer: 'bert',
    maxTokens: 256,
  }),
  textPreset({
    name: 'minilm-en-small',
    use: 'English text, smaller and faster',
    repository: 'Xenova/paraphrase-MiniLM-L3-v2',
    megabytes: 18,
    licence: 'Apache-2.0',
    dim: 384,
    languages: ['en'],
    pooling: 'mean',
    normalize: false,
    tokenizer: 'bert',
    maxTokens: 128,
  }),
  textPreset({
    name: 'bge-small-en',
    use: 'English text',
    repository: 'Xenova/bge-small-en-v1.5',
    megabytes: 35,
    licence: 'MIT',
    dim: 384,
    languages: ['en'],
    pooling: 'cls',
    normalize: true,
    tokenizer: 'bert',
    maxTokens: 512,
  }),
  textPreset({
    name: 'bge-small-zh',
    use: 'Chinese text',
    repository: 'Xenova/bge-small-zh-v1.5',
    megabytes: 25,
    licence: 'MIT',
    dim: 512,
    languages: ['zh'],
    pooling: 'cls',
    normalize: true,
    tokenizer: 'bert',
    maxTokens: 512,
  }),
  textPreset({
    name: 'minilm-multilingual',
    use: 'text in 50 languages',
    repository: 'Xenova/paraphrase-multilingual-MiniLM-L12-v2',
    megabytes: 135,
    licence: 'Apache-2.0',
    dim: 384,
    languages: MULTILINGUAL_MINILM_LANGUAGES.split(' '),
    pooling: 'mean',
    normalize: false,
    tokenizer: 'xlm-roberta',
    maxTokens: 128,
  }),
  textPreset({
    name: 'e5-small-multilingual',
    use: 'text in about 100 languages',
    repository: 'Xenova/multilingual-e5-small',
    megabytes: 135,
    licence: 'MIT',
    dim: 384,
    languages: 'any',
    pooling: 'mean',
    normalize: true,
    tokenizer: 'xlm-roberta',
    maxTokens: 512,
    prefix: 'query: ',
  }),
  clipVision({
    name: 'clip-vit-b32',
    use: 'posters and frames',
    repository: 'Xenova/clip-vit-base-patch32',
    megabytes: 89,
    licence: 'MIT',
    commercialUse: true,
    size: 224,
    filter: 'bicubic',
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  }),
  clipVision({
    name: 'mobileclip-s0',
    use: 'posters and frames, smaller and faster',
    repository: 'Xenova/mobileclip_s0',
    megabytes: 12,
    licence: 'LicenseRef-Apple-MobileCLIP',
    commercialUse: false,
    size: 256,
    filter: 'bilinear',
    mean: [0, 0, 0],
    std: [1, 1, 1],
  }),
  {
    name: 'clap',
    use: 'music and sound in general, windows of 10 s',
    repository: 'Xenova/clap-htsat-unfused',
    revision: 'main',
    files: [{ path: 'onnx/audio_model_quantized.onnx' }],
    megabytes: 34,
    licence: 'Apache-2.0',
    commercialUse: true,
    spec: {
      specVersion: 1,
      name: 'clap',
      version: 'main',
      modality: 'audio',
      file: 'onnx/audio_model_quantized.onnx',
      inputs: { audio: 'input_features' },
      output: 'audio_embeds',
      dim: 512,
      maxBatch: 4,
      licence: 'Apache-2.0',
      source: 'Hugging Face hub, Xenova/clap-htsat-unfused',
      frontEnd: {
        kind: 'mel',
        sampleRate: 48_000,
        sampleScale: 1,
        mel: {
          convention: 'librosa',
          nFft: 1024,
          winLength: 1024,
          hopLength: 480,
          window: 'hann',
          padMode: 'reflect',
          power: 2,
          nMels: 64,
          fMin: 50,
          fMax: 14_000,
          melScale: 'slaney',
          norm: 'slaney',
          scaling: { kind: 'db', amin: 1e-10, topDb: null },
        },
        featureScale: 1,
        featureOffset: 0,
        windowFrames: 1001,
        hopFrames: 1000,
        axes: ['batch', 'channel', 'frames', 'mels'],
        tail: 'pad',
      },
      pooling: 'none',
      normalize: true,
    },
  },
  {
    name: 'ast-audioset',
    use: 'music and sound in general: scores of 527 AudioSet classes, windows of 10.24 s',
    repository: 'Xenova/ast-finetuned-audioset-10-10-0.4593',
    revision: 'main',
    files: [{ path: 'onnx/model_quantized.onnx' }],
    megabytes: 91,
    licence: 'BSD-3-Clause',
    commercialUse: true,
    spec: {
      specVersion: 1,
      name: 'ast-audioset',
      version: 'main',
      modality: 'audio',
      file: 'onnx/model_quantized.onnx',
      inputs: { audio: 'input_values' },
      output: 'logits',
      dim: 527,
      maxBatch: 2,
      licence: 'BSD-3-Clause',
      source: 'Hugging Face hub, Xenova/ast-finetuned-audioset-10-10-0.4593',
      frontEnd: {
        kind: 'mel',
        sampleRate: 16_000,
        sampleScale: 1,
        mel: { convention: 'kaldi', nMels: 128, fMin: 20, fMax: 8000, window: 'hann' },
        // (x - AST_MEAN) / (2 AST_STD)
        featureScale: 1 / (2 * AST_STD),
        featureOffset: -AST_MEAN / (2 * AST_STD),
        windowFrames: 1024,
        hopFrames: 1024,
        axes: ['batch', 'frames', 'mels'],
        tail: 'drop',
      },
      pooling: 'none',
      normalize: false,
    },
  },
  {
    name: 'timesformer-k600',
    use: 'trailers as clips of 8 frames: 600 kinds of action',
    repository: 'onnx-community/timesformer-base-finetuned-k600',
    revision: 'main',
    files: [{ path: 'onnx/model_quantized.onnx' }],
    megabytes: 123,
    licence: 'CC-BY-NC-4.0',
    commercialUse: false,
    spec: {
      specVersion: 1,
      name: 'timesformer-k600',
      version: 'main',
      modality: 'video',
      file: 'onnx/model_quantized.onnx',
      inputs: { frames: 'pixel_values' },
      output: 'logits',
      dim: 600,
      maxBatch: 1,
      licence: 'CC-BY-NC-4.0',
      source: 'Hugging Face hub, onnx-community/timesformer-base-finetuned-k600',
      transform: {
        resize: 224,
        crop: [224, 224],
        filter: 'bilinear',
        rounding: 'uint8',
        mean: [0.45, 0.45, 0.45],
        std: [0.225, 0.225, 0.225],
      },
      clip: { frames: 8, hop: 8, layout: 'btchw' },
      pooling: 'none',
      normalize: false,
    },
  },
];

/** @throws InputError ERR_INPUT_VALUE  naming the nearest preset */
export function findPreset(name: string): Preset {
  const preset = PRESETS.find((candidate) => candidate.name === name);
  if (preset !== undefined) return preset;
  const names = PRESETS.map((candidate) => candidate.name);
  const nearest = nearestName(name, names);
  throw new InputError('ERR_INPUT_VALUE', {
    field: 'preset',
    expected: nearest === undefined ? `one of ${names.join(', ')}` : `a preset (did you mean ${nearest}?)`,
    got: JSON.stringify(name),
  });
}

/** The preset's spec, completed with what its files turned out to be. Its paths stay those of the repository. */
export function completeSpec(
  preset: Preset,
  files: readonly { path: string; sha256: string; bytes: number }[],
  version: string,
): EncoderSpec {
  const complete = <F extends { file: string }>(part: F) => {
    const { sha256, bytes } = files.find(({ path }) => path === part.file)!;
    return { ...part, sha256, bytes };
  };
  const { spec } = preset;
  const whole = { ...complete(spec), version };
  if (spec.modality !== 'text') return parseEncoderSpec(whole, `preset ${preset.name}`);
  const tokenizer = { ...complete(spec.tokenizer), config: complete(spec.tokenizer.config) };
  return parseEncoderSpec({ ...whole, tokenizer }, `preset ${preset.name}`);
}
