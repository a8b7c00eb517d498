/** The schema of fuse.json and the types that come of it. */
import { z } from 'zod';
import { INPUT_NAMES } from '../fusion/manifest.js';
import { type FusionNetworkSpec, steppedFusions } from '../fusion/network-spec.js';
import { ACTIVATIONS } from '../ops/activation.js';
import { DEFAULT_FRACTIONS, datasetSchema, splitSchema } from './data/config.js';
import { kernelSection } from './kernel-schema.js';
import { searchSection } from './search-space.js';

const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a name of letters, digits, "-" and "_", a letter first');
const column = z.string().min(1).max(200);
const positive = z.number().positive();
const chance = z.number().min(0).lt(1);
const share = z.number().gt(0).lt(1);
const count = z.int().min(1);
const width = z.int().min(1).max(65_536);
const seed = z.int().min(0);

// data

const split = z.union([
  column.describe('A column that holds train, valid, test (and calibration).'),
  splitSchema,
]);

const condition = z
  .strictObject({
    column,
    above: z.number().optional(),
    atLeast: z.number().optional(),
    below: z.number().optional(),
    atMost: z.number().optional(),
    in: z
      .array(z.union([z.string(), z.number()]))
      .min(1)
      .optional(),
  })
  .refine((test) => Object.keys(test).length > 1, 'a bound or a list beside the column')
  .describe('A film that does not meet it counts as one whose target is unknown.');

const { path: _, ...reading } = datasetSchema.shape;
const dataSection = z.strictObject({
  ...reading,
  path: z
    .string()
    .min(1)
    .optional()
    .describe('The data set, relative to this file; the command line may name another.'),
  split: split
    .default({ kind: 'random', seed: 0, fractions: DEFAULT_FRACTIONS })
    .describe('Which films are learned from, chosen by and judged.'),
  weight: z
    .strictObject({
      column,
      softness: z.number().min(0).default(0).describe('weight = x / (x + softness); 0 takes x itself.'),
    })
    .optional()
    .describe("How much each film's errors count in training."),
  groups: z.array(column).default([]).describe('Columns by whose values results are reported.'),
  beforeRelease: z
    .boolean()
    .default(true)
    .describe(
      'Refuses inputs made of what is known only after release. false: lets them in, and the bundle says so.',
    ),
});

// inputs

const sampling = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('uniform'), count: z.int().min(1).max(4096) }),
  z.strictObject({
    kind: z.literal('fps'),
    fps: positive.max(240),
    maxCount: z.int().min(1).max(4096),
  }),
  z.strictObject({ kind: z.literal('keyframes'), maxCount: z.int().min(1).max(4096) }),
]);

const inputModality = z.strictObject({
  name,
  input: z.enum(INPUT_NAMES),
  encoder: z
    .string()
    .min(1)
    .describe('An encoder or TF-IDF member of the bundle, an encoder of `encoders`, or "metadata".'),
  languages: z.array(z.string()).min(1).optional().describe('Languages whose texts this modality takes.'),
  sampling: sampling.optional().describe('Frames taken from a trailer.'),
  maxDurationMs: positive.optional(),
});

const tfidfMember = z
  .strictObject({
    name,
    directions: z
      .int()
      .min(0)
      .max(1024)
      .default(38)
      .describe('Leading directions of the texts that are kept.'),
    targets: z
      .array(name)
      .max(64)
      .optional()
      .describe('Targets towards which a direction is fitted. Default: all of the task regression.'),
    leastTexts: count.default(5).describe('Training texts that must have a term for it to count.'),
    maxTerms: count.max(1_000_000).default(12_000),
    penalty: positive.default(4).describe("Ridge penalty of the targets' directions."),
    folds: z.int().min(2).max(100).default(10),
  })
  .describe('TF-IDF of words and pairs of words, fitted on the films in training.');

const inputsSection = z.strictObject({
  bundle: z.string().min(1).default('default').describe('Where encoders come from: "default" or a path.'),
  encoders: z
    .array(z.string().min(1))
    .default([])
    .describe('Encoder specs (JSON) beside those of the bundle.'),
  tfidf: z
    .array(tfidfMember)
    .max(16)
    .default([])
    .describe('Members fitted here; modalities name them as encoder.'),
  modalities: z.array(inputModality).min(1).max(32).optional().describe("Default: the bundle's own."),
  keep: z
    .enum(['used', 'all'])
    .default('used')
    .describe('Which encoders of `bundle` the new bundle has; "all" also those for `embed` alone.'),
  notUsed: z
    .partialRecord(z.enum(INPUT_NAMES), z.string().min(1).max(1000))
    .default({})
    .describe('Why inputs that the forecast leaves aside are left aside: told with every prediction.'),
});

