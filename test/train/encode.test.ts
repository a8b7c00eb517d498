import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { loadBundle } from '../../lib/fusion/bundle.js';
import { MetadataEncoder } from '../../lib/metadata/metadata-encoder.js';
import { parseMovie } from '../../lib/movie.js';
import { Predictor } from '../../lib/predict.js';
import { openDataset } from '../../lib/train/data/open.js';
import type { Dataset } from '../../lib/train/data/types.js';
import { EmbeddingCache } from '../../lib/train/embedding-cache.js';
import { encodeDataset } from '../../lib/train/encode.js';
import type { EncodedDataset, EncodeModality, EncodeProgress } from '../../lib/train/encode-types.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const FILMS = 40;
const WORDS = 'sea light ship death night king city war family story love man'.split(' ');
const FRENCH = 'Une femme retrouve la maison de son enfance au bord de la mer et les secrets de sa famille.';

const MODALITIES: EncodeModality[] = [
  { name: 'facts', input: 'metadata', encoder: 'metadata' },
  { name: 'synopsis', input: 'synopsis', encoder: 'words', languages: ['en'], sequence: true },
  { name: 'mean', input: 'synopsis', encoder: 'words', languages: ['en'] },
  { name: 'terms', input: 'synopsis', encoder: 'terms' },
  { name: 'poster', input: 'poster', encoder: 'colours' },
];

const rating = (i: number) => 4 + ((i * 7) % 50) / 10;

function csv(ratingOf: (i: number) => number = rating): string {
  const rows = Array.from({ length: FILMS }, (_, i) => {
    const long = Array.from(
      { length: 3 + (i % 30) },
      (_, k) => WORDS[(i * 5 + k * (1 + (i % 3))) % WORDS.length],
    );
    const synopsis =
      i === 3 ? FRENCH : i === 4 ? '' : `The story of a man and the ${long.join(' ')} in the city.`;
    const poster = i % 5 === 0 ? '' : `images/f${i}.png`;
    const split = i % 8 === 6 ? 'valid' : i % 8 === 7 ? 'test' : 'train';
    return [
      `f${i}`,
      `Film ${i}`,
      1990 + i,
      80 + i,
      1e6 * (i + 1),
      `A${i % 6}|B${i % 4}`,
      `D${i % 5}`,
      synopsis,
      ratingOf(i),
      5e6 * (i + 1),
      split,
      poster,
    ].join(',');
  });
  return `movie_id,title,release_date,runtime,budget,cast,director,overview,rating,revenue,split,poster\n${rows.join('\n')}\n`;
}

interface Scene {
  folder: string;
  bundle: string;
  cache: string;
  dataset: Dataset;
}

async function scene(t: ExecutionContext): Promise<Scene> {
  const directory = await temporaryDirectory();
  t.teardown(() => directory[Symbol.asyncDispose]());
  const folder = path.join(directory.path, 'films');
  await mkdir(path.join(folder, 'images'), { recursive: true });
  await writeFile(path.join(folder, 'movies.csv'), csv());
  for (let i = 0; i < FILMS; i++) {
    if (i % 5 === 0 || i === 7) continue;
    // 8 and 9 have the same poster
    const shade = i === 9 ? 8 : i;
    const picture = sharp({
      create: {
        width: 20 + shade,
        height: 30,
        channels: 3,
        background: { r: shade * 6, g: 255 - shade * 5, b: 90 },
      },
    });
    if (i === 12) {
      await mkdir(path.join(folder, 'images', 'f12.png'));
      continue;
    }
    await writeFile(
      path.join(folder, 'images', `f${i}.png`),
      i === 11 ? 'no picture' : await picture.png().toBuffer(),
    );
  }
  const bundle = await saveTiny(directory.path);
  const dataset = await openDataset(folder);
  return { folder, bundle, cache: path.join(directory.path, 'cache'), dataset };
}

const splitOf = (dataset: Dataset) => dataset.split({ kind: 'column', column: 'split' });

async function encode(
  { dataset, bundle, cache }: Scene,
  options: Parameters<typeof encodeDataset>[1] = {},
): Promise<EncodedDataset> {
  const split = await splitOf(dataset);
  return encodeDataset(dataset, {
    bundle,
    split,
    modalities: MODALITIES,
    cache: { directory: cache },
    threads: 1,
    // The tiny text encoder has no mask: its vectors depend on how far a batch is padded.
    batchSize: 1,
    ...options,
  });
}

function digest({ table }: EncodedDataset): string {
  const hash = createHash('sha256').update(table.present);
  for (const [name, { values, lengths }] of Object.entries(table.modalities)) {
    hash.update(name).update(new Uint8Array(values.buffer)).update(String(lengths));
  }
  return hash.digest('hex');
}

