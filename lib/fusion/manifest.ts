import { z } from 'zod';
import { isPathInside } from '../encoders/files.js';
import { BundleError } from '../errors.js';
import { metadataSpecSchema } from '../metadata/spec.js';
import { nearestName } from '../nearest.js';
import { tfidfSpecSchema } from '../text/tfidf.js';
import { fusionNetworkSchema, parseFusionNetworkSpec } from './network-spec.js';

/**
 * bundle.json: what a bundle says of itself. docs/bundle-format.md is its manual. A change that an older reader would
 * misread raises BUNDLE_FORMAT_VERSION.
 */

export const BUNDLE_FORMAT_VERSION = 1;

/** The inputs of a film that a modality can be made of. */
export const INPUT_NAMES = [
  'title',
  'synopsis',
  'script',
  'subtitles',
  'reviews',
  'metadata',
  'poster',
  'trailer.video',
  'trailer.audio',
  'audio',
] as const;
export type InputName = (typeof INPUT_NAMES)[number];

const name = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a name of letters, digits, "-" and "_"');
const finite = z.number().refine(Number.isFinite, 'a finite number');
const share = z.number().gt(0).lt(1);
const bundlePath = z
  .string()
  .max(300)
  .refine(isPathInside, 'a relative path with "/" that stays inside the bundle');

/**
 * A number for each set of modalities that can be present: keys are the names of the present ones, in the network's
 * order, joined by "+"; "*" stands for every set that is not listed.
 */
const byPresence = z
  .record(z.string(), z.number().positive())
  .refine((table) => table['*'] !== undefined, 'a table with an entry "*"');

const isotonicCurve = z
  .strictObject({
    /** Outputs, rising. */
    outputs: z.array(finite).min(1).max(10_000),
    /** Their probabilities, not falling. */
    probabilities: z.array(z.number().min(0).max(1)).min(1).max(10_000),
  })
  .refine(
    ({ outputs, probabilities }) =>
      outputs.length === probabilities.length &&
      outputs.every((x, i) => i === 0 || x > outputs[i - 1]!) &&
      probabilities.every((p, i) => i === 0 || p >= probabilities[i - 1]!),
    'as many probabilities as outputs, these rising and those not falling',
  );

const regressionHead = z.strictObject({
  name,
  task: z.literal('regression'),
  /** What a value is counted in: "rating points of 10", "USD". */
  unit: z.string().min(1),
  /** model value = output * std + mean */
  mean: finite,
  std: z.number().positive(),
  /** Bounds of the model value. */
  min: finite.optional(),
  max: finite.optional(),
  /** 'log10': the model value is the decimal logarithm of what is reported. */
  transform: z.enum(['none', 'log10']),
  /**
   * Split-conformal interval: model value ± quantile (times the spread, when there is one). The quantile is that of
   * the absolute residuals of held-out films at `level`, (n+1)-corrected.
   */
  interval: z.strictObject({
    level: share,
    quantiles: byPresence,
    /** Name of a head whose output o gives the spread e^o, by which residuals were divided. */
    spreadHead: name.optional(),
    /** How many films the quantiles come from, and which. */
    calibratedOn: z.string(),
  }),
});

const binaryHead = z.strictObject({
  name,
  task: z.literal('binary'),
  /** What the positive class is: "rating >= 6.1, the median of the training films". */
  positive: z.string().min(1),
  /** probability = sigmoid(output / temperature) */
  temperatures: byPresence,
  /**
   * In place of the temperatures: probability by the output, straight between the points, level beyond them. Isotonic
   * regression of held-out films, a table as for the temperatures.
   */
  isotonic: z
    .record(z.string(), isotonicCurve)
    .refine((table) => table['*'] !== undefined, 'a table with an entry "*"')
    .optional(),
  /** Probability from which the verdict is positive. */
  threshold: share,
  calibratedOn: z.string(),
});