// targets

const common = {
  name: name.describe(
    'The head; rating, wellReceived and boxOffice have places of their own in the feedback.',
  ),
  column: column.optional().describe("Where its values are. Default: a column of the head's name."),
  where: z.array(condition).max(16).optional(),
  judgedWhere: z
    .array(condition)
    .max(16)
    .optional()
    .describe('Which films it is calibrated and judged on, beside `where`.'),
  weight: positive.default(1).describe('Factor of its loss.'),
};
const regressionTarget = z.strictObject({
  ...common,
  task: z.literal('regression'),
  transform: z
    .enum(['none', 'log10'])
    .default('none')
    .describe('log10: learned and judged as decimal logarithm.'),
  unit: z.string().min(1).default('points'),
  min: z.number().optional().describe('Lowest value (after the transform) that is reported.'),
  max: z.number().optional(),
  loss: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('mse') }),
      z.strictObject({ kind: z.literal('mae') }),
      z.strictObject({ kind: z.literal('huber'), delta: positive.default(1) }),
    ])
    .default({ kind: 'mse' }),
  spread: z
    .union([z.boolean(), z.strictObject({ weight: positive.default(1) })])
    .default(false)
    .describe('Also learns how far off it will be, for intervals as wide as each film needs.'),
});
const binaryTarget = z.strictObject({
  ...common,
  task: z.literal('binary'),
  threshold: z
    .union([z.number(), z.literal('median')])
    .optional()
    .describe(
      'Positive from here on; "median" is that of the training films. Without it the column holds 0 and 1.',
    ),
  positive: z.string().min(1).optional().describe('What the positive class is, in words.'),
  loss: z.strictObject({ kind: z.literal('bce') }).default({ kind: 'bce' }),
});
const multiclassTarget = z.strictObject({
  ...common,
  task: z.literal('multiclass'),
  classes: z
    .array(z.string().min(1))
    .min(2)
    .max(1000)
    .optional()
    .describe("The classes' names, in order. Default: the values of the training films, sorted."),
  loss: z
    .strictObject({
      kind: z.literal('cross-entropy'),
      smoothing: chance.default(0),
      classWeights: z.union([z.literal('balanced'), z.array(positive)]).optional(),
    })
    .default({ kind: 'cross-entropy', smoothing: 0 }),
});
const target = z.discriminatedUnion('task', [regressionTarget, binaryTarget, multiclassTarget]);

// network

const layer = z.strictObject({
  out: width,
  activation: z.enum(ACTIVATIONS).default('silu'),
  layerNorm: z.boolean().default(false),
});
const networkModality = z.strictObject({
  projection: layer.partial().optional().describe('What differs from the common projection.'),
  sequence: z
    .strictObject({ pooling: z.enum(['mean', 'attention']), attentionDim: width.optional() })
    .optional()
    .describe('How a sequence becomes one vector. Default: the mean.'),
  principalDirections: z
    .strictObject({
      keep: width.describe('How many directions stay.'),
      power: z
        .number()
        .min(0)
        .max(1)
        .default(0.5)
        .describe('1 whitens wholly, 0 keeps the variances as they are.'),
    })
    .optional()
    .describe(
      'Learns from the leading principal directions only; served with the full vectors all the same.',
    ),
});
const networkSection = z.strictObject({
  fusion: z.discriminatedUnion('kind', [...steppedFusions, kernelSection]).default({ kind: 'concat' }),
  projection: layer.default({ out: 64, activation: 'silu', layerNorm: false }).describe('Of every modality.'),
  modalities: z.record(name, networkModality).default({}).describe('What single modalities have otherwise.'),
  trunk: z.array(layer).max(16).default([]),
});

// training

const optimizer = z.strictObject({
  kind: z.enum(['sgd', 'adam', 'adamw']).default('adam'),
  learningRate: positive.default(1e-3).describe('The highest of the schedule.'),
  momentum: chance.optional(),
  nesterov: z.boolean().optional(),
  beta1: chance.optional(),
  beta2: chance.optional(),
  epsilon: positive.optional(),
  weightDecay: z.number().min(0).default(0).describe('L2; decoupled with adamw.'),
  decayBiases: z.boolean().default(false),
});
const warmup = z
  .number()
  .min(0)
  .lt(1)
  .default(0)
  .describe('Share of all steps in which the rate rises from 0.');
