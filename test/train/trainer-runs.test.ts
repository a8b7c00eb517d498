import test from 'ava';
import {
  FusionTrainer,
  initialWeights,
  type TrainerOptions,
  type TrainerSteps,
} from '../../lib/train/index.js';
import type { ErrorCode } from '../../lib/errors.js';
import { random } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { FILMS, filmsOf, KINDS, LOSSES, optionsOf, specOf } from './trainer-case.js';

const ALL = Int32Array.from({ length: FILMS }, (_, i) => i);
const films = filmsOf(specOf('hybrid'));

function stepsOf(count: number, rate: number, batchSize = FILMS): TrainerSteps {
  return {
    rows: Int32Array.from({ length: count * batchSize }, (_, i) => i % FILMS),
    batchSize,
    learningRates: new Float32Array(count).fill(rate),
    present: films.present,
    variants: films.variants,
  };
}
const plain = (more: Partial<TrainerOptions> = {}): TrainerOptions =>
  optionsOf('hybrid', { optimizer: { kind: 'sgd' }, ...more });

for (const kind of KINDS) {
  test(`${kind}: learns a handful of films by heart`, async (t) => {
    const spec = specOf(kind);
    const { data, present, variants } = filmsOf(spec);
    using trainer = FusionTrainer.create({
      spec,
      weights: initialWeights(spec, 1),
      losses: [
        { head: 'rating', kind: 'mse' },
        { head: 'well', kind: 'bce' },
        { head: 'genre', kind: 'cross-entropy' },
      ],
      optimizer: { kind: 'adam', clipNorm: 5 },
      seed: 1,
    });
    const { losses } = await trainer.run(data, { ...stepsOf(400, 0.01), present, variants });
    t.true(losses[0]! > 1, `started at ${losses[0]}`);
    t.true(losses.at(-1)! < 0.02 * losses[0]!, `from ${losses[0]} to ${losses.at(-1)}`);
  });
}

test('with dropout the gradient is that of the loss with the same numbers dropped', async (t) => {
  // Not the spread, whose residual is held fixed: the loss's slope is not its gradient.
  const losses = LOSSES.filter(({ kind }) => kind !== 'spread');
  const options = plain({ dropout: 0.3, inputDropout: 0.2, seed: 9, losses });
  const lossAt = async (name: string, shift: Float32Array, h: number) => {
    const weights = new Map(options.weights as Map<string, { shape: readonly number[]; data: Float32Array }>);
    const { shape, data } = weights.get(name)!;
    weights.set(name, { shape, data: data.map((x, i) => x + h * shift[i]!) });
    using trainer = FusionTrainer.create({ ...options, weights });
    return (await trainer.run(films.data, stepsOf(1, 0))).losses[0]!;
  };
  using trainer = FusionTrainer.create(options);
  const before = trainer.weights();
  await trainer.run(films.data, stepsOf(1, 4096));
  const after = trainer.weights();
  const next = random(5);
  for (const name of [
    'modalities.text.projection.weight',
    'trunk.0.weight',
    'late.audio.trunk.1.weight',
    'fusion.gate',
  ]) {
    const gradient = before.get(name)!.data.map((x, i) => (x - after.get(name)!.data[i]!) / 4096);
    // Along the gradient itself, roughened: the slope is large against the rounding of the loss.
    const shift = gradient.map((g) => Math.sign(g) * (0.5 + next()));
    const slope = gradient.reduce((sum, g, i) => sum + g * shift[i]!, 0);
    const measured = ((await lossAt(name, shift, 2e-3)) - (await lossAt(name, shift, -2e-3))) / 4e-3;
    t.true(Math.abs(slope) > 1e-3);
    t.true(Math.abs(measured - slope) < 0.01 * Math.abs(slope), `${name}: ${measured} for ${slope}`);
  }
});

