/** Classifiers kept on disk. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { fitReviewClassifier, loadReviewClassifier } from 'cinefuse/text';
import { throwsTyped } from '../../errors.js';
import { LABELS, TEXTS } from './reviews-data.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'cinefuse-classifier-'));
test.after.always(() => rmSync(root, { recursive: true, force: true }));

async function saved(name: string, kind: 'naive-bayes' | 'svm' | 'nb-svm' = 'nb-svm'): Promise<string> {
  const directory = path.join(root, name);
  await using classifier = await fitReviewClassifier(TEXTS, LABELS, { kind, calibrationFolds: 2 });
  await classifier.save(directory);
  return directory;
}

/** Changes classifier.json. */
function edit(directory: string, change: (header: Record<string, object>) => void): void {
  const file = path.join(directory, 'classifier.json');
  const header = JSON.parse(readFileSync(file, 'utf8'));
  change(header);
  writeFileSync(file, JSON.stringify(header));
}

for (const kind of ['naive-bayes', 'svm', 'nb-svm'] as const) {
  test(`a ${kind} comes back as it was saved`, async (t) => {
    await using classifier = await fitReviewClassifier(TEXTS, LABELS, { kind, calibrationFolds: 2 });
    const directory = path.join(root, `same-${kind}`);
    await classifier.save(directory);
    await using again = await loadReviewClassifier(directory);
    t.is(again.kind, kind);
    t.deepEqual(again.classes, classifier.classes);
    t.deepEqual(await again.predict(TEXTS), await classifier.predict(TEXTS));
    t.deepEqual(await again.explain!(TEXTS[0]!), await classifier.explain!(TEXTS[0]!));
  });
}

test('a directory that is there is not touched, nothing is left of a failure', async (t) => {
  const directory = path.join(root, 'there');
  mkdirSync(directory);
  await using classifier = await fitReviewClassifier(TEXTS, LABELS, { kind: 'svm', calibrationFolds: 0 });
  await throwsTyped(t, () => classifier.save(directory), { code: 'ERR_MODEL_IO' });
  await throwsTyped(t, () => classifier.save(path.join(root, 'a\0b')), { code: 'ERR_MODEL_IO' });
  t.deepEqual(readdirSync(directory), []);
  t.deepEqual(
    readdirSync(root).filter((name) => name.startsWith('.there')),
    [],
  );
});

test('what is not a saved classifier', async (t) => {
  await throwsTyped(t, () => loadReviewClassifier(path.join(root, 'none')), { code: 'ERR_MODEL_NOT_FOUND' });
  await throwsTyped(t, () => loadReviewClassifier(''), { code: 'ERR_INPUT_TYPE' });
  const code = 'ERR_MODEL_SPEC';
  const cases: Record<string, (header: Record<string, object>) => void> = {
    version: (header) => Object.assign(header, { version: 2 }),
    field: (header) => Object.assign(header, { script: 'x' }),
    classes: (header) => Object.assign(header, { classes: ['one'] }),
    outside: (header) => Object.assign(header.files!, { '../x': { sha256: '0'.repeat(64), bytes: 1 } }),
    features: (header) => Object.assign(header.settings!, { features: { ngrams: [9, 9] } }),
  };
  for (const [name, change] of Object.entries(cases)) {
    const directory = await saved(`bad-${name}`);
    edit(directory, change);
    await throwsTyped(t, () => loadReviewClassifier(directory), { code });
  }
  const directory = await saved('bad-json');
  writeFileSync(path.join(directory, 'classifier.json'), '{');
  await throwsTyped(t, () => loadReviewClassifier(directory), { code });
  edit(await saved('bad-kind'), (header) => Object.assign(header, { kind: 'constructor' }));
  await throwsTyped(t, () => loadReviewClassifier(path.join(root, 'bad-kind')), { code: 'ERR_INPUT_VALUE' });
});

test('files that changed, are missing, or do not fit', async (t) => {
  const changed = await saved('changed');
  const weights = path.join(changed, 'weights.safetensors');
  const bytes = readFileSync(weights);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(weights, bytes);
  await throwsTyped(t, () => loadReviewClassifier(changed), { code: 'ERR_MODEL_CHECKSUM' });
  writeFileSync(weights, bytes.subarray(1));
  await throwsTyped(t, () => loadReviewClassifier(changed), { code: 'ERR_MODEL_CHECKSUM' });
  rmSync(weights);
  await throwsTyped(t, () => loadReviewClassifier(changed), { code: 'ERR_MODEL_NOT_FOUND' });
  const smaller = await saved('smaller');
  edit(smaller, (header) => Object.assign(header.settings!, { terms: 3 }));
  await throwsTyped(t, () => loadReviewClassifier(smaller), { code: 'ERR_MODEL_LOAD' });
});

test('after dispose, and when cancelled', async (t) => {
  const classifier = await fitReviewClassifier(TEXTS, LABELS, { kind: 'svm', calibrationFolds: 0 });
  const signal = AbortSignal.abort();
  await throwsTyped(t, () => classifier.predict(['a'], { signal }), { code: 'ERR_CANCELLED' });
  await classifier.dispose();
  await classifier.dispose();
  await throwsTyped(t, () => classifier.predict(['a']), { code: 'ERR_DISPOSED' });
  await throwsTyped(t, () => classifier.save(path.join(root, 'x')), { code: 'ERR_DISPOSED' });
});
