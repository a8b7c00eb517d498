import test from 'ava';
import type { Embedding } from '../../lib/encoders/embedding.js';
import type { EncodedFilm } from '../../lib/film-encoder.js';
import { fuseFilms } from '../../lib/fuse.js';
import type { BundleManifest } from '../../lib/fusion/manifest.js';
import { FusionNetwork, type NetworkInputs } from '../../lib/fusion/network.js';
import { randomF32 } from '../backends.js';
import { tinyContents } from '../tiny-bundle.js';

const { manifest, tensors } = tinyContents();
const weights = Object.fromEntries(
  [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
);

function film(seed: number, frames: number): EncodedFilm {
  const embeddings = new Map<string, Embedding>();
  manifest.network.modalities.forEach(({ name, dim, sequence }, i) => {
    if ((seed + i) % 4 === 0 && name !== 'metadata') return;
    const length = sequence ? (name === 'frames' ? frames : 3) : 1;
    embeddings.set(name, { data: randomF32(length * dim, seed * 10 + i, 0), length, dim });
  });
  return { embeddings, notUsed: new Map(), missingFacts: [] };
}

test('films fused together are as fused alone, however long their sequences; a call stays within its bounds', async (t) => {
  const network = FusionNetwork.create(manifest.network, weights);
  const calls: NetworkInputs[] = [];
  const watched = Object.assign(Object.create(network) as FusionNetwork, {
    run: (inputs: NetworkInputs, options: object) => {
      calls.push(inputs);
      return network.run(inputs, options);
    },
  });
  // Of 100,000 frames of 6 values two films with their left-out rows fit into one call, of 10 frames many.
  const films = [10, 100_000, 20, 100_000, 100_000, 1, 100_000, 5, 7, 9, 11].map((n, i) => film(i + 1, n));
  const together = await fuseFilms(watched, manifest as BundleManifest, films, {});
  const sizes = calls.map(({ modalities }) =>
    Object.values(modalities).reduce((sum, m) => sum + (m instanceof Float32Array ? m : m!.data).length, 0),
  );
  t.true(
    sizes.every((size) => size <= 2 ** 24),
    sizes.join(' '),
  );
  t.true(calls.length > 1 && calls.length < films.length);
  for (const [i, one] of films.entries()) {
    const [alone] = await fuseFilms(network, manifest as BundleManifest, [one], {});
    for (const { name } of manifest.heads)
      t.is(together[i]!.output(name), alone!.output(name), `${i} ${name}`);
    t.deepEqual(together[i]!.weights, alone!.weights);
    t.deepEqual(together[i]!.present, alone!.present);
  }
  network.dispose();
});
