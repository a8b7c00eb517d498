/** One of several processes that encode the same films with the same cache: node encode-process.js FOLDER BUNDLE CACHE */
import { encodeDataset } from '../../lib/train/encode.js';
import { openDataset } from '../../lib/train/data/open.js';

const [, , folder, bundle, directory] = process.argv;
const dataset = await openDataset(folder!);
const split = await dataset.split({ kind: 'column', column: 'split' });
const { table, modalities } = await encodeDataset(dataset, {
  bundle,
  split,
  cache: { directory: directory! },
  batchSize: 2,
  threads: 1,
});
const sums = Object.values(table.modalities).map(({ values }) =>
  values.reduce((sum, value) => sum + value, 0),
);
process.stdout.write(JSON.stringify({ sums, modalities }));