const schedule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('constant'), warmup }),
  z.strictObject({ kind: z.literal('linear'), warmup, end: z.number().min(0).max(1).default(0) }),
  z.strictObject({ kind: z.literal('cosine'), warmup, end: z.number().min(0).max(1).default(0) }),
  z.strictObject({
    kind: z.literal('step'),
    warmup,
    every: count.describe('Epochs between the falls.'),
    factor: z.number().gt(0).lt(1).default(0.1),
  }),
  z.strictObject({
    kind: z.literal('one-cycle'),
    rise: share.default(0.3).describe('Share of all steps in which the rate rises.'),
    start: positive.max(1).default(0.04).describe('First rate, as a share of the highest.'),
    end: positive.max(1).default(4e-6).describe('Last rate, as a share of the highest.'),
  }),
]);
const trainingSection = z.strictObject({
  epochs: count.max(100_000).default(20),
  batchSize: count.max(1_048_576).default(32),
  optimizer: optimizer.prefault({}),
  schedule: schedule.default({ kind: 'constant', warmup: 0 }),
  clipNorm: positive.optional().describe('Largest Euclidean norm of all gradients together.'),
  l1: z.number().min(0).default(0),
  dropout: chance.default(0),
  inputDropout: chance.default(0),
  modalityDropout: z
    .union([chance, z.record(name, chance)])
    .default(0)
    .describe('Chance of a modality to be hidden from a film in an epoch, for all or by name.'),
  fewInputs: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "Share of the films of which each input is there or not by a coin's throw: little may be given.",
    ),
  earlyStopping: z
    .union([
      z.literal(false),
      z.strictObject({
        metric: z.string().min(1).default('loss').describe('"loss", or HEAD.METRIC as in "rating.rmse".'),
        patience: count.default(5).describe('Epochs without a better value before it stops.'),
        minDelta: z.number().min(0).default(0),
        restoreBest: z.boolean().default(true),
      }),
    ])
    .default(false),
  ensemble: z
    .union([count.max(32), z.array(seed).min(1).max(32)])
    .default(1)
    .describe(
      'Networks whose mean is served, merged into one: how many, or their seeds. Of the kind concat only.',
    ),
  frozen: z.array(z.string().min(1)).default([]).describe('Weights that stay as they begin.'),
  storedAs: z.enum(['float32', 'float16']).default('float32').describe('How the bundle keeps the weights.'),
});

const calibrationSection = z.strictObject({
  level: share.default(0.9).describe('Share of films whose truth an interval is to hold.'),
  probabilities: z.enum(['temperature', 'isotonic', 'none']).default('temperature'),
  minFilms: count
    .default(50)
    .describe('Fewest films for a figure of a set of modalities of its own; others take the widest of all.'),
});

export const fuseConfigSchema = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().min(1).max(200).default('trained'),
  version: z.string().min(1).max(100).default('1.0.0'),
  description: z.string().max(10_000).optional(),
  licence: z.string().min(1).max(1000).default('not stated'),
  card: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('The model card: intended use, data, limits. Free in form.'),
  seed: seed.default(0).describe('Everything random comes of it.'),
  data: dataSection.prefault({}),
  inputs: inputsSection.prefault({}),
  targets: z.array(target).min(1).max(64),
  network: networkSection.prefault({}),
  training: trainingSection.prefault({}),
  calibration: calibrationSection.prefault({}),
  search: searchSection.optional(),
});

/** As written: what has a default may be left out. */
export type FuseConfig = z.input<typeof fuseConfigSchema>;
/** As used: every default filled in. */
export type ParsedFuseConfig = z.output<typeof fuseConfigSchema>;
/** What fitTable reads of a configuration; of `inputs` only which modalities, and of what input. */
export type TableConfig = Pick<
  FuseConfig,
  'seed' | 'inputs' | 'targets' | 'network' | 'training' | 'calibration'
>;
export type TargetConfig = ParsedFuseConfig['targets'][number];
export type RegressionTarget = Extract<TargetConfig, { task: 'regression' }>;
export type BinaryTarget = Extract<TargetConfig, { task: 'binary' }>;
export type MulticlassTarget = Extract<TargetConfig, { task: 'multiclass' }>;
export type TrainingConfig = ParsedFuseConfig['training'];
export type Schedule = TrainingConfig['schedule'];
export type Condition = z.output<typeof condition>;
export type FusionSpec = FusionNetworkSpec['fusion'];
