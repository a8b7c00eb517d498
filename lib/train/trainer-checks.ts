/** What a FusionTrainer is given, checked by name. */
import { describeValue, InputError, ShapeError, TrainError } from '../errors.js';
import type { FusionNetworkSpec } from '../fusion/network.js';
import { weightShapes } from '../fusion/network-spec.js';
import { nearestName } from '../nearest.js';
import type { TrainingProgram } from './program.js';
import type { HeadLoss, TrainerData, TrainerOptions, TrainerSteps } from './trainer-types.js';

const NOTHING = new Float32Array(0);

function fail(field: string, expected: string, got: unknown): never {
  throw new TrainError('ERR_TRAIN_CONFIG', { field, expected, got: describeValue(got) });
}

/** Whether a number is given and lies in a range; `least` itself only where `open` is not. */
function number(field: string, value: unknown, least: number, most: number, open = false): void {
  if (value === undefined) return;
  if (typeof value === 'number' && value <= most && (open ? value > least : value >= least)) return;
  const from = open ? `above ${least}` : `of ${least} or more`;
  fail(field, most === Infinity ? `a number ${from}` : `a number ${from}, at most ${most}`, value);
}

function known(field: string, name: string, names: readonly string[]): void {
  if (names.includes(name)) return;
  const nearest = nearestName(name, names);
  const list = names.length > 12 ? `${names.slice(0, 12).join(', ')} ...` : names.join(', ');
  fail(field, `one of ${list}${nearest ? ` (did you mean ${nearest}?)` : ''}`, name);
}

/** @throws TrainError ERR_TRAIN_CONFIG */
export function checkTrainerOptions(options: TrainerOptions): void {
  const { spec, losses, optimizer, seed } = options;
  const below1 = 1 - 2 ** -24;
  if (!Array.isArray(losses) || losses.length === 0) fail('losses', 'at least one loss', losses);
  for (const [i, loss] of losses.entries()) checkLoss(`losses.${i}`, loss, spec);
  known('optimizer.kind', optimizer.kind, ['sgd', 'adam', 'adamw']);
  number('optimizer.momentum', optimizer.momentum, 0, below1);
  number('optimizer.beta1', optimizer.beta1, 0, below1);
  number('optimizer.beta2', optimizer.beta2, 0, below1);
  number('optimizer.epsilon', optimizer.epsilon, 0, Infinity);
  number('optimizer.weightDecay', optimizer.weightDecay, 0, Infinity);
  number('optimizer.l1', optimizer.l1, 0, Infinity);
  number('optimizer.clipNorm', optimizer.clipNorm, 0, Infinity, true);
  if (optimizer.nesterov && !optimizer.momentum) fail('optimizer.momentum', 'momentum for nesterov', 0);
  number('dropout', options.dropout, 0, below1);
  number('inputDropout', options.inputDropout, 0, below1);
  if (!Number.isSafeInteger(seed) || seed < 0) fail('seed', 'an integer of 0 or more', seed);
  const trained = [...weightShapes(spec).keys()].filter((name) => !name.includes('.scaler.'));
  for (const name of options.frozen ?? []) known('frozen', name, trained);
  if (new Set(options.frozen).size === trained.length) fail('frozen', 'a weight left to train', trained);
}

function checkLoss(field: string, loss: HeadLoss, { heads }: FusionNetworkSpec): void {
  const names = heads.map(({ name }) => name);
  const outOf = (name: string) => heads.find((head) => head.name === name)!.out;
  known(`${field}.head`, loss.head, names);
  known(`${field}.kind`, loss.kind, ['mse', 'mae', 'huber', 'bce', 'cross-entropy', 'spread']);
  number(`${field}.weight`, loss.weight, 0, Infinity);
  if (loss.kind === 'huber') number(`${field}.delta`, loss.delta, 0, Infinity, true);
  if (loss.kind === 'spread') {
    known(`${field}.of`, loss.of, names);
    if (outOf(loss.of) !== outOf(loss.head))
      fail(`${field}.of`, `a head of ${outOf(loss.head)} outputs`, loss.of);
  }
  if (loss.kind !== 'cross-entropy') return;
  number(`${field}.smoothing`, loss.smoothing, 0, 1 - 2 ** -24);
  const out = outOf(loss.head);
  if (out < 2) fail(`${field}.head`, 'a head of two outputs or more for cross-entropy', loss.head);
  const { classWeights } = loss;
  if (!classWeights) return;
  if (classWeights.length !== out) fail(`${field}.classWeights`, `${out} weights`, classWeights);
  for (const weight of classWeights) number(`${field}.classWeights`, weight, 0, Infinity);
}