const multiclassHead = z.strictObject({
  name,
  task: z.literal('multiclass'),
  /** The classes' names, one an output, in the outputs' order. */
  classes: z
    .array(z.string().min(1))
    .min(2)
    .max(1000)
    .refine((classes) => new Set(classes).size === classes.length, 'names that differ'),
  /** probabilities = softmax(outputs / temperature) */
  temperatures: byPresence,
  calibratedOn: z.string(),
});

/** A head that serves another one: the spread of an interval. Not reported. */
const auxiliaryHead = z.strictObject({ name, task: z.literal('auxiliary') });

const headSchema = z.discriminatedUnion('task', [regressionHead, binaryHead, multiclassHead, auxiliaryHead]);

const modalitySchema = z.strictObject({
  /** As in the network. */
  name,
  input: z.enum(INPUT_NAMES),
  /** An encoder of `encoders`, a member of `tfidf`, or "metadata". */
  encoder: z.string(),
  /** Languages whose texts this modality takes; a text in another one is reported as not used. */
  languages: z.array(z.string()).min(1).optional(),
  /** Frames taken from a trailer. Default: 16, evenly spread. */
  sampling: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('uniform'), count: z.int().min(1).max(4096) }),
      z.strictObject({
        kind: z.literal('fps'),
        fps: z.number().positive().max(240),
        maxCount: z.int().min(1).max(4096),
      }),
      z.strictObject({ kind: z.literal('keyframes'), maxCount: z.int().min(1).max(4096) }),
    ])
    .optional(),
  /** Sound taken from the beginning of a trailer or sound file. Default: all, within the media limits. */
  maxDurationMs: z.number().positive().optional(),
});

/** Polarity of the reviews handed in with a film, reported beside the forecast and never an input to it. */
const sentimentSchema = z.strictObject({
  /** Encoders and TF-IDF members whose vectors, end to end, are scored; sequences by their mean. */
  features: z.array(z.string()).min(1),
  /** probability = sigmoid((w·x + b) / temperature), w and b in the tensors `sentiment.LANGUAGE.weight`, `.bias` */
  temperature: z.number().positive(),
  trainedOn: z.string(),
  metrics: z.record(z.string(), z.unknown()),
});

export const manifestSchema = z.strictObject({
  format: z.literal('cinefuse-bundle'),
  formatVersion: z.literal(BUNDLE_FORMAT_VERSION),
  name: z.string().min(1).max(200),
  version: z.string().min(1).max(100),
  description: z.string().optional(),
  licence: z.string().min(1),
  /** Every other file of the bundle. A file that is not listed is not read. */
  files: z.record(
    bundlePath,
    z.strictObject({
      sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits'),
      bytes: z.int().nonnegative(),
    }),
  ),
  /** Paths of encoder specs (JSON) in the bundle. The files a spec names lie beside it. */
  encoders: z.array(bundlePath),
  /** Members' tensors: `tfidf.NAME.idf`, `.projection`, `.scale`. */
  tfidf: z.array(tfidfSpecSchema),
  metadata: metadataSpecSchema.optional(),
  modalities: z.array(modalitySchema).min(1),
  network: fusionNetworkSchema,
  heads: z.array(headSchema).min(1),
  sentiment: z.record(z.string(), sentimentSchema).optional(),
  /** Inputs that the forecast leaves aside, and why. */
  notUsed: z.partialRecord(z.enum(INPUT_NAMES), z.string()),
  /** Whether the inputs of the forecast are all known before a film's release. */
  beforeRelease: z.boolean(),
  /** Measured quality, with the name and hash of data and split. Free in form; shown by `describe()`. */
  metrics: z.record(z.string(), z.unknown()),
  /** How it was trained: data, seeds, configuration. */
  training: z.record(z.string(), z.unknown()),
  /** The model card's fields: intended use, limits, licence of the data, quality by group. */
  card: z.record(z.string(), z.unknown()),
});

export type BundleManifest = z.infer<typeof manifestSchema>;
export type BundleHead = z.infer<typeof headSchema>;
export type RegressionHead = z.infer<typeof regressionHead>;
export type BinaryHead = z.infer<typeof binaryHead>;
export type IsotonicCurve = z.infer<typeof isotonicCurve>;
export type MulticlassHead = z.infer<typeof multiclassHead>;
export type BundleModality = z.infer<typeof modalitySchema>;

