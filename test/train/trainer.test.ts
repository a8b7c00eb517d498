import test from 'ava';
import { FusionNetwork, type NetworkWeight } from '../../lib/fusion/network.js';
import { FusionTrainer, type TrainerOptions, type TrainerSteps } from '../../lib/train/trainer.js';
import { random, ways } from '../backends.js';
import { lossOf, NetworkOracle } from './network-oracle.js';
import {
  FILMS,
  filmsOf,
  KINDS,
  type Kind,
  LOSSES,
  optionsOf,
  specOf,
  weights64,
  weightsOf,
} from './trainer-case.js';

const ALL = Int32Array.from({ length: FILMS }, (_, i) => i);
/** Large, so that weights - rate * gradient is all gradient, and float32 keeps it. */
const RATE = 4096;

function stepOf(films: ReturnType<typeof filmsOf>, rows = ALL, rate = RATE): TrainerSteps {
  return {
    rows,
    batchSize: rows.length,
    learningRates: Float32Array.of(rate),
    present: films.present,
    variants: films.variants,
  };
}

/** Gradients by one step of plain descent. */
function gradientsOf(before: ReadonlyMap<string, NetworkWeight>, after: ReadonlyMap<string, NetworkWeight>) {
  return new Map(
    [...before].map(([name, { data }]) => [
      name,
      Float64Array.from(data, (x, i) => (x - after.get(name)!.data[i]!) / RATE),
    ]),
  );
}

/** Losses, and central differences of some numbers of every weight, in double precision. */
function oracleOf(kind: Kind) {
  const spec = specOf(kind);
  const films = filmsOf(spec);
  const w = weights64(weightsOf(spec, 100));
  const oracle = new NetworkOracle(spec, w);
  const outputs = () => [...ALL].map((f) => oracle.outputs(films.data, films.present, f, films.variants[f]));
  const held = outputs();
  const each = () => LOSSES.map((loss) => lossOf(spec, loss, outputs(), films.data, [...ALL], held));
  const whole = () => each().reduce((sum, x, i) => sum + x * (LOSSES[i]!.weight ?? 1), 0);
  const next = random(3);
  const differences: { name: string; i: number; expected: number }[] = [];
  const h = 1e-4;
  for (const [name, array] of w) {
    if (name.includes('.scaler.')) continue;
    for (const i of new Set(Array.from({ length: 5 }, () => Math.floor(next() * array.length)))) {
      const at = array[i]!;
      array[i] = at + h;
      const above = whole();
      array[i] = at - h;
      const below = whole();
      array[i] = at;
      differences.push({ name, i, expected: (above - below) / (2 * h) });
    }
  }
  return { losses: each(), whole: whole(), differences };
}

