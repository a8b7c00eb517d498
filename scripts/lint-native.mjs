// Native sources: clang-format (--check, --write), and what no formatter sees: *_simd.cc units must leave no weak
// symbol, or the linker could keep the AVX-512 copy of a shared function for a CPU that lacks it.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sources = ['native', 'test', 'bench']
  .flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(cc|h|cu|cuh)$/.test(file) && !file.includes('node_modules'))
      .map((file) => path.join(folder, file)),
  )
  .sort();
let failed = false;

const mode = process.argv[2];
if (mode === '--write' || mode === '--check') {
  const { location } = createRequire(import.meta.url)('clang-format');
  const args = mode === '--write' ? ['-i'] : ['--dry-run', '--Werror'];
  try {
    execFileSync(location, [...args, ...sources], { cwd: root, stdio: 'inherit' });
  } catch {
    failed = true;
  }
} else {
  const objects = path.join(root, 'build/Release/obj.target');
  const units = existsSync(objects)
    ? readdirSync(objects, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('_simd.o'))
    : [];
  if (units.length === 0)
    console.warn('lint-native: no build found, symbols of the *_simd units NOT checked');
  for (const unit of units) {
    const weak = execFileSync('nm', ['-C', path.join(objects, unit)], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => / [WVu] /.test(line));
    if (weak.length > 0) {
      console.error(`${unit} has weak symbols:\n${weak.join('\n')}`);
      failed = true;
    }
  }
}
process.exit(failed ? 1 : 0);
