/** Every TypeScript example of the README and of the documents that are all ours is compiled, and run as it stands. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../lib/native.js';

const run = promisify(execFile);
const root = packageRoot();
const DOCUMENTS = ['README.md', 'docs/errors.md', 'docs/bundle-format.md'];

interface Example {
  document: string;
  line: number;
  name: string;
  code: string;
}

function examplesOf(document: string): Example[] {
  const text = readFileSync(path.join(root, document), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match, i) => ({
    document,
    line: text.slice(0, match.index).split('\n').length + 1,
    name: `${path.basename(document, '.md').toLowerCase()}-${i + 1}`,
    code: match[1] as string,
  }));
}

const examples = DOCUMENTS.flatMap(examplesOf);
// Inside the project, so that `import 'cinefuse'` resolves as it does for a user: through the package's exports.
const folder = path.join(root, '.cache', 'examples');
let compiling: Promise<{ stdout: string }> | undefined;

function compile(): Promise<{ stdout: string }> {
  compiling ??= (async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions: { rootDir: '.', outDir: 'out', declaration: false, sourceMap: false },
      include: ['*.ts'],
    };
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
    for (const { name, code } of examples)
      writeFileSync(path.join(folder, `${name}.ts`), `${code}\nexport {};\n`);
    const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    return run(process.execPath, [tsc, '-p', folder]);
  })();
  return compiling;
}

test('the README has examples', (t) => {
  t.true(examples.filter(({ document }) => document === 'README.md').length >= 3);
});

for (const { document, line, name } of examples) {
  test(`${document} line ${line}: the example compiles and runs`, async (t) => {
    t.timeout(180_000);
    await t.notThrowsAsync(compile());
    const { stderr } = await run(process.execPath, [path.join(folder, 'out', `${name}.js`)], { cwd: root });
    t.is(stderr, '');
  });
}

test('the README quotes the quality that the default bundle was measured to have', async (t) => {
  const { qualitySection, quote } = await import(
    pathToFileURL(path.join(root, 'scripts', 'quote-results.mjs')).href
  );
  const { metrics } = JSON.parse(readFileSync(path.join(root, 'models', 'default', 'bundle.json'), 'utf8'));
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  t.is(
    quote(readme, 'quality', qualitySection(metrics)),
    readme,
    'node scripts/quote-results.mjs brings it up to date',
  );
});
