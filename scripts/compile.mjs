// Compiles C++ files by the host's compiler into a folder and links them, keeping every object whose sources, headers and
// flags are as they were: for what only tests need, which binding.gyp does not build.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const compiler = process.env.CXX || 'c++';

const digest = (...texts) => createHash('sha256').update(texts.join('\0')).digest('hex');

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Of the flags and of every file that an object was made of, by the compiler's own list; undefined without one. */
function fingerprint(flags, dependencyFile) {
  const list = readText(dependencyFile);
  if (list === undefined) return undefined;
  const files = list
    .replace(/\\\n/g, ' ')
    .replace(/^[^:]*:/, '')
    .trim()
    .split(/\s+/);
  const texts = files.map((file) => readText(path.resolve(root, file)));
  return texts.includes(undefined) ? undefined : digest(compiler, ...flags, ...texts);
}

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, args, { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${compiler} ended with code ${code}`)),
    );
  });
}

async function compile(source, flags, folder) {
  const stem = path.join(folder, source.replace(/\W/g, '_'));
  const object = `${stem}.o`;
  const stamp = `${stem}.sha256`;
  const now = fingerprint(flags, `${stem}.d`);
  if (now && fs.existsSync(object) && readText(stamp) === now) return object;
  fs.rmSync(stamp, { force: true });
  // Written aside, since another build may be at it too.
  const fresh = `${stem}.${process.pid}`;
  await run([...flags, '-MMD', '-MF', `${fresh}.d`, '-MT', 'object', '-x', 'c++', '-c', source, '-o', fresh]);
  fs.renameSync(`${fresh}.d`, `${stem}.d`);
  fs.renameSync(fresh, object);
  fs.writeFileSync(stamp, fingerprint(flags, `${stem}.d`) ?? '');
  return object;
}

/**
 * Compiles `sources` (relative to the project, with `flagsOf(source)`) and links them with `link` (flags, other objects)
 * into `target`. Does nothing that was done before. Throws when the compiler does.
 */
export async function build({ sources, flagsOf, folder, link, target }) {
  fs.mkdirSync(folder, { recursive: true });
  const waiting = [...sources];
  const objects = [];
  const worker = async () => {
    for (let source = waiting.shift(); source; source = waiting.shift())
      objects.push(await compile(source, flagsOf(source), folder));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  objects.sort();
  const others = link.filter((item) => !item.startsWith('-'));
  const linked = digest(
    compiler,
    ...link,
    ...[...objects, ...others].map((file) => `${file} ${fs.statSync(file).mtimeMs}`),
  );
  const stamp = `${target}.sha256`;
  if (fs.existsSync(target) && readText(stamp) === linked) return;
  // Linked aside: a file that a process has open must not be written over.
  const fresh = `${target}.${process.pid}`;
  await run([...objects, ...link, '-o', fresh]);
  fs.renameSync(fresh, target);
  fs.writeFileSync(stamp, linked);
}