test('a table of what serving would compute, made once', async (t) => {
  const stage = await scene(t);
  const { dataset } = stage;
  const progress: EncodeProgress[] = [];
  const first = await encode(stage, { onProgress: (p) => progress.push(p) });
  const { table } = first;
  t.deepEqual(table.ids, dataset.ids);
  t.deepEqual(
    Object.keys(table.modalities),
    MODALITIES.map(({ name }) => name),
  );
  const has = (row: number) => MODALITIES.map((_, m) => table.present[row * MODALITIES.length + m]);
  t.deepEqual(has(1), [1, 1, 1, 1, 1]);
  t.deepEqual(has(3), [1, 0, 0, 0, 1], 'French is not read');
  t.deepEqual(has(4), [1, 0, 0, 0, 1], 'no synopsis');
  t.deepEqual(has(5).at(-1), 0, 'no poster');
  t.deepEqual(has(7).at(-1), 0, 'a poster that is not there');
  t.deepEqual(has(11).at(-1), 0, 'a poster that is no picture');
  t.deepEqual(
    dataset.problems.map(({ id }) => id),
    ['f7'],
  );
  t.deepEqual(
    first.problems.map(({ id, file, why }) => [id, path.basename(file), why.slice(0, 33)]),
    [
      ['f12', 'f12.png', 'it cannot be read: EISDIR: illega'],
      ['f11', 'f11.png', 'poster cannot be used: expected a'],
    ],
  );
  t.like(first.modalities.poster, { films: 29, cached: 0, encoded: 28 });
  t.is(Object.values(first.modalities.synopsis!.leftOut)[0], 1);
  t.true(progress.some(({ stage: of }) => of === 'facts'));
  const encoding = progress.filter(({ stage: of }) => of === 'encode');
  t.is(encoding.at(-1)!.done, encoding.at(-1)!.total);

  // The very numbers of a Predictor, but for the facts of training films.
  const predictor = await Predictor.load(stage.bundle, { threads: 1 });
  t.teardown(() => predictor.dispose());
  for (const row of [1, 7, 22, 31]) {
    const embeddings = await predictor.embed(await dataset.movie(row), { onInputError: 'skip' });
    for (const { name, input, encoder } of MODALITIES.slice(1)) {
      const wanted = embeddings.find((own) => own.input === input && own.encoder === encoder);
      const { values, dim, steps, lengths } = table.modalities[name]!;
      const own = values.subarray(row * steps * dim, (row + 1) * steps * dim);
      if (!wanted) continue;
      if (name === 'mean') {
        const mean = Float32Array.from({ length: dim }, (_, d) => {
          let sum = 0;
          for (let k = 0; k < wanted.length; k++) sum += wanted.data[k * dim + d]!;
          return sum / wanted.length;
        });
        t.deepEqual(own, mean);
      } else {
        if (lengths) t.is(lengths[row], wanted.length);
        t.deepEqual(own.subarray(0, wanted.length * dim), wanted.data, `${name} of film ${row}`);
      }
    }
  }
  t.true(table.modalities.synopsis!.steps > 1);
  t.true(new Set(table.modalities.synopsis!.lengths).size > 1);
});

test('a second run starts no encoder and gives the same bits', async (t) => {
  const stage = await scene(t);
  await using bundle = await loadBundle(stage.bundle);
  const first = await encode(stage, { bundle });
  // Nothing to encode with any more: whoever tries will fail.
  for (const { directory } of bundle.encoders) await rm(directory, { recursive: true });
  const second = await encode(stage, { bundle });
  t.is(digest(second), digest(first));
  t.deepEqual(second.metadata, first.metadata);
  t.deepEqual(second.problems, first.problems);
  for (const { encoded } of Object.values(second.modalities)) t.is(encoded, 0);
  t.like(second.modalities.poster, { films: 29, cached: 30 });
  await throwsTyped(t, () => encode(stage, { bundle, cache: false }), { code: 'ERR_MODEL_NOT_FOUND' });
});