/** @throws ShapeError ERR_SHAPE */
export function checkSteps({ rows, batchSize, learningRates }: TrainerSteps): void {
  if (!(rows instanceof Int32Array) || rows.length === 0) {
    throw new ShapeError('ERR_SHAPE', {
      field: 'rows',
      expected: 'an Int32Array of at least one film',
      got: describeValue(rows),
    });
  }
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new ShapeError('ERR_SHAPE', {
      field: 'batchSize',
      expected: 'a positive integer',
      got: describeValue(batchSize),
    });
  }
  const steps = Math.ceil(rows.length / batchSize);
  if (!(learningRates instanceof Float32Array) || learningRates.length !== steps) {
    throw new ShapeError('ERR_SHAPE', {
      field: 'learningRates',
      expected: `a Float32Array of ${steps}, one a step`,
      got: describeValue(learningRates),
    });
  }
  const wrong = learningRates.findIndex((rate) => !(rate >= 0 && rate < Infinity));
  if (wrong >= 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: `learningRates[${wrong}]`,
      expected: 'a rate of 0 or more',
      got: describeValue(learningRates[wrong]),
    });
  }
}

export interface ArrangedData {
  values: Float32Array[];
  /** Steps and variants of each modality. */
  shapes: number[];
  /** (modalities, films) */
  lengths: Int32Array | undefined;
  targets: Float32Array[];
}

/** The data in the spec's order; sizes the addon checks. @throws InputError, ShapeError */
export function arrangeData(
  spec: FusionNetworkSpec,
  targets: TrainingProgram['targets'],
  data: TrainerData,
): ArrangedData {
  const { films } = data;
  const names = spec.modalities.map(({ name }) => name);
  for (const name of Object.keys(data.modalities)) {
    if (names.includes(name)) continue;
    const nearest = nearestName(name, names);
    throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: name,
      expected: nearest
        ? `a modality of the network (did you mean ${nearest}?)`
        : `one of ${names.join(', ')}`,
      got: 'an unknown modality',
    });
  }
  if (!Number.isInteger(films) || films < 1) {
    throw new ShapeError('ERR_SHAPE', {
      field: 'films',
      expected: 'a positive integer',
      got: describeValue(films),
    });
  }
  const arranged: ArrangedData = { values: [], shapes: [], lengths: undefined, targets: [] };
  const given = spec.modalities.map(({ name, dim }) => {
    const modality = Object.hasOwn(data.modalities, name) ? data.modalities[name] : undefined;
    if (modality && modality.dim !== dim) {
      throw new ShapeError('ERR_SHAPE', {
        field: name,
        expected: `vectors of ${dim}`,
        got: `vectors of ${modality.dim}`,
      });
    }
    arranged.values.push(modality?.values ?? NOTHING);
    arranged.shapes.push(modality?.steps ?? 1, modality?.variants ?? 1);
    return modality;
  });
  for (const [m, modality] of given.entries()) {
    if (!modality?.lengths || modality.steps === 1) continue;
    if (!(modality.lengths instanceof Int32Array) || modality.lengths.length !== films) {
      throw new ShapeError('ERR_SHAPE', {
        field: `${names[m]}.lengths`,
        expected: `an Int32Array of ${films}`,
        got: describeValue(modality.lengths),
      });
    }
    arranged.lengths ??= Int32Array.from(
      { length: films * given.length },
      (_, at) => given[Math.floor(at / films)]?.steps ?? 1,
    );
    arranged.lengths.set(modality.lengths, m * films);
  }
  for (const { head, cols } of targets) {
    const target = Object.hasOwn(data.targets, head) ? data.targets[head] : undefined;
    if (!(target instanceof Float32Array) || target.length !== films * cols) {
      throw new ShapeError('ERR_SHAPE', {
        field: `targets.${head}`,
        expected: `a Float32Array of shape (${films}${cols > 1 ? `, ${cols}` : ''})`,
        got: target instanceof Float32Array ? `${target.length} numbers` : describeValue(target),
      });
    }
    arranged.targets.push(target);
  }
  return arranged;
}
