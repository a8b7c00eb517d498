/**
 * Devices and what can fail on them, on emulated ones: absence, memory, calls that fail, a lost device. Serial, since the
 * emulated runtime is told what to do by environment variables.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  activation,
  deviceMemory,
  type ExecOptions,
  findCuda,
  Linear,
  listDevices,
  resetDevice,
  trimDevice,
} from '../../lib/ops/index.js';
import { randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';

const EMULATED: ExecOptions = { backend: 'emulated' };

/** Sets environment variables until the test ends, and each of them anew: the runtime counts from then. */
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

/** Makes the nth `call` from now on fail, once. */
async function plant<T>(call: string, nth: number, work: () => Promise<T>): Promise<T> {
  process.env.CINEFUSE_EMULATED_FAULT = `${call}:${nth}`;
  try {
    return await work();
  } finally {
    delete process.env.CINEFUSE_EMULATED_FAULT;
    await activation('relu', new Float32Array(4), EMULATED).catch(() => {}); // lets it see that nothing is planted
  }
}

const x = randomF32(1000, 1);
const run = (options: ExecOptions = EMULATED) => activation('tanh', x, options);

test.serial('devices are listed with what they are, each proven by a kernel', async (t) => {
  environment(t, { CINEFUSE_EMULATED_DEVICES: '2' });
  const devices = await listDevices('emulated');
  t.deepEqual(
    devices.map(({ ordinal, usable, name }) => ({ ordinal, usable, name })),
    [0, 1].map((ordinal) => ({ ordinal, usable: true, name: `Emulated device ${ordinal}` })),
  );
  const { library, whyNot } = await findCuda('emulated');
  t.is(whyNot, undefined);
  t.regex(library?.file ?? '', /libcinefuse_emulated\.so$/);
  t.deepEqual(await run({ backend: 'emulated', device: 1 }), await run());
});

test.serial('a device that is not there is an error that says so; nothing falls back', async (t) => {
  await throwsTyped(t, () => run({ backend: 'emulated', device: 5 }), {
    code: 'ERR_BACKEND',
    message: /no device of this number.*CUDA_VISIBLE_DEVICES/,
  });
  for (const device of [-1, 64, 0.5, Number.NaN])
    await throwsTyped(t, () => run({ backend: 'emulated', device }), {
      code: 'ERR_INPUT_VALUE',
      field: 'device',
    });
  await throwsTyped(t, () => run({ ...EMULATED, precision: 'fp8' as never }), {
    code: 'ERR_INPUT_VALUE',
    field: 'precision',
  });
});

test.serial('why not: no driver, no GPU, kernels for other GPUs', async (t) => {
  environment(t, { CINEFUSE_EMULATED_DEVICES: 'driver' });
  t.regex((await findCuda('emulated')).whyNot ?? '', /no NVIDIA driver here, or one too old/);
  process.env.CINEFUSE_EMULATED_DEVICES = '0';
  t.regex((await findCuda('emulated')).whyNot ?? '', /shows no GPU/);
  process.env.CINEFUSE_EMULATED_DEVICES = '4';
  await plant('image', 1, async () => {
    const { devices } = await findCuda('emulated');
    t.deepEqual(
      devices.map(({ usable }) => usable),
      [true, true, false, true],
    );
    t.regex(
      devices[2]?.reason ?? '',
      /built for emulated, and this device \(Emulated device 2\) wants 90: rebuild/,
    );
  });
});

test.serial('a library that is none, or of another version, is refused with the reason', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-library-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const whyNot = async (file: string) => {
    process.env.CINEFUSE_CUDA_LIBRARY = path.join(folder, file);
    return (await findCuda('cuda')).whyNot ?? '';
  };
  environment(t, { CINEFUSE_CUDA_LIBRARY: '' });
  t.regex(await whyNot('missing.so'), /was not found \(tried .*missing\.so\).*build:cuda/);
  writeFileSync(path.join(folder, 'text.so'), 'no library');
  t.regex(await whyNot('text.so'), /cannot be loaded: .*text\.so/);
  const build = (name: string, source: string) => {
    writeFileSync(path.join(folder, `${name}.c`), source);
    const compiler = process.env.CXX || 'c++';
    const file = path.join(folder, `${name}.so`);
    execFileSync(compiler, ['-x', 'c', '-shared', '-fPIC', path.join(folder, `${name}.c`), '-o', file]);
  };
  build('other', 'int something(void) { return 1; }');
  t.regex(await whyNot('other.so'), /is no CUDA library of cinefuse/);
  build('old', 'const void* cinefuse_cuda_api_table(unsigned abi) { return 0; }');
  t.regex(await whyNot('old.so'), /another version of cinefuse \(ABI mismatch.*Rebuild it/);
  build(
    'smaller',
    'static const unsigned table[64] = {1, 8}; const void* cinefuse_cuda_api_table(unsigned abi) { return table; }',
  );
  t.regex(await whyNot('smaller.so'), /ABI mismatch/);
});

