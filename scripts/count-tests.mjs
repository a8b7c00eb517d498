// Runs `npm test`, passes its output through, and counts what ava says of each test; names the skipped ones at the end.
// Usage: node scripts/count-tests.mjs [FILE]   FILE takes the line "N passed, N failed, N skipped"
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

const file = process.argv[2];
if (file) rmSync(file, { force: true });

// ava's own list of results ends at the first rule; what follows repeats the failures in full.
const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];
let listing = true;
let claimed;

function count(line) {
  if (/^ {2}─$/.test(line)) listing = false;
  if (!listing) {
    claimed ??= /^ {2}(\d+) tests? passed$/.exec(line)?.[1];
    return;
  }
  const name = /^ {2}- \[(?:skip|todo)\]:? (.*)$/.exec(line)?.[1];
  if (name) {
    counts.skipped++;
    skipped.push(name);
  } else if (/^ {2}✔ /.test(line)) counts.passed++;
  else if (/^ {2}✘ /.test(line)) counts.failed++;
}

const npm = process.env.npm_execpath;
const [program, ...args] = npm ? [process.execPath, npm, 'test'] : ['npm', 'test'];
const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
for await (const line of createInterface({ input: child.stdout })) {
  process.stdout.write(`${line}\n`);
  count(line);
}
const code = child.exitCode ?? (await new Promise((resolve) => child.once('close', resolve)));

for (const name of skipped) console.log(`SKIPPED: ${name}`);
const problems = [];
if (counts.passed + counts.failed === 0) problems.push('no test ran');
if (claimed !== undefined && Number(claimed) !== counts.passed)
  problems.push(`ava says ${claimed} passed, ${counts.passed} were counted`);
if (code !== 0) {
  problems.push(`npm test ended with ${code}`);
  counts.failed = Math.max(1, counts.failed);
}
const line = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
if (problems.length > 0) {
  console.error(`count-tests: ${problems.join('; ')}`);
  console.log(line);
  process.exit(1);
}
if (file) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${line}\n`);
} else console.log(line);
