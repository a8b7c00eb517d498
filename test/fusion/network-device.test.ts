/**
 * A network on devices: kernels for few and for many rows, calls that come again (whose kernels are launched as a graph),
 * and what can fail. Serial: the emulated runtime is told what to fail by the environment, and memory is counted.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkInputs,
  type NetworkOptions,
  type NetworkOutputs,
} from '../../lib/fusion/network.js';
import { defaultBundlePath } from '../../lib/index.js';
import { deviceMemory, type ExecOptions, resetDevice, trimDevice } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { CASES, caseOf, inputsOf, randomWeights, specOf, weightsOf } from './reference-networks.js';

const EMULATED: ExecOptions = { backend: 'emulated' };
const devices = DEVICE_BACKENDS.map((backend) => ({ label: `[${backend}]`, exec: { backend } }));

/** Makes the nth `call` from now on fail, once. */
async function plant<T>(call: string, nth: number, work: () => Promise<T>): Promise<T> {
  process.env.CINEFUSE_EMULATED_FAULT = `${call}:${nth}`;
  try {
    return await work();
  } finally {
    delete process.env.CINEFUSE_EMULATED_FAULT;
    await deviceMemory(EMULATED);
  }
}

function arraysOf({ heads, modalityWeights, sequenceWeights }: NetworkOutputs): [string, Float32Array][] {
  return [
    ...Object.entries(heads),
    ...Object.entries(sequenceWeights ?? {}),
    ...(modalityWeights ? [['modalityWeights', modalityWeights] as [string, Float32Array]] : []),
  ];
}

function assertNear(
  t: ExecutionContext,
  got: NetworkOutputs,
  expected: NetworkOutputs,
  say: string,
  bound = 2e-5,
): void {
  const all = arraysOf(got);
  for (const [i, [name, want]] of arraysOf(expected).entries()) {
    t.is(all[i]![0], name, say);
    const top = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    const worst = want.reduce((a, b, j) => Math.max(a, Math.abs(b - all[i]![1][j]!)), 0);
    t.true(worst <= bound * top, `${say}, ${name}: ${worst} of ${top}`);
  }
}

const rowsOf = (batch: number) => Array.from({ length: batch }, (_, i) => (i * 5) % 6);