test('what is frozen keeps its bits, and everything else moves', async (t) => {
  const frozen = [
    'heads.well.bias',
    'heads.genre.weight',
    'fusion.gate',
    'modalities.text.projection.weight',
  ];
  using trainer = FusionTrainer.create(
    optionsOf('hybrid', { frozen, optimizer: { kind: 'adamw', weightDecay: 0.1 } }),
  );
  const before = trainer.weights();
  await trainer.run(films.data, stepsOf(3, 0.01));
  for (const [name, { data }] of trainer.weights()) {
    const same = data.every((x, i) => x === before.get(name)!.data[i]);
    t.is(same, frozen.includes(name) || name.includes('.scaler.'), name);
  }
});

test('clipping bounds the step, not the norm that is reported', async (t) => {
  const moved = async (clipNorm: number | undefined) => {
    using trainer = FusionTrainer.create(
      plain({ optimizer: { kind: 'sgd', ...(clipNorm && { clipNorm }) } }),
    );
    const before = trainer.weights();
    const { gradientNorms } = await trainer.run(films.data, stepsOf(1, 1));
    let squares = 0;
    for (const [name, { data }] of trainer.weights()) {
      for (const [i, x] of data.entries()) squares += (x - before.get(name)!.data[i]!) ** 2;
    }
    return [gradientNorms[0]!, Math.sqrt(squares)] as const;
  };
  const [free, step] = await moved(undefined);
  t.true(free > 0.5 && Math.abs(step - free) < 1e-3 * free);
  const [norm, clipped] = await moved(0.1);
  t.is(norm, free);
  t.true(Math.abs(clipped - 0.1) < 1e-4);
  t.deepEqual(await moved(1e6), [free, step]);
});

test('weight decay shrinks matrices, and what else there is only if asked', async (t) => {
  const nobody = { ...films.data, weights: new Float32Array(FILMS) };
  for (const decayBiases of [false, true]) {
    const optimizer = { kind: 'adamw', weightDecay: 0.5, decayBiases } as const;
    using trainer = FusionTrainer.create(plain({ optimizer }));
    const before = trainer.weights();
    const result = await trainer.run(nobody, stepsOf(1, 0.1));
    t.is(result.losses[0], 0, 'nobody counts');
    t.is(result.gradientNorms[0], 0);
    for (const [name, { shape, data }] of trainer.weights()) {
      const factor = !name.includes('.scaler.') && (shape.length > 1 || decayBiases) ? 0.95 : 1;
      const old = before.get(name)!.data;
      t.true(
        data.every((x, i) => Math.abs(x - factor * old[i]!) <= 1e-6 * Math.abs(old[i]!)),
        name,
      );
    }
  }
});

test('of a modality that no film of a batch has, nothing moves by plain descent', async (t) => {
  const present = films.present.map((x, i) => (i % 3 === 1 ? 0 : x));
  const rows = ALL.filter((film) => present.subarray(film * 3, film * 3 + 3).includes(1));
  using trainer = FusionTrainer.create(plain());
  const before = trainer.weights();
  // A first step with everybody leaves gradients behind that the second must not see.
  await trainer.run(films.data, stepsOf(1, 0));
  const { losses } = await trainer.run(films.data, {
    ...stepsOf(1, 0.1),
    rows,
    batchSize: rows.length,
    present,
  });
  t.true(losses[0]! > 0);
  for (const [name, { data }] of trainer.weights()) {
    const same = data.every((x, i) => x === before.get(name)!.data[i]);
    const idle = /^(late|modalities)\.trailer\.video\./.test(name) && !name.endsWith('.absent');
    t.is(same, idle || name.includes('.scaler.'), name);
  }
});

