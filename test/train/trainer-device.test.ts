import test from 'ava';
import { weightShapes } from '../../lib/fusion/network.js';
import { FusionTrainer, type TrainerOptions, type TrainerSteps } from '../../lib/train/trainer.js';
import { DEVICE_BACKENDS, random } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { FILMS, filmsOf, KINDS, type Kind, optionsOf, specOf } from './trainer-case.js';

const STEPS = 7;

function optionsFor(kind: Kind, more: Partial<TrainerOptions> = {}): TrainerOptions {
  return optionsOf(kind, { dropout: 0.2, inputDropout: 0.1, ...more });
}
const films = filmsOf(specOf('hybrid'));
function stepsOf(from = 0, to = STEPS, rate = 0.02): TrainerSteps {
  const next = random(17);
  const rows = Int32Array.from({ length: STEPS * 5 - 2 }, () => Math.floor(next() * FILMS));
  return {
    rows: rows.slice(from * 5, to * 5),
    batchSize: 5,
    learningRates: new Float32Array(to - from).fill(rate),
    present: films.present,
    variants: films.variants,
  };
}

/** Largest difference of two trainers' weights. */
function apart(a: FusionTrainer, b: FusionTrainer): number {
  let worst = 0;
  const other = b.weights();
  for (const [name, { data }] of a.weights()) {
    for (const [i, x] of data.entries()) worst = Math.max(worst, Math.abs(x - other.get(name)!.data[i]!));
  }
  return worst;
}

for (const backend of DEVICE_BACKENDS) {
  for (const kind of KINDS) {
    test(`${kind}: steps on ${backend} are those of the CPU`, async (t) => {
      for (const optimizer of [
        { kind: 'sgd', momentum: 0.9, nesterov: true, clipNorm: 0.5, weightDecay: 0.01, l1: 0.001 },
        { kind: 'sgd' },
        { kind: 'adam', epsilon: 0.01, clipNorm: 0.5 },
        { kind: 'adamw', epsilon: 0.01, weightDecay: 0.1 },
      ] as const) {
        const options = optionsFor(kind, {
          optimizer,
          frozen: ['heads.mood.bias', 'fusion.logits'].filter((name) => weightShapes(specOf(kind)).has(name)),
        });
        using cpu = FusionTrainer.create(options);
        using device = FusionTrainer.create(options);
        const expected = await cpu.run(films.data, stepsOf());
        const got = await device.run(films.data, stepsOf(), { backend });
        for (const field of ['losses', 'headLosses', 'gradientNorms'] as const) {
          for (const [i, x] of expected[field].entries()) {
            const error = Math.abs(got[field][i]! - x);
            t.true(
              error < 1e-4 * (0.1 + Math.abs(x)),
              `${optimizer.kind} ${field}[${i}]: ${got[field][i]} for ${x}`,
            );
          }
        }
        t.true(apart(device, cpu) < 1e-4, `${optimizer.kind}: ${apart(device, cpu)}`);
        t.is(device.step, STEPS);
      }
    });
  }

  test(`the same bits on ${backend} in one call or many, with looks at the weights between`, async (t) => {
    const options = optionsFor('hybrid');
    using one = FusionTrainer.create(options);
    using many = FusionTrainer.create(options);
    await one.run(films.data, stepsOf(), { backend });
    await many.run(films.data, stepsOf(0, 3), { backend });
    many.weights();
    await many.run(films.data, stepsOf(3, 4), { backend });
    using restored = FusionTrainer.create({ ...options, weights: many.weights() });
    restored.restore(many.state());
    for (const trainer of [many, restored]) await trainer.run(films.data, stepsOf(4), { backend });
    t.deepEqual(many.weights(), one.weights());
    t.deepEqual(many.state(), one.state());
    t.deepEqual(restored.weights(), one.weights());
  });

  test(`a run may go on elsewhere: the CPU, ${backend}, the CPU`, async (t) => {
    const options = optionsFor('hybrid', { optimizer: { kind: 'sgd', momentum: 0.9 } });
    using still = FusionTrainer.create(options);
    await still.run(films.data, stepsOf());
    using moves = FusionTrainer.create(options);
    await moves.run(films.data, stepsOf(0, 2));
    await moves.run(films.data, stepsOf(2, 5), { backend });
    await moves.run(films.data, stepsOf(5));
    t.is(moves.step, STEPS);
    t.true(apart(moves, still) < 1e-4);
  });

  test(`a number that is not finite ends a run on ${backend} before the weights change`, async (t) => {
    const options = optionsFor('hybrid', { optimizer: { kind: 'sgd' } });
    using trainer = FusionTrainer.create(options);
    using other = FusionTrainer.create(options);
    const learningRates = Float32Array.of(0.01, 0.01, 1e38, 0.01, 0.01, 0.01, 0.01);
    const diverging = { ...stepsOf(), learningRates };
    const error = await throwsTyped(t, () => trainer.run(films.data, diverging, { backend }), {
      name: 'TrainError',
      code: 'ERR_TRAIN_DIVERGED',
    });
    t.regex(error.message, /step 4.*of (modalities|trunk|late|heads|fusion)/);
    t.is(trainer.step, 3);
    const same = await throwsTyped(t, () => other.run(films.data, diverging), { code: 'ERR_TRAIN_DIVERGED' });
    t.is(error.field, same.field);
  });

  test(`what a step on ${backend} cannot take is refused after the steps before it, and cancelled runs stop`, async (t) => {
    const options = optionsFor('hybrid');
    using trainer = FusionTrainer.create(options);
    const steps = stepsOf();
    steps.rows[12] = FILMS;
    await throwsTyped(t, () => trainer.run(films.data, steps, { backend }), {
      code: 'ERR_INPUT_VALUE',
      field: 'rows',
    });
    t.is(trainer.step, 2);
    await throwsTyped(t, () => trainer.run(films.data, stepsOf(), { backend, signal: AbortSignal.abort() }), {
      code: 'ERR_CANCELLED',
    });
    t.is(trainer.step, 2);
    trainer.dispose();
    await throwsTyped(t, () => trainer.run(films.data, stepsOf(), { backend }), { code: 'ERR_DISPOSED' });
  });
}