for (const kind of KINDS) {
  const films = filmsOf(specOf(kind));
  test(`${kind}: losses and gradients of a double-precision oracle`, async (t) => {
    const oracle = oracleOf(kind);
    const options = optionsOf(kind, { optimizer: { kind: 'sgd' } });
    const weights = weightsOf(options.spec, 100);
    for (const { label, exec } of ways({ devices: false })) {
      using trainer = FusionTrainer.create(options);
      const result = await trainer.run(films.data, stepOf(films), exec);
      for (const [i, expected] of oracle.losses.entries()) {
        const error = Math.abs(result.headLosses[i]! - expected);
        t.true(error < 1e-5 * (1 + Math.abs(expected)), `${label} ${LOSSES[i]!.head}`);
      }
      t.true(Math.abs(result.losses[0]! - oracle.whole) < 1e-5 * (1 + oracle.whole), label);

      const gradients = gradientsOf(weights, trainer.weights());
      let squares = 0;
      for (const [name, gradient] of gradients) {
        for (const g of gradient) squares += g * g;
        if (name.includes('.scaler.'))
          t.true(
            gradient.every((g) => g === 0),
            name,
          );
      }
      t.true(Math.abs(result.gradientNorms[0]! - Math.sqrt(squares)) < 1e-4 * Math.sqrt(squares));
      for (const { name, i, expected } of oracle.differences) {
        const gradient = gradients.get(name)!;
        const most = gradient.reduce((a, g) => Math.max(a, Math.abs(g)), 0);
        const error = Math.abs(gradient[i]! - expected);
        t.true(error <= 2e-5 * (most + 0.01), `${label} ${name}[${i}]: ${gradient[i]} for ${expected}`);
      }
    }
  });

  test(`${kind}: what is trained runs in FusionNetwork with the loss that training saw`, async (t) => {
    const options = optionsOf(kind);
    using trainer = FusionTrainer.create(options);
    const { data, present, variants } = films;
    const rows = Int32Array.from({ length: 40 * FILMS }, (_, i) => i % FILMS);
    await trainer.run(data, {
      rows,
      batchSize: FILMS,
      learningRates: new Float32Array(40).fill(0.01),
      present,
      variants,
    });
    const weights = trainer.weights();
    const seen = await trainer.run(data, stepOf(films, ALL, 0));
    using network = FusionNetwork.create(options.spec, weights);
    const inputs = {
      batch: FILMS,
      present,
      modalities: Object.fromEntries(
        Object.entries(data.modalities).map(([name, { values, steps, lengths, dim, variants: several }]) => [
          name,
          several === 2
            ? Float32Array.from({ length: FILMS * dim }, (_, i) => {
                const film = Math.floor(i / dim);
                return values[(variants[film]! * FILMS + film) * dim + (i % dim)]!;
              })
            : { data: values, steps, lengths },
        ]),
      ),
    };
    for (const { label, exec } of ways()) {
      const { heads } = await network.run(inputs, exec);
      const outputs = [...ALL].map((f) =>
        options.spec.heads.flatMap(({ name, out }) => [...heads[name]!.subarray(f * out, (f + 1) * out)]),
      );
      for (const [i, loss] of LOSSES.entries()) {
        const expected = lossOf(options.spec, loss, outputs, data, [...ALL]);
        t.true(
          Math.abs(seen.headLosses[i]! - expected) < 2e-5 * (1 + Math.abs(expected)),
          `${label} ${loss.head}`,
        );
      }
    }
  });
}

/** Every weight and moment, and the losses, as one string of bits. */
async function bitsOf(options: TrainerOptions, run: (trainer: FusionTrainer) => Promise<Float32Array>) {
  using trainer = FusionTrainer.create(options);
  const losses = await run(trainer);
  const arrays = [losses, ...[...trainer.weights(), ...trainer.state().moments].map(([, { data }]) => data)];
  return arrays.map((x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength).toString('hex')).join();
}

const STEPS = 9;
function epochOf(films: ReturnType<typeof filmsOf>): TrainerSteps {
  const next = random(17);
  return {
    rows: Int32Array.from({ length: STEPS * 5 - 2 }, () => Math.floor(next() * FILMS)),
    batchSize: 5,
    learningRates: Float32Array.from({ length: STEPS }, (_, i) => 0.02 / (1 + i)),
    present: films.present,
    variants: films.variants,
  };
}
function part(steps: TrainerSteps, from: number, to: number): TrainerSteps {
  const { batchSize } = steps;
  return {
    ...steps,
    rows: steps.rows.slice(from * batchSize, to * batchSize),
    learningRates: steps.learningRates.slice(from, to),
  };
}

for (const kind of KINDS) {
  test(`${kind}: the same bits on any threads, in one run or many, and after a restore`, async (t) => {
    const films = filmsOf(specOf(kind));
    const steps = epochOf(films);
    const options = optionsOf(kind, { dropout: 0.2, inputDropout: 0.1 });
    const whole = (threads: number) =>
      bitsOf(options, async (trainer) => (await trainer.run(films.data, steps, { threads })).losses);
    const expected = await whole(1);
    for (const threads of [2, 3, 8]) t.is(await whole(threads), expected, `${threads} threads`);
    const cut = await bitsOf(options, async (trainer) => {
      const first = await trainer.run(films.data, part(steps, 0, 4));
      using other = FusionTrainer.create({ ...options, weights: trainer.weights() });
      other.restore(trainer.state());
      t.is(other.step, 4);
      const rest = await other.run(films.data, part(steps, 4, STEPS));
      await trainer.run(films.data, part(steps, 4, 6));
      const last = await trainer.run(films.data, part(steps, 6, STEPS));
      t.deepEqual(rest.losses.slice(2), last.losses);
      t.deepEqual(other.weights(), trainer.weights());
      return Float32Array.from([...first.losses, ...rest.losses]);
    });
    t.is(cut, expected);
    const other = await bitsOf(
      { ...options, seed: 6 },
      async (trainer) => (await trainer.run(films.data, steps)).losses,
    );
    t.not(other, expected);
  });
}