test('a number that is not finite stops training before the weights change, and names its place', async (t) => {
  const filled = (name: string, value: number) => {
    const options = plain();
    const weights = new Map(options.weights as ReturnType<typeof initialWeights>);
    const { shape, data } = weights.get(name)!;
    weights.set(name, { shape, data: data.slice().fill(value) });
    return { ...options, weights };
  };
  const cases: [TrainerOptions, string, RegExp][] = [
    [filled('modalities.text.scaler.scale', 3e38), 'modalities.text', /output/],
    [filled('late.audio.heads.mood.weight', 1e25), 'heads.mood', /loss/],
  ];
  for (const [options, field, what] of cases) {
    using trainer = FusionTrainer.create(options);
    const error = await throwsTyped(t, () => trainer.run(films.data, stepsOf(3, 0.1)), {
      name: 'TrainError',
      code: 'ERR_TRAIN_DIVERGED',
      field,
      message: /step 1/,
    });
    t.regex(error.message, what);
    t.deepEqual(trainer.weights(), new Map(options.weights as ReturnType<typeof initialWeights>));
    t.is(trainer.step, 0);
  }
  using trainer = FusionTrainer.create(plain());
  const rates = Float32Array.of(0.01, 0.01, 1e38, 0.01, 0.01);
  const error = await throwsTyped(
    t,
    () => trainer.run(films.data, { ...stepsOf(5, 0), learningRates: rates }),
    {
      code: 'ERR_TRAIN_DIVERGED',
    },
  );
  t.is(trainer.step, 3);
  t.regex(error.message, /step 4/);
});

test('a run that is cancelled stops between two steps, and can go on', async (t) => {
  const steps = stepsOf(4000, 0.001, 5);
  using trainer = FusionTrainer.create(optionsOf('hybrid', { dropout: 0.1 }));
  const controller = new AbortController();
  const seen: number[] = [];
  await throwsTyped(
    t,
    () =>
      trainer.run(films.data, steps, {
        signal: controller.signal,
        onSteps: (done, all) => {
          seen.push(done);
          t.is(all, 4000);
          controller.abort();
        },
      }),
    { code: 'ERR_CANCELLED' },
  );
  t.is(seen.length, 1);
  const { step } = trainer;
  t.true(step >= seen[0]! && step < 4000);
  const rest = {
    ...steps,
    rows: steps.rows.slice(step * 5, 4000),
    learningRates: steps.learningRates.slice(step, 800),
  };
  await trainer.run(films.data, rest);
  using other = FusionTrainer.create(optionsOf('hybrid', { dropout: 0.1 }));
  await other.run(films.data, {
    ...steps,
    rows: steps.rows.slice(0, 4000),
    learningRates: steps.learningRates.slice(0, 800),
  });
  t.deepEqual(trainer.weights(), other.weights());
});