/**
 * Checks the JSON value of a bundle.json against the schema and against itself.
 *
 * @param file  its path, for errors
 * @throws BundleError ERR_BUNDLE_VERSION  written by another version of the format
 * @throws BundleError ERR_BUNDLE_FORMAT   naming the field; for an unknown field the nearest known one
 */
export function parseManifest(value: unknown, file: string): BundleManifest {
  const head = (value ?? {}) as { format?: unknown; formatVersion?: unknown };
  if (head.format !== 'cinefuse-bundle') {
    throw new BundleError('ERR_BUNDLE_FORMAT', {
      file,
      field: 'format',
      expected: '"cinefuse-bundle"',
      got: JSON.stringify(head.format) ?? 'undefined',
    });
  }
  if (head.formatVersion !== BUNDLE_FORMAT_VERSION) {
    throw new BundleError('ERR_BUNDLE_VERSION', {
      file,
      field: 'formatVersion',
      expected: `version ${BUNDLE_FORMAT_VERSION} of the format`,
      got: JSON.stringify(head.formatVersion) ?? 'undefined',
    });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    if (issue.code === 'unrecognized_keys') {
      const key = issue.keys[0]!;
      const nearest =
        issue.path.length === 0 ? nearestName(key, Object.keys(manifestSchema.shape)) : undefined;
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        file,
        field: [...issue.path, key].join('.'),
        expected: nearest ? `a known field (did you mean ${nearest}?)` : 'a known field',
        got: 'an unknown one',
      });
    }
    throw new BundleError('ERR_BUNDLE_FORMAT', {
      file,
      field: issue.path.join('.'),
      message: `bundle.json, ${issue.path.join('.')}: ${issue.message} (${file})`,
    });
  }
  checkConsistency(parsed.data, file);
  return parsed.data;
}

function checkConsistency(manifest: BundleManifest, file: string): void {
  parseFusionNetworkSpec(manifest.network, file);
  const fail = (field: string, expected: string, got: string) => {
    throw new BundleError('ERR_BUNDLE_FORMAT', { file, field, expected, got });
  };
  const sameNames = (field: string, a: readonly string[], b: readonly string[]) => {
    if (a.length !== b.length || a.some((value, i) => value !== b[i])) {
      fail(field, `the names and order of the network: ${b.join(', ')}`, a.join(', '));
    }
  };
  sameNames(
    'modalities',
    manifest.modalities.map((m) => m.name),
    manifest.network.modalities.map((m) => m.name),
  );
  sameNames(
    'heads',
    manifest.heads.map((h) => h.name),
    manifest.network.heads.map((h) => h.name),
  );
  const outs = new Map(manifest.network.heads.map((h) => [h.name, h.out]));
  for (const head of manifest.heads) {
    const wanted = head.task === 'multiclass' ? head.classes.length : 1;
    if (outs.get(head.name) !== wanted) {
      const outputs = wanted === 1 ? '1 output' : `${wanted} outputs, one a class`;
      fail(`heads.${head.name}`, `a head with ${outputs}`, `${outs.get(head.name)}`);
    }
    if (head.task !== 'regression') continue;
    const { spreadHead } = head.interval;
    if (spreadHead && !manifest.heads.some((h) => h.name === spreadHead && h.task === 'auxiliary')) {
      fail(`heads.${head.name}.interval.spreadHead`, 'an auxiliary head', spreadHead);
    }
  }
  if (manifest.modalities.some((m) => m.encoder === 'metadata') && !manifest.metadata) {
    fail('metadata', 'a metadata spec, since a modality uses it', 'none');
  }
  if (!manifest.files['weights.safetensors']) fail('files', 'an entry weights.safetensors', 'none');
  for (const path of manifest.encoders) {
    if (!manifest.files[path]) fail('files', `an entry ${path}, since encoders names it`, 'none');
  }
}