test('facts: a training film does not know its own rating, no film that of a test film', async (t) => {
  const stage = await scene(t);
  const before = await encode(stage);
  const threads = { modalities: MODALITIES.slice(0, 1), cache: false as const, threads: 3 };
  t.deepEqual((await encode(stage, threads)).table.modalities.facts, before.table.modalities.facts);
  const split = await splitOf(stage.dataset);
  const movies = await stage.dataset.movies([1, split.test[0]!]);
  const changed = async (row: number) => {
    await writeFile(
      path.join(stage.folder, 'movies.csv'),
      csv((i) => (i === row ? 9.9 : rating(i))),
    );
    return encode({ ...stage, dataset: await openDataset(stage.folder) });
  };
  const names = new MetadataEncoder(before.metadata!).featureNames;
  const facts = before.table.modalities.facts!;
  t.is(facts.variants, 4);
  const vector = ({ table }: EncodedDataset, variant: number, row: number) => {
    const { values, dim } = table.modalities.facts!;
    const at = (variant * FILMS + row) * dim;
    return values.subarray(at, at + dim);
  };
  // Codes rest on quantiles of all training films; the features themselves must not move.
  const plain = names.flatMap((name, j) => (name.includes('@') ? [] : [j]));
  const row = 1;
  const after = await changed(row);
  let others = 0;
  for (let variant = 0; variant < 4; variant++) {
    for (const j of plain) t.is(vector(after, variant, row)[j], vector(before, variant, row)[j], names[j]);
    for (let other = 0; other < FILMS; other++) {
      if (plain.some((j) => vector(after, variant, other)[j] !== vector(before, variant, other)[j])) others++;
    }
  }
  t.true(others > 0, 'films with the same people learn from it');
  const tested = split.test[0]!;
  t.is(digest(await changed(tested)), digest(before));
  // A folding each, and not the vector that serving would give.
  const full = new MetadataEncoder(before.metadata!);
  const [served, own] = movies.map((movie) => full.encode(parseMovie(movie).given.metadata!).data);
  t.notDeepEqual(vector(before, 0, row), served);
  for (let variant = 0; variant < 4; variant++) t.deepEqual(vector(before, variant, tested), own);
});

test("the bundle's own facts, for judging it", async (t) => {
  const stage = await scene(t);
  const { table, metadata } = await encode(stage, { metadata: 'bundle', split: undefined });
  await using bundle = await loadBundle(stage.bundle);
  t.deepEqual(metadata, bundle.manifest.metadata);
  t.is(table.modalities.facts!.variants, undefined);
  const all = await encodeDataset(stage.dataset, { bundle, metadata: 'bundle', cache: false, threads: 1 });
  t.deepEqual(
    Object.keys(all.table.modalities),
    bundle.manifest.modalities.map(({ name }) => name),
  );
  t.truthy(all.table.modalities.frames!.lengths);
});

const segmentsIn = async (cache: string) => {
  const found: string[] = [];
  for (const shelf of await readdir(path.join(cache, 'shelves'))) {
    for (const name of await readdir(path.join(cache, 'shelves', shelf))) {
      if (name.endsWith('.safetensors') || name.endsWith('.sealed'))
        found.push(path.join(cache, 'shelves', shelf, name));
    }
  }
  return found;
};

