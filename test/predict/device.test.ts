/** Where a Predictor runs. Serial: the environment says which devices there are, and that the emulated ones stand for GPUs. */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { cudaObstacle } from '../../lib/encoders/runtime.js';
import { type Feedback, type Movie, Predictor, type PredictorOptions } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { deviceMemory } from '../../lib/ops/index.js';
import { throwsTyped } from '../errors.js';
import { type Fusion, saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const ON_DEVICE: PredictorOptions = { device: 'cuda', encodersDevice: 'cpu', threads: 1 };

function environment(t: ExecutionContext, values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    t.teardown(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

const emulated = (t: ExecutionContext, devices = '2') =>
  environment(t, { CINEFUSE_DEVICE_BACKEND: 'emulated', CINEFUSE_EMULATED_DEVICES: devices });

async function tiny(t: ExecutionContext, fusion?: Fusion): Promise<string> {
  const dir = await temporaryDirectory();
  t.teardown(() => dir[Symbol.asyncDispose]());
  return saveTiny(dir.path, fusion);
}

/** All numbers of a forecast but its timings, with where they stand. */
function numbersOf(feedback: Feedback): Map<string, number> {
  const numbers = new Map<string, number>();
  const walk = (value: unknown, place: string) => {
    if (typeof value === 'number') numbers.set(place, value);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, part] of Object.entries(value)) walk(part, `${place}.${key}`);
  };
  walk({ ...feedback, timings: undefined }, 'feedback');
  return numbers;
}

function assertNear(t: ExecutionContext, got: Feedback, expected: Feedback, say: string): void {
  const a = numbersOf(got);
  const b = numbersOf(expected);
  t.deepEqual([...a.keys()], [...b.keys()], say);
  t.true(b.size > 10);
  for (const [place, value] of b) {
    const error = Math.abs(a.get(place)! - value) / Math.max(1, Math.abs(value));
    // Shares of changes: where all inputs change little, rounding is a larger part of them.
    const bound = place.startsWith('feedback.modalities') ? 2e-3 : 1e-4;
    t.true(error <= bound, `${say} ${place}: ${a.get(place)} instead of ${value}`);
  }
}

const films: Movie[] = [
  {
    title: 'Ship of Night',
    releaseDate: '2012-05-04',
    runtime: 101,
    budget: 3e6,
    genres: ['Drama', 'War'],
    synopsis:
      'A man and a woman tell the story of the night a ship sank in the sea near the city, and of the war and the love that came after it.',
    trailer: { path: path.join(EXAMPLE, 'trailer.mp4') },
    poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  },
  {
    title: 'Light of the City',
    releaseDate: '2003-01-14',
    genres: ['Family'],
    synopsis: 'The king of the family tells a story of light in the city, and of death at sea in the war.',
  },
];

test.serial('the default bundle on emulated kernels forecasts what it does on the CPU', async (t) => {
  emulated(t);
  await using host = await Predictor.load(undefined, { device: 'cpu', threads: 1 });
  await using device = await Predictor.load(undefined, ON_DEVICE);
  const [{ operators }, cpu] = [device.describe(), host.describe()];
  t.like(operators, {
    backend: 'emulated',
    precision: 'fp32',
    device: { ordinal: 0, name: 'Emulated device 0', computeCapability: '9.0' },
    whyNotCuda: undefined,
  });
  t.like(cpu.operators, { backend: 'cpu', device: undefined, whyNotCuda: undefined });
  for (const film of films) {
    const expected = await host.predict(film);
    // More than twice: by then the network's kernels come from a graph.
    for (let i = 0; i < 4; i++) assertNear(t, await device.predict(film), expected, film.title!);
  }
});

for (const fusion of [
  { kind: 'concat' },
  { kind: 'hybrid' },
  { kind: 'tensor', out: 8, activation: 'relu' },
  { kind: 'low-rank', rank: 3, out: 8, activation: 'tanh' },
  { kind: 'attention', form: 'tanh' },
] as Fusion[]) {
  test.serial(`sequences and sound on emulated kernels, fused by ${fusion.kind}`, async (t) => {
    emulated(t);
    const bundle = await tiny(t, fusion);
    await using host = await Predictor.load(bundle, { device: 'cpu', threads: 1 });
    await using device = await Predictor.load(bundle, { ...ON_DEVICE, device: 'cuda:1' });
    t.is(device.describe().operators.device!.ordinal, 1);
    for (const film of films) {
      assertNear(t, await device.predict(film), await host.predict(film), film.title!);
    }
  });
}

test.serial('rounded matrix products come as near as their precision promises', async (t) => {
  emulated(t);
  const bundle = await tiny(t);
  await using host = await Predictor.load(bundle, { device: 'cpu', threads: 1 });
  const expected = await host.predict(films[0]!);
  for (const [precision, bound] of [
    ['tf32', 2e-3],
    ['bf16', 2e-2],
  ] as const) {
    await using device = await Predictor.load(bundle, { ...ON_DEVICE, precision });
    t.is(device.describe().operators.precision, precision);
    const { rating } = await device.predict(films[0]!);
    t.true(Math.abs(rating!.value - expected.rating!.value) <= bound * 10);
  }
});

test.serial('what a predictor holds on a device goes with it', async (t) => {
  emulated(t);
  const bundle = await tiny(t, { kind: 'hybrid' });
  const exec = { backend: 'emulated', device: 1 } as const;
  const { inUse } = await deviceMemory(exec);
  const predictor = await Predictor.load(bundle, { ...ON_DEVICE, device: 'cuda:1' });
  for (let i = 0; i < 3; i++) await predictor.predict(films[0]!);
  t.true((await deviceMemory(exec)).inUse > inUse);
  await predictor.dispose();
  t.is((await deviceMemory(exec)).inUse, inUse);
});

test.serial('auto goes without a GPU and says why; cuda is an error that says why', async (t) => {
  const bundle = await tiny(t);
  environment(t, { CINEFUSE_CUDA_LIBRARY: '/no/such/library.so', CINEFUSE_DEVICE_BACKEND: '' });
  const both = async (whyNot: RegExp) => {
    await using predictor = await Predictor.load(bundle);
    const { operators } = predictor.describe();
    t.is(operators.backend, 'cpu');
    t.is(operators.device, undefined);
    t.regex(operators.whyNotCuda!, whyNot);
    await throwsTyped(t, () => Predictor.load(bundle, ON_DEVICE), {
      name: 'BackendError',
      code: 'ERR_BACKEND',
      message: new RegExp(`CUDA was asked for and cannot be had: .*${whyNot.source}`),
    });
  };
  await both(/library of the backend 'cuda' was not found/);
  emulated(t, 'driver');
  await both(/no NVIDIA driver here, or one too old/);
  process.env.CINEFUSE_EMULATED_DEVICES = '0';
  await both(/shows no GPU/);
  process.env.CINEFUSE_EMULATED_DEVICES = '2';
  await using predictor = await Predictor.load(bundle, { encodersDevice: 'cpu' });
  t.is(predictor.describe().operators.backend, 'emulated');
  await throwsTyped(t, () => Predictor.load(bundle, { ...ON_DEVICE, device: 'cuda:7' }), {
    code: 'ERR_BACKEND',
    field: 'device',
    message: /no device 7, only 0 \(Emulated device 0\), 1 \(Emulated device 1\)/,
  });
});

test.serial('cuda insists on it for the encoders too, unless they have a device of their own', async (t) => {
  if (cudaObstacle() === undefined) return t.pass('encoders may have CUDA here');
  emulated(t);
  const bundle = await tiny(t);
  await throwsTyped(t, () => Predictor.load(bundle, { device: 'cuda' }), {
    code: 'ERR_BACKEND',
    message: /CUDA was asked for encoder words.*encodersDevice/,
  });
  await using predictor = await Predictor.load(bundle, { device: 'cuda', encodersDevice: 'auto' });
  const { encoders, operators } = predictor.describe();
  t.is(operators.backend, 'emulated');
  t.is(encoders.device, 'auto');
  t.truthy(encoders.encoders[0]!.whyNotCuda);
});

test.serial('a device or precision that there is not', async (t) => {
  const bundle = await tiny(t);
  for (const device of ['gpu', 'cuda:', 'cuda:-1', 'cuda:64', 'cuda:1x', 'CUDA', 1, null]) {
    await throwsTyped(t, () => Predictor.load(bundle, { device: device as never }), {
      name: 'InputError',
      code: 'ERR_INPUT_VALUE',
      field: 'device',
    });
    await throwsTyped(t, () => Predictor.load(bundle, { device: 'cpu', encodersDevice: device as never }), {
      code: 'ERR_INPUT_VALUE',
      field: 'encodersDevice',
    });
  }
  await throwsTyped(t, () => Predictor.load(bundle, { precision: 'fp8' as never }), {
    code: 'ERR_INPUT_VALUE',
    field: 'precision',
  });
});