test.serial('out of memory names the sizes, and the next call works', async (t) => {
  await trimDevice(EMULATED);
  await plant('malloc', 1, () =>
    throwsTyped(t, () => run(), {
      name: 'BackendError',
      code: 'ERR_MEMORY',
      message:
        /Out of device memory: \d+ bytes were wanted; cinefuse holds \d+ bytes here .*has \d+ of \d+ bytes free/,
    }),
  );
  t.deepEqual(await run(), await run());
});

test.serial('a call that fails names expression, file and line, and harms no other', async (t) => {
  const before = await run();
  await plant('copy', 1, () =>
    throwsTyped(t, () => run(), {
      code: 'ERR_DEVICE',
      message: /cudaMemcpyAsync\(.*\) failed: .*\(cudaErrorInvalidValue\), at native\/cuda\/call\.cu:\d+/,
    }),
  );
  await plant('launch', 1, () =>
    throwsTyped(t, () => run(), {
      code: 'ERR_DEVICE',
      message:
        /launch of .activation_kernel<KIND>. failed: .*at native\/ops\/activation\/activation_cuda\.cu:\d+/,
    }),
  );
  t.deepEqual(await run(), before);
  t.is((await deviceMemory(EMULATED)).inUse, 0);
});

test.serial('a lost device poisons itself alone, and comes back with a reset', async (t) => {
  environment(t, { CINEFUSE_EMULATED_DEVICES: '2' });
  const weight = randomF32(12, 3);
  using layer = await Linear.create({ inFeatures: 4, outFeatures: 3, weight });
  const rows = randomF32(20, 4);
  const expected = await layer.run(rows);
  const close = (got: Float32Array) =>
    t.true(got.every((value, i) => Math.abs(value - (expected[i] ?? 0)) < 1e-5));
  close(await layer.run(rows, EMULATED));
  const other = await run({ backend: 'emulated', device: 1 });
  await throwsTyped(t, () => resetDevice(EMULATED), { code: 'ERR_BACKEND', message: /is not lost/ });

  await plant('kernel', 1, () =>
    throwsTyped(t, () => run(), { code: 'ERR_DEVICE_LOST', message: /planted failure of a kernel/ }),
  );
  for (const work of [() => run(), () => layer.run(rows, EMULATED), () => trimDevice(EMULATED)])
    await throwsTyped(t, work, { code: 'ERR_DEVICE_LOST', message: /Device 0 was lost .*resetDevice/ });
  t.deepEqual(await run({ backend: 'emulated', device: 1 }), other);
  close(await layer.run(rows));

  await resetDevice(EMULATED);
  t.deepEqual(await run(), other);
  close(await layer.run(rows, EMULATED));
});

test.serial('memory comes back: calls, calls at a time, prepared weights', async (t) => {
  await trimDevice(EMULATED);
  const idle = await deviceMemory(EMULATED);
  t.deepEqual([idle.inUse, idle.cached], [0, 0]);
  const first = await run();
  for (const result of await Promise.all(Array.from({ length: 20 }, () => run()))) t.deepEqual(result, first);
  {
    const weight = randomF32(64 * 64, 2);
    using layer = await Linear.create({ inFeatures: 64, outFeatures: 64, weight });
    await layer.run(randomF32(128, 3), EMULATED);
    t.true((await deviceMemory(EMULATED)).inUse >= 64 * 64 * 4);
  }
  const after = await deviceMemory(EMULATED);
  t.is(after.inUse, 0);
  t.true(after.cached > 0 && after.peak >= after.cached);
  await trimDevice(EMULATED);
  t.is((await deviceMemory(EMULATED)).cached, 0);
});

test.serial('large transfers go through pinned memory in turns and arrive whole', async (t) => {
  // more than two halves of 16 MiB each way
  const large = new Float32Array(11 << 20).map((_, i) => (i % 1024) - 512);
  const got = await activation('relu', large, EMULATED);
  t.true(got.every((value, i) => value === Math.max(0, large[i] as number)));
});

test.serial('an aborted signal ends a call on a device', async (t) => {
  const controller = new AbortController();
  controller.abort();
  await throwsTyped(t, () => run({ ...EMULATED, signal: controller.signal }), { code: 'ERR_CANCELLED' });
  const later = new AbortController();
  const large = new Float32Array(8 << 20);
  const call = activation('tanh', large, { ...EMULATED, signal: later.signal });
  setTimeout(() => later.abort(), 5);
  await throwsTyped(t, () => call, { code: 'ERR_CANCELLED' });
  t.is((await deviceMemory(EMULATED)).inUse, 0);
});
