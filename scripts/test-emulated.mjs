// The operator tests' emulated bodies against another form of the emulated kernels than `npm test` takes:
//
//   node scripts/test-emulated.mjs address    under AddressSanitizer and UBSan
//   node scripts/test-emulated.mjs race       every access of shared and device memory checked for races and bounds
//   node scripts/test-emulated.mjs reverse    CUDA threads take turns in reverse order
//   node scripts/test-emulated.mjs random     ... in a random one
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root } from './compile.mjs';

const form = process.argv[2];
const forms = {
  address: { library: 'emulated-address' },
  race: { library: 'emulated-race' },
  reverse: { library: 'emulated', env: { CINEFUSE_EMULATED_ORDER: 'reverse' } },
  random: { library: 'emulated', env: { CINEFUSE_EMULATED_ORDER: 'random:7' } },
};
const chosen = forms[form];
if (!chosen) {
  console.error(`test-emulated: expected one of ${Object.keys(forms).join(', ')}, received ${form}`);
  process.exit(1);
}

/** The sanitizers' libraries, which must be in the process before Node is; undefined where the compiler has none. */
function sanitizers() {
  const files = ['libasan.so', 'libubsan.so'].map((name) =>
    spawnSync(process.env.CXX || 'c++', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout?.trim(),
  );
  return files.every((file) => file && path.isAbsolute(file) && existsSync(file))
    ? files.join(' ')
    : undefined;
}

const env = {
  ...process.env,
  ...chosen.env,
  CINEFUSE_TEST_BACKENDS: 'emulated',
  CINEFUSE_EMULATED_LIBRARY: path.join(root, 'build', chosen.library, 'libcinefuse_emulated.so'),
};
if (form === 'address') {
  const preload = sanitizers();
  if (!preload) {
    console.log(
      '!! the compiler has NO SANITIZER LIBRARIES: the kernels were NOT run under AddressSanitizer',
    );
    process.exit(0);
  }
  env.LD_PRELOAD = preload;
  // Node itself leaks at its end; its own stacks and signals are none of our business.
  env.ASAN_OPTIONS = 'detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0';
  env.UBSAN_OPTIONS = 'print_stacktrace=1';
}

function run(args, options = {}) {
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (form === 'address' || form === 'race') run([path.join(root, 'scripts', 'build-emulated.mjs'), form]);
const tests = [
  ...readdirSync(path.join(root, 'dist/test/ops')).map((file) => `dist/test/ops/${file}`),
  ...readdirSync(path.join(root, 'dist/test/fusion')).map((file) => `dist/test/fusion/${file}`),
].filter((file) => /\/(?!devices\.)[\w-]+\.test\.js$/.test(file) && !/bundle|import/.test(file));
run(
  [path.join(root, 'node_modules/ava/entrypoints/cli.mjs'), '--timeout=10m', '--match=*emulated*', ...tests],
  { env },
);
