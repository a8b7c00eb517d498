/** Every TypeScript example of the README and of the documents that are all ours is compiled, and run as it stands. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { packageRoot } from '../lib/native.js';

const run = promisify(execFile);
const root = packageRoot();
const DOCUMENTS = [
  'README.md',
  'docs/cuda.md',
  'docs/errors.md',
  'docs/explain.md',
  'docs/lstm.md',
  'docs/motion.md',
  'docs/neural-text.md',
  'docs/bundle-format.md',
  'docs/ask.md',
  'docs/trainer.md',
  'docs/training.md',
  'docs/trailers.md',
  'docs/keywords.md',
  'docs/scripts.md',
  'docs/word-vectors.md',
  'docs/analyze.md',
  'docs/reviews.md',
];

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

test('every link of the README and the documents leads to a file that is there, and a heading in it', (t) => {
  const documents = [
    'README.md',
    'CONTRIBUTING.md',
    ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`),
  ];
  for (const document of documents) {
    const text = readFileSync(path.join(root, document), 'utf8');
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target as string)) continue;
      const [name, heading] = (target as string).split('#') as [string, string?];
      const file = name === '' ? path.join(root, document) : path.join(root, path.dirname(document), name);
      t.true(existsSync(file), `${document}: ${target}`);
      if (heading === undefined || !existsSync(file)) continue;
      const anchors = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        (title as string)
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      );
      t.true(anchors.includes(heading), `${document}: ${target}`);
    }
  }
});

test('the README quotes the quality that the default bundle was measured to have', async (t) => {
  const { qualitySection, quote } = await import(
    pathToFileURL(path.join(root, 'scripts', 'quote-results.mjs')).href
  );
  const read = (...parts: string[]) => JSON.parse(readFileSync(path.join(root, ...parts), 'utf8'));
  const quality = read('training', 'results', 'quality.json');
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  t.is(
    quote(readme, 'quality', qualitySection(quality)),
    readme,
    'node scripts/quote-results.mjs brings it up to date',
  );
});

test('the README lists the operators that there are', async (t) => {
  const text = readFileSync(path.join(root, 'README.md'), 'utf8');
  const rows = text.slice(text.indexOf('| operator | what |')).split('\n\n')[0]!.split('\n').slice(2);
  const named = rows.flatMap((row) =>
    [...row.split('|')[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name as string),
  );
  const exported = Object.keys(await import('../lib/ops/index.js'));
  const helpers = ['Prepared', 'activationSync', 'defaultIsa', 'defaultThreads', 'frameSize'];
  t.deepEqual(named.sort(), exported.filter((name) => !helpers.includes(name)).sort());
});
