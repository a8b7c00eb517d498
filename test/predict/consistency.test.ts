/** The bundle that ships says the same of a film alone and in a batch, however it is loaded and on whatever it runs. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { packTar } from '../../lib/fusion/tar.js';
import { defaultBundlePath, type Feedback, type Movie, Predictor } from '../../lib/index.js';
import { native, packageRoot } from '../../lib/native.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const poster = { path: path.join(EXAMPLE, 'poster.jpg') };
const synopsis = { path: path.join(EXAMPLE, 'synopsis.txt') };
const FILMS: Movie[] = [
  { title: 'The Lighthouse Keeper', releaseDate: '2027-03', runtime: 104, budget: 12e6, synopsis, poster },
  { title: 'The Lighthouse Keeper' },
  { poster },
  { synopsis: 'A man and a woman cross the sea in a war, and learn what a story is worth.', genres: ['War'] },
];

const numbers = (feedback: Feedback) => ({
  rating: feedback.rating!.value,
  low: feedback.rating!.interval[0],
  well: feedback.wellReceived!.probability,
  gross: Math.log10(feedback.boxOffice!.value),
});

/** Every number of every film within `tolerance`. Instruction sets add in different orders; nothing else may differ. */
function agree(t: ExecutionContext, a: object[], b: object[], tolerance: number, what: string): void {
  t.is(a.length, b.length);
  a.forEach((film, i) => {
    for (const [name, value] of Object.entries(film)) {
      const other = (b[i] as Record<string, number>)[name]!;
      t.true(Math.abs(value - other) <= tolerance, `${what}: film ${i} ${name} ${value} and ${other}`);
    }
  });
}

async function each(predictor: Predictor): Promise<object[]> {
  const results: object[] = [];
  for (const film of FILMS) results.push(numbers(await predictor.predict(film)));
  return results;
}

test('alone, in a batch, from a .tar, with processes for media, on one thread', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await Predictor.load();
  const alone = await each(predictor);
  t.deepEqual(await each(predictor), alone, 'a second time');
  const batch = await predictor.predictBatch([...FILMS, ...FILMS], { batchSize: 3 });
  const together = batch.map((result) => (result.ok ? numbers(result.feedback) : {}));
  agree(t, [...alone, ...alone], together, 1e-4, 'batch');

  const tar = path.join(dir.path, 'bundle.tar');
  await packTar(defaultBundlePath(), tar);
  await using packed = await Predictor.load(tar, { isolation: 'process', threads: 1 });
  agree(t, alone, await each(packed), 1e-4, '.tar, processes, one thread');
});

const CHILD = `
  const { Predictor } = await import(process.env.CINEFUSE_TEST_INDEX);
  const films = JSON.parse(process.env.CINEFUSE_TEST_FILMS);
  const predictor = await Predictor.load(undefined, { threads: 1 });
  const results = await predictor.predictBatch(films);
  await predictor.dispose();
  console.log(JSON.stringify({
    isa: predictor.describe().operators.isa,
    feedback: results.map(({ feedback }) => feedback),
  }));
`;

test('every instruction set', async (t) => {
  const seen: object[][] = [];
  for (const isa of native().info().isas) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', CHILD], {
      env: {
        ...process.env,
        CINEFUSE_ISA: isa,
        CINEFUSE_TEST_INDEX: new URL('../../lib/index.js', import.meta.url).href,
        CINEFUSE_TEST_FILMS: JSON.stringify(FILMS),
      },
    });
    const { isa: ran, feedback } = JSON.parse(stdout) as { isa: string; feedback: Feedback[] };
    t.is(ran, isa);
    seen.push(feedback.map(numbers));
  }
  for (const other of seen.slice(1)) agree(t, seen[0]!, other, 1e-4, 'instruction sets');
});