for (const { label, exec } of devices) {
  test.serial(`few rows, and so many that products go through the matrix units ${label}`, async (t) => {
    for (const c of CASES) {
      using network = FusionNetwork.create(specOf(c), weightsOf(c));
      for (const batch of [1, 4, 5, 9, 70, 300]) {
        const inputs = inputsOf(c, rowsOf(batch));
        const expected = await network.run(inputs, { sequenceWeights: true });
        const got = await network.run(inputs, { ...exec, sequenceWeights: true });
        assertNear(t, got, expected, `${c.name}, batch ${batch}`);
      }
    }
  });

  test.serial(`wide layers, in every precision ${label}`, async (t) => {
    const layer = { out: 130, activation: 'gelu', layerNorm: true } as const;
    const spec: FusionNetworkSpec = {
      modalities: [
        { name: 'plain', dim: 270, projection: layer },
        { name: 'even', dim: 256, projection: { ...layer, layerNorm: false } },
        {
          name: 'steps',
          dim: 70,
          sequence: { pooling: 'attention', attentionDim: 40 },
          projection: { ...layer, out: 31 },
        },
      ],
      fusion: { kind: 'hybrid' },
      trunk: [{ out: 300, activation: 'relu', layerNorm: false }],
      heads: [{ name: 'y', out: 5 }],
    };
    using network = FusionNetwork.create(spec, randomWeights(spec, 3));
    for (const batch of [3, 70]) {
      const steps = 5;
      const inputs = {
        batch,
        present: Uint8Array.from({ length: batch * 3 }, (_, i) => (i % 4 === 1 ? 0 : 1)),
        modalities: {
          plain: randomF32(batch * 270, batch),
          even: randomF32(batch * 256, batch + 1, 0),
          steps: { data: randomF32(batch * steps * 70, batch + 2), steps },
        },
      };
      const expected = await network.run(inputs);
      for (const [precision, bound] of [
        ['fp32', 2e-5],
        ['tf32', 2e-3],
        ['bf16', 2e-2],
      ] as const) {
        const got = await network.run(inputs, { ...exec, precision });
        assertNear(t, got, expected, `${precision}, batch ${batch}`, bound);
      }
    }
  });

  test.serial(`calls that come again give the same bits, whatever ran between ${label}`, async (t) => {
    using concat = FusionNetwork.create(specOf(caseOf('concat')), weightsOf(caseOf('concat')));
    using late = FusionNetwork.create(specOf(caseOf('late')), weightsOf(caseOf('late')));
    const calls = [
      { network: concat, inputs: inputsOf(caseOf('concat'), [0, 1, 2]) },
      { network: late, inputs: inputsOf(caseOf('late'), [5]) },
      { network: concat, inputs: inputsOf(caseOf('concat'), [5, 3, 1]) },
      { network: concat, inputs: inputsOf(caseOf('concat'), [4]) },
      { network: late, inputs: inputsOf(caseOf('late'), rowsOf(70)) },
    ];
    const first: NetworkOutputs[] = [];
    for (let round = 0; round < 5; round++) {
      for (const [i, { network, inputs }] of calls.entries()) {
        const got = await network.run(inputs, { ...exec, sequenceWeights: round % 2 === 0 });
        first[i] ??= got;
        t.deepEqual(got.heads, first[i].heads, `call ${i}, round ${round}`);
        assertNear(t, got, await network.run(inputs, { sequenceWeights: round % 2 === 0 }), `call ${i}`);
      }
    }
  });

  test.serial(`calls at a time do not disturb each other ${label}`, async (t) => {
    for (const name of ['hybrid', 'attention_tanh']) {
      const c = caseOf(name);
      using network = FusionNetwork.create(specOf(c), weightsOf(c));
      const jobs = Array.from({ length: 40 }, (_, i) => [i % 6, (i * 5 + 1) % 6].slice(0, 1 + (i % 2)));
      const alone: NetworkOutputs[] = [];
      for (const rows of jobs) alone.push(await network.run(inputsOf(c, rows), exec));
      const together = await Promise.all(jobs.map((rows) => network.run(inputsOf(c, rows), exec)));
      t.deepEqual(together, alone);
    }
  });

  test.serial(`one network on the CPU and on the device by turns ${label}`, async (t) => {
    const c = caseOf('low_rank');
    using network = FusionNetwork.create(specOf(c), weightsOf(c), exec);
    const inputs = inputsOf(c);
    const expected = await network.run(inputs);
    for (let i = 0; i < 3; i++) {
      assertNear(t, await network.run(inputs, exec), expected, 'device');
      t.deepEqual(await network.run(inputs), expected);
    }
  });

  test.serial(`disposal gives the device's memory back ${label}`, async (t) => {
    const before = (await deviceMemory(exec)).inUse;
    const c = caseOf('weighted_sum');
    const network = FusionNetwork.create(specOf(c), weightsOf(c));
    t.is((await deviceMemory(exec)).inUse, before, 'nothing goes up before the first call');
    const expected = await network.run(inputsOf(c), exec);
    const one = (await deviceMemory(exec)).inUse;
    t.true(one > before);
    for (let i = 0; i < 3; i++) await network.run(inputsOf(c), exec);
    t.true((await deviceMemory(exec)).inUse > one, 'the graph has memory of its own');
    const running = network.run(inputsOf(c), exec);
    network.dispose();
    t.deepEqual(await running, expected);
    t.is((await deviceMemory(exec)).inUse, before);
  });

  test.serial(`many kinds of calls keep no more memory than some ${label}`, async (t) => {
    const c = caseOf('concat');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const { modalities } = inputsOf(c, [0, 0, 0, 0]); // where everything is there
    const names = Object.keys(modalities);
    const run = async (batch: NetworkInputs, options: NetworkOptions) => {
      await network.run(batch, { ...exec, ...options });
      const { inUse } = await deviceMemory(exec);
      for (let i = 0; i < 2; i++) await network.run(batch, { ...exec, ...options });
      return (await deviceMemory(exec)).inUse - inUse;
    };
    const before = (await deviceMemory(exec)).inUse;
    const plan = await run({ batch: 4, modalities }, { sequenceWeights: true });
    t.true(plan > 0);
    for (const precision of ['fp32', 'tf32', 'bf16'] as const) {
      for (const sequenceWeights of [true, false]) {
        for (let set = 1; set < 8; set++) {
          const given = names.filter((_, i) => (set >> i) & 1).map((name) => [name, modalities[name]]);
          await run({ batch: 4, modalities: Object.fromEntries(given) }, { precision, sequenceWeights });
        }
      }
    }
    const grown = (await deviceMemory(exec)).inUse - before;
    t.true(grown > 8 * plan && grown <= 18 * plan, `${grown} of ${plan} each`);
  });

  test.serial(`a signal that has fired ends a call, and the next one runs ${label}`, async (t) => {
    const c = caseOf('late');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const expected = await network.run(inputsOf(c), exec);
    const control = new AbortController();
    const running = Array.from({ length: 12 }, () =>
      network.run(inputsOf(c), { ...exec, signal: control.signal }),
    );
    control.abort();
    for (const outcome of await Promise.allSettled(running)) {
      if (outcome.status === 'fulfilled') t.deepEqual(outcome.value, expected);
      else t.is(outcome.reason.code, 'ERR_CANCELLED');
    }
    t.deepEqual(await network.run(inputsOf(c), exec), expected);
  });
}

