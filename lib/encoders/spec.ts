import { z } from 'zod';
import { describeValue, ModelError } from '../errors.js';
import { nearestName } from '../nearest.js';
import { isPathInside } from './files.js';

/**
 * The encoder spec: a JSON object beside an ONNX file that says everything needed to feed it. Nothing is guessed:
 * what is not in the spec is either in the graph itself (tensor types) or an error. docs/encoders.md is its manual.
 */

const count = z.int().positive().max(1e9);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');
const relativePath = z
  .string()
  .min(1)
  .max(1000)
  .refine(isPathInside, 'expected a relative path with "/" that stays inside the directory of the spec');
const graphName = z.string().min(1).max(500);
const fileSchema = z.strictObject({ file: relativePath, sha256, bytes: count });

const common = {
  specVersion: z.literal(1),
  /** Unique in a bundle; what `EncoderPool.run` is called with. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected letters, digits, ".", "_", "-"'),
  version: z.string().min(1),
  file: relativePath,
  sha256,
  bytes: count,
  /** Weights that the graph keeps outside the .onnx; `file` must equal the location written in the graph. */
  externalData: z.array(fileSchema).optional(),
  output: graphName,
  /** Width of one embedding vector. */
  dim: count,
  /** Most samples (chunks, images, windows) in one run of the graph. */
  maxBatch: count.max(4096),
  /** SPDX expression. */
  licence: z.string().min(1),
  /** Where the weights come from: package or repository with its version, and the conversion. */
  source: z.string().min(1),
};

const textSchema = z.strictObject({
  ...common,
  modality: z.literal('text'),
  inputs: z.strictObject({
    inputIds: graphName,
    attentionMask: graphName.optional(),
    tokenTypeIds: graphName.optional(),
  }),
  tokenizer: z.strictObject({
    ...fileSchema.shape,
    /** tokenizer_config.json, where the tokenizer needs one. */
    config: fileSchema.optional(),
    /** Most ids of one chunk, special tokens included. */
    maxTokens: z.int().min(4).max(100_000),
    padId: z.int().nonnegative(),
    unknownId: z.int().nonnegative().nullable(),
    /** Ids removed before encoding: some graphs read their unknown id as padding. */
    dropIds: z.array(z.int().nonnegative()),
    addSpecialTokens: z.boolean(),
    /** Put before every chunk, e.g. "query: ". */
    prefix: z.string().optional(),
  }),
  /** ISO 639-1 (639-3 where there is none) codes the encoder was trained on, or 'any'. */
  languages: z.union([z.array(z.string().regex(/^[a-z]{2,3}$/)).min(1), z.literal('any')]),
  /** Texts with a larger share of unknown ids are refused. */
  maxUnknownShare: z.number().min(0).max(1),
  /** 'none': the output is (batch, dim). Else it is (batch, tokens, dim), and mean is over the tokens that are not padding. */
  pooling: z.enum(['none', 'mean', 'cls']),
  normalize: z.boolean(),
});

const transformSchema = z.strictObject({
  /** n: short side, aspect kept; [height, width]: exactly. */
  resize: z.union([count.max(4096), z.tuple([count.max(4096), count.max(4096)])]),
  /** Centre crop [height, width]. */
  crop: z.tuple([count.max(4096), count.max(4096)]).optional(),
  filter: z.enum(['bilinear', 'bicubic', 'lanczos']),
  /** 'uint8' is Pillow's path (rounds between the passes), 'float' is torch's antialiased one. */
  rounding: z.enum(['uint8', 'float']),
  /** (pixel / 255 - mean) / std for each of R, G, B. */
  mean: z.tuple([z.number(), z.number(), z.number()]),
  std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
});

const imageSchema = z.strictObject({
  ...common,
  modality: z.literal('image'),
  inputs: z.strictObject({ image: graphName }),
  transform: transformSchema,
  /** 'none': (batch, dim); 'cls' and 'mean-tokens': (batch, tokens, dim); 'mean-spatial': (batch, dim, h, w). */
  pooling: z.enum(['none', 'cls', 'mean-tokens', 'mean-spatial']),
  normalize: z.boolean(),
});

const videoSchema = z.strictObject({
  ...common,
  modality: z.literal('video'),
  /** One or both: pictures, and the flow between them (a two-stream encoder). */
  inputs: z.strictObject({ frames: graphName.optional(), flow: graphName.optional() }),
  transform: transformSchema,
  clip: z.strictObject({
    /** Sampled frames in one clip, or 'all': the whole video is one clip. */
    frames: z.union([count.max(4096), z.literal('all')]),
    /** Sampled frames between the starts of neighbouring clips; not used with 'all'. */
    hop: count.max(4096).optional(),
    layout: z.enum(['btchw', 'bcthw']),
  }),
  /**
   * Optical flow between the neighbouring frames of a clip, in pixels of the transform's output: one field fewer than
   * frames. With inputs.flow, and only then.
   */
  flow: z
    .strictObject({
      /** dx and dy are clipped to -bound..bound pixels. */
      bound: z.number().positive().max(1e4),
      /** The graph receives clipped pixels times this. */
      scale: z.number().positive().max(1e6),
      /** 'stacked': (batch, 2 fields, h, w): dx, dy of the first field, then of the next. */
      layout: z.enum(['stacked', 'btchw', 'bcthw']),
    })
    .optional(),
  pooling: z.enum(['none', 'cls', 'mean-tokens']),
  normalize: z.boolean(),
});