test('a cancelled signal is seen before anything runs, and in the middle of a native call', async (t) => {
  using trainer = FusionTrainer.create(plain());
  await throwsTyped(t, () => trainer.run(films.data, stepsOf(1, 0), { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  t.is(trainer.step, 0);
  const controller = new AbortController();
  const run = trainer.run(films.data, stepsOf(100_000, 1e-4), { signal: controller.signal });
  setTimeout(() => controller.abort(), 30);
  await throwsTyped(t, () => run, { code: 'ERR_CANCELLED' });
  t.true(trainer.step < 100_000);
});

test('one run at a time; none after dispose, and weights only between runs', async (t) => {
  const trainer = FusionTrainer.create(plain());
  const run = trainer.run(films.data, stepsOf(2, 0.01));
  await throwsTyped(t, () => trainer.run(films.data, stepsOf(1, 0.01)), {
    code: 'ERR_INPUT_VALUE',
    field: 'trainer',
  });
  await throwsTyped(t, () => trainer.weights(), { code: 'ERR_INPUT_VALUE', field: 'trainer' });
  await throwsTyped(t, () => trainer.state(), { code: 'ERR_INPUT_VALUE', field: 'trainer' });
  const early = trainer.run(films.data, stepsOf(1, 0)).catch(() => 'refused');
  t.is(await early, 'refused');
  await run;
  t.is(trainer.step, 2);
  const last = trainer.run(films.data, stepsOf(2, 0.01));
  trainer.dispose();
  t.is((await last).losses.length, 2, 'what runs is held until it ends');
  trainer.dispose();
  for (const call of [
    () => trainer.weights(),
    () => trainer.state(),
    () => trainer.run(films.data, stepsOf(1, 0)),
  ]) {
    await throwsTyped(t, call, { code: 'ERR_DISPOSED' });
  }
});

test('what cannot be trained is refused by the name of its field', async (t) => {
  const refused: [Partial<TrainerOptions>, string][] = [
    [{ losses: [] }, 'losses'],
    [{ losses: [{ head: 'ratin', kind: 'mse' }] }, 'losses.0.head'],
    [{ losses: [{ head: 'rating', kind: 'mse', weight: -1 }] }, 'losses.0.weight'],
    [{ losses: [{ head: 'rating', kind: 'huber', delta: 0 }] }, 'losses.0.delta'],
    [{ losses: [{ head: 'rating', kind: 'l3' as 'mse' }] }, 'losses.0.kind'],
    [{ losses: [{ head: 'rating', kind: 'cross-entropy' }] }, 'losses.0.head'],
    [{ losses: [{ head: 'genre', kind: 'cross-entropy', smoothing: 1 }] }, 'losses.0.smoothing'],
    [{ losses: [{ head: 'genre', kind: 'cross-entropy', classWeights: [1] }] }, 'losses.0.classWeights'],
    [{ losses: [{ head: 'spread', kind: 'spread', of: 'genre' }] }, 'losses.0.of'],
    [
      {
        losses: [
          { head: 'genre', kind: 'mse' },
          { head: 'genre', kind: 'cross-entropy' },
        ],
      },
      'losses.genre',
    ],
    [{ optimizer: { kind: 'lamb' as 'sgd' } }, 'optimizer.kind'],
    [{ optimizer: { kind: 'adam', beta1: 1 } }, 'optimizer.beta1'],
    [{ optimizer: { kind: 'adam', clipNorm: 0 } }, 'optimizer.clipNorm'],
    [{ optimizer: { kind: 'sgd', nesterov: true } }, 'optimizer.momentum'],
    [{ dropout: 1 }, 'dropout'],
    [{ inputDropout: -0.1 }, 'inputDropout'],
    [{ seed: 1.5 }, 'seed'],
    [{ frozen: ['fusion.gates'] }, 'frozen'],
  ];
  for (const [more, field] of refused) {
    await throwsTyped(t, () => FusionTrainer.create(plain(more)), {
      name: 'TrainError',
      code: 'ERR_TRAIN_CONFIG',
      field,
    });
  }
  const weights = new Map(plain().weights as ReturnType<typeof initialWeights>);
  weights.delete('fusion.gate');
  await throwsTyped(t, () => FusionTrainer.create(plain({ weights })), {
    code: 'ERR_BUNDLE_SHAPE',
    field: 'fusion.gate',
  });
});

test('data that a step cannot take is refused by the name of its field', async (t) => {
  const { data, present } = films;
  const values = (x: number) => data.modalities.text!.values.slice().fill(x);
  const cases: [Partial<typeof data>, Partial<TrainerSteps>, ErrorCode, string][] = [
    [{}, { rows: Int32Array.of(0, FILMS), batchSize: 2 }, 'ERR_INPUT_VALUE', 'rows'],
    [{}, { rows: Int32Array.of(-1), batchSize: 1 }, 'ERR_INPUT_VALUE', 'rows'],
    [{}, { rows: new Int32Array(0) }, 'ERR_SHAPE', 'rows'],
    [{}, { batchSize: 0 }, 'ERR_SHAPE', 'batchSize'],
    [{}, { learningRates: Float32Array.of(1, 2) }, 'ERR_SHAPE', 'learningRates'],
    [{}, { learningRates: Float32Array.of(Number.NaN) }, 'ERR_INPUT_VALUE', 'learningRates[0]'],
    [{}, { present: present.slice(1) }, 'ERR_SHAPE', 'present'],
    [{}, { present: present.map(() => 0) }, 'ERR_INPUT_EMPTY', 'present'],
    [{}, { variants: new Uint8Array(2) }, 'ERR_SHAPE', 'variants'],
    [{}, { variants: new Uint8Array(FILMS).fill(2) }, 'ERR_INPUT_VALUE', 'variants'],
    [{ films: FILMS + 1 }, {}, 'ERR_SHAPE', 'trailer.video.lengths'],
    [{ films: 0 }, {}, 'ERR_SHAPE', 'films'],
    [{ weights: new Float32Array(FILMS).fill(-1) }, {}, 'ERR_INPUT_VALUE', 'weights'],
    [{ weights: new Float32Array(1) }, {}, 'ERR_SHAPE', 'weights'],
    [
      { modalities: { ...data.modalities, txt: data.modalities.text! } },
      {},
      'ERR_INPUT_UNKNOWN_FIELD',
      'txt',
    ],
    [{ modalities: { text: data.modalities.text! } }, {}, 'ERR_INPUT_VALUE', 'trailer.video'],
    [
      { modalities: { ...data.modalities, text: { ...data.modalities.text!, dim: 8 } } },
      {},
      'ERR_SHAPE',
      'text',
    ],
    [
      { modalities: { ...data.modalities, text: { ...data.modalities.text!, variants: 1 } } },
      {},
      'ERR_SHAPE',
      'text',
    ],
    [
      { modalities: { ...data.modalities, text: { ...data.modalities.text!, values: values(Infinity) } } },
      {},
      'ERR_INPUT_VALUE',
      'text',
    ],
    [
      {
        modalities: {
          ...data.modalities,
          audio: { ...data.modalities.audio!, lengths: new Int32Array(FILMS).fill(9) },
        },
      },
      {},
      'ERR_INPUT_VALUE',
      'audio',
    ],
    [
      { targets: { ...data.targets, genre: new Float32Array(FILMS).fill(4) } },
      {},
      'ERR_INPUT_VALUE',
      'targets.genre',
    ],
    [
      { targets: { ...data.targets, genre: new Float32Array(FILMS).fill(1.5) } },
      {},
      'ERR_INPUT_VALUE',
      'targets.genre',
    ],
    [
      { targets: { ...data.targets, well: new Float32Array(FILMS).fill(2) } },
      {},
      'ERR_INPUT_VALUE',
      'targets.well',
    ],
    [
      { targets: { ...data.targets, rating: new Float32Array(FILMS).fill(-Infinity) } },
      {},
      'ERR_INPUT_VALUE',
      'targets.rating',
    ],
    [{ targets: {} }, {}, 'ERR_SHAPE', 'targets.rating'],
    [{ targets: { ...data.targets, mood: new Float32Array(FILMS) } }, {}, 'ERR_SHAPE', 'targets.mood'],
  ];
  using trainer = FusionTrainer.create(plain());
  const before = trainer.weights();
  for (const [moreData, moreSteps, code, field] of cases) {
    const steps = { ...stepsOf(1, 0.1), ...moreSteps };
    await throwsTyped(t, () => trainer.run({ ...data, ...moreData }, steps), { code, field });
  }
  t.deepEqual(trainer.weights(), before);
  t.is(trainer.step, 0);
});

test('a state of something else is refused, and changes nothing', async (t) => {
  using trainer = FusionTrainer.create(optionsOf('hybrid'));
  await trainer.run(films.data, stepsOf(2, 0.01));
  const state = trainer.state();
  t.is(state.step, 2);
  const wrong = [
    [{ ...state, step: -1 }, 'step'],
    [{ ...state, moments: new Map([...state.moments].slice(1)) }, [...state.moments.keys()][0]!],
    [{ step: 9, moments: new Map() }, [...state.moments.keys()][0]!],
  ] as const;
  for (const [other, field] of wrong) {
    await throwsTyped(t, () => trainer.restore(other), { code: 'ERR_TRAIN_CHECKPOINT', field });
  }
  t.deepEqual(trainer.state(), state);
});