/** Kernels of one call: so many launches can fail it. */
async function launchesOf(spec: FusionNetworkSpec, batch: number, steps = 1): Promise<number> {
  using network = FusionNetwork.create(spec, randomWeights(spec, 1));
  const modalities = Object.fromEntries(
    spec.modalities.map(({ name, dim, sequence }, i) => {
      const data = randomF32(batch * (sequence ? steps : 1) * dim, i);
      return [name, sequence ? { data, steps } : data];
    }),
  );
  const run = () => network.run({ batch, modalities }, EMULATED);
  await run();
  for (let nth = 1; ; nth++) {
    const outcome = await plant('launch', nth, () => run().catch((error: unknown) => error));
    if (!(outcome instanceof Error)) return nth - 1;
  }
}

if (DEVICE_BACKENDS.includes('emulated')) {
  test.serial('a film takes few launches [emulated]', async (t) => {
    const bundle = JSON.parse(await readFile(path.join(defaultBundlePath(), 'bundle.json'), 'utf8')) as {
      network: FusionNetworkSpec;
    };
    // Projections, the layers, heads; as many with every input left out in turn.
    for (const batch of [1, 5, 64]) {
      t.is(await launchesOf(bundle.network, batch), bundle.network.trunk.length + 2);
    }
    // Attention over time takes two more: its hidden layer, and the weighing. Layers that are normalised, one each.
    t.is(await launchesOf(specOf(caseOf('weighted_sum')), 1, 5), 9);
  });

  test.serial('kernels that cannot be captured are launched one by one [emulated]', async (t) => {
    const c = caseOf('hybrid');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const expected = await network.run(inputsOf(c), EMULATED);
    await plant('capture', 1, async () => t.deepEqual(await network.run(inputsOf(c), EMULATED), expected));
    for (let i = 0; i < 3; i++) t.deepEqual(await network.run(inputsOf(c), EMULATED), expected);
  });

  test.serial('a launch or copy that fails is an error of its call alone [emulated]', async (t) => {
    const c = caseOf('concat');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const expected = await network.run(inputsOf(c), EMULATED);
    const run = () => network.run(inputsOf(c), EMULATED);
    // The second call runs the kernels and then captures them: so many launches fail it, and no more.
    let failed = 0;
    for (let nth = 1; nth < 40; nth++) {
      using fresh = FusionNetwork.create(specOf(c), weightsOf(c));
      await fresh.run(inputsOf(c), EMULATED);
      await plant('launch', nth, async () => {
        const outcome = await fresh.run(inputsOf(c), EMULATED).catch((error) => error);
        if (outcome instanceof Error) {
          t.is((outcome as Error & { code: string }).code, 'ERR_DEVICE');
          failed++;
        } else t.deepEqual(outcome, expected);
      });
      for (let i = 0; i < 2; i++) t.deepEqual(await fresh.run(inputsOf(c), EMULATED), expected);
    }
    t.true(failed > 2 && failed < 30, `${failed}`);
    for (let i = 0; i < 2; i++) await run();
    for (const nth of [1, 2]) {
      await plant('copy', nth, () => throwsTyped(t, run, { code: 'ERR_DEVICE' }));
      t.deepEqual(await run(), expected);
    }
  });

  test.serial('out of memory: plans that nobody uses make room [emulated]', async (t) => {
    const c = caseOf('concat');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const small = inputsOf(c, [0, 1]);
    const expected = await network.run(small, EMULATED);
    for (let i = 0; i < 2; i++) t.deepEqual(await network.run(small, EMULATED), expected);
    await trimDevice(EMULATED);
    const inputs = inputsOf(c, rowsOf(400));
    const large = await network.run(inputs);
    await plant('malloc', 1, async () => assertNear(t, await network.run(inputs, EMULATED), large, 'large'));
    // With nothing to give up it is an error, which names the sizes.
    using fresh = FusionNetwork.create(specOf(c), weightsOf(c));
    t.deepEqual(await fresh.run(small, EMULATED), expected);
    await trimDevice(EMULATED);
    await plant('malloc', 1, () =>
      throwsTyped(t, () => fresh.run(inputs, EMULATED), {
        code: 'ERR_MEMORY',
        message: /bytes were wanted/,
      }),
    );
    t.deepEqual(await fresh.run(small, EMULATED), expected);
  });

  test.serial('a network outlives the loss of its device [emulated]', async (t) => {
    const c = caseOf('late');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const run = () => network.run(inputsOf(c), EMULATED);
    const expected = await run();
    for (let i = 0; i < 2; i++) t.deepEqual(await run(), expected);
    await plant('kernel', 2, () => throwsTyped(t, run, { code: 'ERR_DEVICE_LOST' }));
    await throwsTyped(t, run, { code: 'ERR_DEVICE_LOST', message: /resetDevice/ });
    await resetDevice(EMULATED);
    for (let i = 0; i < 3; i++) t.deepEqual(await run(), expected);
  });
}