/** As the operator `mel` has them: lib/ops/spectrogram-spec.ts says what each computes. */
const melSchema = z.discriminatedUnion('convention', [
  z.strictObject({
    convention: z.literal('librosa'),
    nFft: count,
    winLength: count,
    hopLength: count,
    window: z.enum(['hann', 'hamming', 'blackman', 'rectangular']),
    /** 'none': frames start at multiples of hopLength; else they are centred there and the ends are padded so. */
    padMode: z.enum(['none', 'zero', 'reflect', 'edge']),
    /** Of the magnitude. */
    power: z.number().positive(),
    nMels: count,
    fMin: z.number().nonnegative(),
    fMax: z.number().positive(),
    melScale: z.enum(['slaney', 'htk']),
    norm: z.literal('slaney').nullable(),
    scaling: z.discriminatedUnion('kind', [
      /** 10 log10(max(amin, S)), raised to its maximum over the clip - topDb. */
      z.strictObject({
        kind: z.literal('db'),
        amin: z.number().positive(),
        topDb: z.number().positive().nullable(),
      }),
      /** log(max(amin, S + offset)). */
      z.strictObject({
        kind: z.literal('log'),
        base: z.union([z.literal('e'), z.literal(10)]),
        offset: z.number().nonnegative(),
        amin: z.number().nonnegative(),
      }),
    ]),
  }),
  z.strictObject({
    convention: z.literal('kaldi'),
    nMels: count,
    fMin: z.number().nonnegative(),
    fMax: z.number().positive(),
    window: z.enum(['povey', 'hann', 'hamming', 'blackman', 'rectangular']),
  }),
]);

const window = {
  /** A last window that the clip does not fill: left out, or filled with silence. A clip under one window is filled. */
  tail: z.enum(['drop', 'pad']),
};

const frontEndSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('waveform'),
    sampleRate: count.max(384_000),
    /** Samples in [-1, 1] are multiplied by this. */
    sampleScale: z.number().positive(),
    windowSamples: count,
    hopSamples: count,
    axes: z.array(z.enum(['batch', 'channel', 'samples'])).min(1),
    ...window,
  }),
  z.strictObject({
    kind: z.literal('mel'),
    sampleRate: count.max(384_000),
    sampleScale: z.number().positive(),
    mel: melSchema,
    /** The graph receives mel * featureScale + featureOffset. */
    featureScale: z.number(),
    featureOffset: z.number(),
    windowFrames: count,
    hopFrames: count,
    axes: z.array(z.enum(['batch', 'channel', 'frames', 'mels'])).min(2),
    ...window,
  }),
]);

const audioSchema = z.strictObject({
  ...common,
  modality: z.literal('audio'),
  inputs: z.strictObject({ audio: graphName }),
  frontEnd: frontEndSchema,
  pooling: z.enum(['none', 'cls', 'mean-tokens']),
  normalize: z.boolean(),
});

export const encoderSpecSchema = z.discriminatedUnion('modality', [
  textSchema,
  imageSchema,
  videoSchema,
  audioSchema,
]);

export type EncoderSpec = z.infer<typeof encoderSpecSchema>;
export type TextEncoderSpec = z.infer<typeof textSchema>;
export type ImageEncoderSpec = z.infer<typeof imageSchema>;
export type VideoEncoderSpec = z.infer<typeof videoSchema>;
export type AudioEncoderSpec = z.infer<typeof audioSchema>;
export type ImageTransform = z.infer<typeof transformSchema>;
export type AudioFrontEnd = z.infer<typeof frontEndSchema>;
export type VerifiedFile = z.infer<typeof fileSchema>;

/**
 * Checks a value against the spec schema and against itself (axes named once, window and hop fit, bands fit).
 *
 * @param where  what to call the spec in errors, e.g. its path
 * @throws ModelError ERR_MODEL_SPEC  naming the field, and for an unknown field the nearest known one
 */
export function parseEncoderSpec(value: unknown, where = 'encoder spec'): EncoderSpec {
  const parsed = encoderSpecSchema.safeParse(value);
  if (!parsed.success) throw specError(parsed.error.issues[0]!, value, where);
  checkConsistency(parsed.data, where);
  return parsed.data;
}

/** As parseEncoderSpec, from JSON text. */
export function parseEncoderSpecText(text: string, where = 'encoder spec'): EncoderSpec {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError('ERR_MODEL_SPEC', {
      file: where,
      expected: 'JSON',
      got: (cause as Error).message,
      cause,
    });
  }
  return parseEncoderSpec(value, where);
}