/** Silence with a click, 16 kHz, mono, 16 bit. */
function wav(seconds: number): Buffer {
  const samples = Buffer.alloc(Math.round(seconds * 16_000) * 2);
  samples.writeInt16LE(9000, samples.length - 2);
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(16_000, 24);
  header.writeUInt32LE(32_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

test('sequences: sound of different lengths, the longest sets the steps', async (t) => {
  const stage = await scene(t);
  await mkdir(path.join(stage.folder, 'audio'));
  for (const [id, seconds] of Object.entries({ f2: 0.7, f3: 2.3, f9: 1.5 })) {
    await writeFile(path.join(stage.folder, 'audio', `${id}.wav`), wav(seconds));
  }
  const own = { ...stage, dataset: await openDataset(stage.folder) };
  t.is(own.dataset.inputs.audio, 3);
  const sound: EncodeModality = { name: 'sound', input: 'audio', encoder: 'loudness', sequence: true };
  const options = { modalities: [sound, { ...sound, name: 'mean', sequence: false }] };
  const { table } = await encode(own, options);
  const { steps, lengths, values, dim } = table.modalities.sound!;
  t.is(steps, 5);
  t.deepEqual([...[2, 3, 9].map((row) => lengths![row]!)], [2, 5, 3]);
  const present = Array.from({ length: FILMS }, (_, row) => table.present[row * 2]);
  t.deepEqual(
    present.flatMap((there, row) => (there ? [row] : [])),
    [2, 3, 9],
  );
  for (const row of [2, 3, 9]) {
    const power = (step: number) => values[(row * steps + step) * dim + 1]!;
    t.true(power(lengths![row]! - 1) > 0, 'the click is in the last window');
    t.is(power(0), 0);
    const mean = table.modalities.mean!.values[row * dim + 1]!;
    t.true(Math.abs(mean - power(lengths![row]! - 1) / lengths![row]!) < 1e-9);
  }
  t.is(digest(await encode(own, options)), digest({ table } as EncodedDataset));
});

test('damage is found, by reading and by verify, and made good', async (t) => {
  const stage = await scene(t);
  const first = await encode(stage);
  for (const file of await segmentsIn(stage.cache)) {
    const bytes = await readFile(file);
    bytes[bytes.length - 2]! ^= 4;
    await writeFile(file, bytes);
  }
  const second = await encode(stage);
  t.is(digest(second), digest(first));
  t.true(Object.values(second.modalities).some(({ encoded }) => encoded > 0));
  const cache = new EmbeddingCache({ directory: stage.cache });
  t.like(await cache.verify(), { damaged: [] });
  const [file] = await segmentsIn(stage.cache);
  await writeFile(file!, 'short');
  t.deepEqual((await cache.verify()).damaged, [file]);
  t.like(await cache.verify(), { damaged: [] });
  t.is(digest(await encode(stage)), digest(first));
});

test('a cancelled run leaves what it made, and no half-written files', async (t) => {
  const stage = await scene(t);
  const controller = new AbortController();
  const cancelled = encode(stage, {
    signal: controller.signal,
    onProgress: ({ stage: of, done }) => {
      if (of === 'encode' && done >= 8) controller.abort();
    },
  });
  await throwsTyped(t, () => cancelled, { code: 'ERR_CANCELLED' });
  for (const shelf of await readdir(path.join(stage.cache, 'shelves'))) {
    const names = await readdir(path.join(stage.cache, 'shelves', shelf));
    t.deepEqual(
      names.filter((name) => name.startsWith('.')),
      [],
    );
  }
  const after = await encode(stage);
  const cached = Object.values(after.modalities).reduce((sum, own) => sum + own.cached, 0);
  t.true(cached >= 8, `${cached}`);
  t.is(digest(after), digest(await encode(stage, { cache: false })));
  await throwsTyped(t, () => encode(stage, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
  for (const stop of ['read', 'facts'] as const) {
    const stopping = new AbortController();
    const options = {
      cache: false as const,
      modalities: MODALITIES.slice(0, 1),
      signal: stopping.signal,
      onProgress: ({ stage: of }: EncodeProgress) => {
        if (of === stop) stopping.abort();
      },
    };
    await throwsTyped(t, () => encode(stage, options), { code: 'ERR_CANCELLED' });
  }
});

test('a cap on the size removes what was not used for longest', async (t) => {
  const stage = await scene(t);
  const first = await encode(stage, { cache: { directory: stage.cache, maxBytes: 2000 } });
  const left = await new EmbeddingCache({ directory: stage.cache }).verify();
  t.true(left.bytes <= 2000, `${left.bytes}`);
  t.is(digest(await encode(stage, { cache: { directory: stage.cache, maxBytes: 0 } })), digest(first));
  t.like(await new EmbeddingCache({ directory: stage.cache }).verify(), { segments: 0 });
  t.throws(() => new EmbeddingCache({ maxBytes: Number.NaN }), { code: 'ERR_INPUT_VALUE' });
});

test('several processes with one cache', async (t) => {
  const stage = await scene(t);
  const script = fileURLToPath(new URL('./encode-process.js', import.meta.url));
  const run = async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      script,
      stage.folder,
      stage.bundle,
      stage.cache,
    ]);
    return JSON.parse(stdout) as { sums: number[]; modalities: EncodedDataset['modalities'] };
  };
  const [a, b] = await Promise.all([run(), run()]);
  t.deepEqual(a.sums, b.sums);
  const c = await run();
  t.deepEqual(c.sums, a.sums);
  for (const { encoded } of Object.values(c.modalities)) t.is(encoded, 0);
  t.like(await new EmbeddingCache({ directory: stage.cache }).verify(), { damaged: [] });
});

test('what cannot be encoded is refused before any work', async (t) => {
  const stage = await scene(t);
  const refused = (
    options: Parameters<typeof encodeDataset>[1],
    field: string,
    code: 'ERR_INPUT_VALUE' | 'ERR_DATA_COLUMN' | 'ERR_DATA_LEAK' = 'ERR_INPUT_VALUE',
  ) => throwsTyped(t, () => encode(stage, options), { code, field });
  const [, synopsis] = MODALITIES;
  await refused({ modalities: [{ ...synopsis!, encoder: 'wrods' }] }, 'modalities.synopsis.encoder');
  await refused({ modalities: [{ ...synopsis!, encoder: 'metadata' }] }, 'modalities.synopsis.encoder');
  await refused({ modalities: [synopsis!, synopsis!] }, 'modalities');
  await refused({ modalities: [] }, 'modalities');
  await refused({ split: undefined }, 'split');
  await refused({ metadata: { folds: 1 } }, 'metadata.folds');
  await refused({ metadata: { rating: 'stars' } }, 'metadata.rating', 'ERR_DATA_COLUMN');
  await refused(
    { modalities: [{ name: 'r', input: 'reviews', encoder: 'words' }] },
    'reviews',
    'ERR_DATA_LEAK',
  );
  await refused({ targets: ['runtime'] }, 'runtime', 'ERR_DATA_LEAK');
  const told = await encode(stage, {
    modalities: [{ name: 'r', input: 'reviews', encoder: 'words' }],
    beforeRelease: false,
  });
  t.is(told.modalities.r!.films, 0);
});
