import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { TrainError } from '../../lib/errors.js';
import { packageRoot } from '../../lib/native.js';
import {
  fuseConfigJsonSchema,
  parseFuseConfig,
  parseJsonWithComments,
  readFuseConfig,
} from '../../lib/train/index.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const RATING = { name: 'rating', task: 'regression' as const };
const refused = (value: unknown): TrainError => {
  try {
    parseFuseConfig(value);
  } catch (error) {
    return error as TrainError;
  }
  throw new Error('it was taken');
};

test('the schema for editors is that of the code', (t) => {
  const file = path.join(packageRoot(), 'schemas', 'fuse.schema.json');
  t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), JSON.parse(JSON.stringify(fuseConfigJsonSchema())));
});

test('the least configuration is a target; defaults are filled in, and taking them again changes nothing', (t) => {
  const config = parseFuseConfig({ targets: [RATING] });
  t.is(config.seed, 0);
  t.is(config.training.optimizer.kind, 'adam');
  t.deepEqual(config.network.fusion, { kind: 'concat' });
  t.deepEqual(config.calibration.probabilities, 'temperature');
  t.deepEqual(parseFuseConfig(config), config);
});

const WRONG: [string, unknown, RegExp][] = [
  ['targets', {}, /array/],
  ['targets', { targets: [] }, />=1/],
  ['trainin', { targets: [RATING], trainin: {} }, /did you mean training/],
  ['training.epochs', { targets: [RATING], training: { epochs: 0 } }, />=1/],
  [
    'training.optimizer.learningRat',
    { targets: [RATING], training: { optimizer: { learningRat: 1 } } },
    /learningRate/,
  ],
  [
    'training.optimizer.beta1',
    { targets: [RATING], training: { optimizer: { kind: 'sgd', beta1: 0.5 } } },
    /'sgd'/,
  ],
  [
    'training.optimizer.momentum',
    { targets: [RATING], training: { optimizer: { momentum: 0.5 } } },
    /'adam'/,
  ],
  [
    'training.optimizer.nesterov',
    { targets: [RATING], training: { optimizer: { kind: 'sgd', nesterov: true } } },
    /momentum/,
  ],
  ['training.ensemble', { targets: [RATING], training: { ensemble: [1, 1] } }, /differ/],
  [
    'training.ensemble',
    { targets: [RATING], training: { ensemble: 2 }, network: { fusion: { kind: 'late' } } },
    /concat/,
  ],
  [
    'training.ensemble',
    { targets: [RATING], training: { ensemble: 2 }, network: { projection: { out: 4, layerNorm: true } } },
    /layer norm/,
  ],
  ['training.schedule.kind', { targets: [RATING], training: { schedule: { kind: 'cosin' } } }, /'cosine'/],
  ['network.fusion.kind', { targets: [RATING], network: { fusion: { kind: 'tensr' } } }, /'tensor'/],
  ['targets.0.task', { targets: [{ name: 'a', task: 'regresion' }] }, /'regression'/],
  ['targets.0.loss.kind', { targets: [{ ...RATING, loss: { kind: 'bce' } }] }, /'huber'/],
  ['targets.1.name', { targets: [RATING, RATING] }, /unique/],
  [
    'targets.1.name',
    {
      targets: [
        { ...RATING, spread: true },
        { name: 'ratingSpread', task: 'binary' },
      ],
    },
    /unique/,
  ],
  ['targets.0.max', { targets: [{ ...RATING, min: 2, max: 2 }] }, /more than min/],
  ['targets.0.where.0', { targets: [{ ...RATING, where: [{ column: 'budget' }] }] }, /bound/],
  [
    'targets.0.loss.classWeights',
    {
      targets: [
        {
          name: 'a',
          task: 'multiclass',
          classes: ['x', 'y'],
          loss: { kind: 'cross-entropy', classWeights: [1] },
        },
      ],
    },
    /2 weights/,
  ],
  ['data.split.trainUntil', { targets: [RATING], data: { split: { kind: 'time' } } }, /./],
  ['search.space.depth', { targets: [RATING], search: { space: { depth: [1] } } }, /path/],
];
for (const [i, [field, value, message]] of WRONG.entries()) {
  test(`a wrong configuration is refused by its field, ${i + 1}: ${field}`, (t) => {
    const error = refused(value);
    t.is(error.code, 'ERR_TRAIN_CONFIG');
    t.is(error.field, field);
    t.regex(error.message, message);
  });
}

test('comments and trailing commas are taken, and nothing inside strings is', (t) => {
  const text = '{ // one\n "a": [1, 2, ], /* two\n lines */ "b": "//, ] /* \\" */ ,}", }';
  t.deepEqual(parseJsonWithComments(text), { a: [1, 2], b: '//, ] /* " */ ,}' });
  t.deepEqual(parseJsonWithComments('\ufeff[1]'), [1]);
  for (const [wrong, line] of [
    ['{\n "a": 1\n "b": 2 }', 3],
    ['{ "a": 1, // }\n', 2],
    ['[1, /* open', 1],
    ['', 1],
  ] as const) {
    const error = t.throws(() => parseJsonWithComments(wrong, 'fuse.json'), { instanceOf: TrainError });
    t.is(error.code, 'ERR_TRAIN_CONFIG');
    t.is(error.field, `line ${line}`, JSON.stringify(wrong));
    t.is(error.file, 'fuse.json');
  }
});

test('paths of a file count from its folder; the example for users is right', async (t) => {
  await using folder = await temporaryDirectory();
  const file = path.join(folder.path, 'fuse.json');
  const config = {
    data: { path: 'films' },
    inputs: { bundle: '../b', encoders: ['e/x.json'] },
    targets: [RATING],
  };
  await writeFile(file, JSON.stringify(config));
  const read = await readFuseConfig(file);
  t.is(read.data.path, path.join(folder.path, 'films'));
  t.is(read.inputs.bundle, path.resolve(folder.path, '../b'));
  t.deepEqual(read.inputs.encoders, [path.join(folder.path, 'e/x.json')]);
  const missing = await t.throwsAsync(readFuseConfig(path.join(folder.path, 'no.json')), {
    instanceOf: TrainError,
  });
  t.is(missing.code, 'ERR_TRAIN_CONFIG');
  const example = await readFuseConfig(path.join(packageRoot(), 'examples', 'train', 'fuse.json'));
  t.is(example.inputs.bundle, 'default');
  t.is(example.targets.length, 3);
  t.truthy(example.search);
});