function specError(issue: z.core.$ZodIssue, value: unknown, where: string): ModelError {
  const field = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const known = knownKeys(value, issue.path);
    const nearest = nearestName(key, known);
    return new ModelError('ERR_MODEL_SPEC', {
      field: field === '' ? key : `${field}.${key}`,
      file: where,
      expected:
        nearest === undefined ? `one of ${known.join(', ')}` : `a known field (did you mean ${nearest}?)`,
      got: 'an unknown field',
    });
  }
  // Every branch of a plain union fails for its own reason; the one that got furthest is the one that was meant.
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const inner = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0]!;
    if (inner.path.length > 0) {
      return specError({ ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue, value, where);
    }
  }
  return new ModelError('ERR_MODEL_SPEC', {
    field: field || 'the spec',
    file: where,
    expected: issue.message.replace(/^(Invalid \w+: )?expected /i, '').replace(/, received .*$/, ''),
    got: describeValue(at(value, issue.path)),
  });
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

/** The keys the schema knows at `path`, found by walking it along the value's own discriminators. */
function knownKeys(value: unknown, path: readonly PropertyKey[]): string[] {
  let schema: z.core.$ZodType = encoderSpecSchema;
  for (let depth = 0; depth <= path.length; depth++) {
    schema = chooseBranch(schema, at(value, path.slice(0, depth)));
    if (depth < path.length && schema instanceof z.ZodObject) {
      schema = schema.shape[String(path[depth])] as z.core.$ZodType;
    }
  }
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function chooseBranch(schema: z.core.$ZodType, value: unknown): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return chooseBranch(schema.unwrap(), value);
  }
  if (schema instanceof z.ZodArray) return chooseBranch(schema.element, value);
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return schema;
  const key = schema.def.discriminator;
  const wanted = at(value, [key]);
  return (
    schema.options.find((option) => {
      const literal = option instanceof z.ZodObject ? option.shape[key] : undefined;
      return literal instanceof z.ZodLiteral && literal.value === wanted;
    }) ?? schema
  );
}

function checkConsistency(spec: EncoderSpec, where: string): void {
  const fail = (field: string, expected: string, got: string): never => {
    throw new ModelError('ERR_MODEL_SPEC', { field, file: where, expected, got });
  };
  if (spec.modality === 'video' && spec.clip.frames !== 'all' && spec.clip.hop === undefined) {
    fail('clip.hop', 'a number of frames, since clip.frames is a number', 'undefined');
  }
  if (spec.modality === 'video') {
    const { inputs, flow, clip } = spec;
    if (inputs.frames === undefined && inputs.flow === undefined) {
      fail('inputs', 'frames, flow or both', 'neither');
    }
    if ((inputs.flow === undefined) !== (flow === undefined)) {
      fail(
        'flow',
        'bound, scale and layout together with inputs.flow',
        `${flow === undefined ? 'only inputs.flow' : 'no inputs.flow'}`,
      );
    }
    if (flow !== undefined && clip.frames === 1) fail('clip.frames', '2 or more, for flow', 'the number 1');
  }
  if (spec.modality !== 'audio') return;
  const { frontEnd } = spec;
  if (new Set<string>(frontEnd.axes).size !== frontEnd.axes.length) {
    fail('frontEnd.axes', 'each axis once', JSON.stringify(frontEnd.axes));
  }
  const needed = frontEnd.kind === 'waveform' ? ['batch', 'samples'] : ['batch', 'frames', 'mels'];
  if (frontEnd.axes[0] !== 'batch' || !needed.every((axis) => (frontEnd.axes as string[]).includes(axis))) {
    fail('frontEnd.axes', `"batch" first, and ${needed.slice(1).join(', ')}`, JSON.stringify(frontEnd.axes));
  }
  if (frontEnd.kind === 'mel') {
    const { mel } = frontEnd;
    const nyquist = frontEnd.sampleRate / 2;
    if (mel.fMax > nyquist || mel.fMin >= mel.fMax) {
      fail('frontEnd.mel.fMax', `fMin < fMax <= ${nyquist} Hz`, `${mel.fMin} to ${mel.fMax} Hz`);
    }
    if (mel.convention === 'librosa' && mel.winLength > mel.nFft) {
      fail('frontEnd.mel.winLength', `at most nFft, ${mel.nFft}`, `the number ${mel.winLength}`);
    }
  }
}

/**
 * The same spec seen from a directory further up: every path gets `prefix` before it. For a spec whose files move into a
 * bundle or a cache.
 */
export function prefixSpecPaths<Spec extends EncoderSpec>(spec: Spec, prefix: string): Spec {
  const move = <F extends { file: string }>(part: F): F => ({ ...part, file: `${prefix}/${part.file}` });
  const moved = {
    ...move(spec),
    ...(spec.externalData !== undefined && { externalData: spec.externalData.map(move) }),
  };
  if (moved.modality !== 'text') return moved;
  const { tokenizer } = moved;
  const config = tokenizer.config && { config: move(tokenizer.config) };
  return { ...moved, tokenizer: { ...move(tokenizer), ...config } };
}
