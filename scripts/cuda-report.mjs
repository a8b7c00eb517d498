// What the compiler made of every kernel: registers, shared memory, spills, and the warps that a multiprocessor can hold.
// Writes docs/cuda-kernels.md. Needs nvcc, no GPU: `node scripts/cuda-report.mjs [--arch 80,90]`.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { arch } = parseArgs({ options: { arch: { type: 'string', default: '80,90' } } }).values;
const nvcc = process.env.CUDACXX || 'nvcc';
const sources = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8')).cuda;

/** Of one multiprocessor: registers, warps, shared memory in bytes (CUDA's programming guide, compute capabilities). */
const MULTIPROCESSOR = {
  80: { warps: 64, shared: 164 * 1024, blocks: 32 },
  86: { warps: 48, shared: 100 * 1024, blocks: 16 },
  89: { warps: 48, shared: 100 * 1024, blocks: 24 },
  90: { warps: 64, shared: 228 * 1024, blocks: 32 },
  100: { warps: 64, shared: 228 * 1024, blocks: 32 },
  120: { warps: 48, shared: 100 * 1024, blocks: 24 },
};
const REGISTERS = 65536;
const SHARED_OF_SYSTEM = 1024; // that every block takes beside its own

function run(program, args) {
  // ptxas writes its report to stderr
  return execFileSync('bash', ['-c', '"$0" "$@" 2>&1', program, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
}

const folder = fs.mkdtempSync(path.join(tmpdir(), 'cinefuse-report-'));
const kernels = new Map();
try {
  for (const target of arch.split(',')) {
    for (const source of sources) {
      const ptx = path.join(folder, 'kernels.ptx');
      run(nvcc, ['-std=c++17', '-O3', `-arch=compute_${target}`, '-ptx', source, '-o', ptx]);
      const text = fs.readFileSync(ptx, 'utf8');
      if (!/\.entry/.test(text)) continue;
      const threads = new Map(
        [...text.matchAll(/\.entry (\w+)\([^)]*\)\s*([^{]*)/g)].map(([, name, directives]) => {
          const most = /\.(?:max|req)ntid (\d+)(?:, *(\d+))?(?:, *(\d+))?/.exec(directives);
          return [name, most ? most.slice(1).reduce((product, n) => product * Number(n ?? 1), 1) : undefined];
        }),
      );
      const report = run('ptxas', [
        '-v',
        '-O3',
        `-arch=sm_${target}`,
        ptx,
        '-o',
        path.join(folder, 'kernels.cubin'),
      ]);
      for (const [, name, body] of report.matchAll(
        /Compiling entry function '(\w+)'([\s\S]*?)(?=Compiling entry function|$)/g,
      )) {
        const numberOf = (pattern) => Number(pattern.exec(body)?.[1] ?? 0);
        const entry = kernels.get(name) ?? { source, targets: {} };
        entry.targets[target] = {
          threads: threads.get(name),
          registers: numberOf(/Used (\d+) registers/),
          shared: numberOf(/(\d+) bytes smem/),
          spills: numberOf(/(\d+) bytes spill stores/) + numberOf(/(\d+) bytes spill loads/),
          stack: numberOf(/(\d+) bytes stack frame/),
        };
        kernels.set(name, entry);
      }
    }
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}

/** Warps that fit one multiprocessor, by registers, static shared memory and threads. */
function residentWarps({ threads, registers, shared }, target) {
  const limits = MULTIPROCESSOR[target];
  if (!threads || !limits) return undefined;
  const warps = Math.ceil(threads / 32);
  const registersOfBlock = warps * Math.ceil((registers * 32) / 256) * 256;
  const blocks = Math.min(
    limits.blocks,
    Math.floor(limits.warps / warps),
    Math.floor(REGISTERS / registersOfBlock),
    Math.floor(limits.shared / (shared + SHARED_OF_SYSTEM)),
  );
  return `${blocks * warps} of ${limits.warps}`;
}

const demangled = (name) =>
  execFileSync('c++filt', [name], { encoding: 'utf8' })
    .trim()
    .replace(/cinefuse::gpu::/g, '')
    .replace(/\(anonymous namespace\)::/g, '')
    .replace(/^void /, '')
    .replace(/\((?!\w+\)\d).*$/, '')
    .replace(/\((?:bool|int|unsigned int)\)/g, '');

const targets = arch.split(',');
const lines = [
  '# Kernels, as the compiler made them',
  '',
  `${execFileSync(nvcc, ['--version'], { encoding: 'utf8' }).match(/release [^\n]*/)[0]}, \`-O3\`; made by \`node scripts/cuda-report.mjs --arch ${arch}\`.`,
  'Threads: the most a block may have. Shared memory: the static part, in bytes; kernels with dynamic shared memory hold',
  'fewer warps than the table says, which counts registers, static shared memory and threads. Spills: bytes.',
  '',
  `| kernel | threads | ${targets.map((t) => `sm_${t} registers | shared | spills | warps`).join(' | ')} |`,
  `| --- | --- |${' --- | --- | --- | --- |'.repeat(targets.length)}`,
];
let spilling = 0;
for (const [name, { targets: by }] of [...kernels].sort(([, a], [, b]) => a.source.localeCompare(b.source))) {
  const cells = targets.flatMap((target) => {
    const one = by[target];
    if (!one) return ['', '', '', ''];
    if (one.spills) spilling++;
    return [one.registers, one.shared, one.spills, residentWarps(one, target) ?? 'unknown'];
  });
  lines.push(`| \`${demangled(name)}\` | ${by[targets[0]]?.threads ?? 'unknown'} | ${cells.join(' | ')} |`);
}
fs.writeFileSync(path.join(root, 'docs/cuda-kernels.md'), `${lines.join('\n')}\n`);
console.log(`docs/cuda-kernels.md: ${kernels.size} kernels; ${spilling} with spills`);
