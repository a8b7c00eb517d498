/**
 * A regressor on the tensor product of its modalities, which finds what only two of them together say.
 *
 *   node dist/examples/train/tensor.js
 */
import { pathToFileURL } from 'node:url';
import { fitTable, FusionNetwork, regressionMetrics, tableModel, type TableConfig } from 'cinefuse/train';
import { inventFilms } from './films.js';

export async function run() {
  // What the poster promises counts in the opposite sense where the text is grave: a product, and nothing else.
  const { table, split } = inventFilms(3000, { text: 12, poster: 12 }, 0.1, ({ text, poster }, noise) => ({
    rating: 6 + (poster ? text![0]! * poster[0]! : 0) + 0.1 * noise,
  }));
  const config: TableConfig = {
    seed: 2,
    targets: [{ name: 'rating', task: 'regression' }],
    network: {
      fusion: { kind: 'tensor', out: 24, activation: 'relu' },
      projection: { out: 8, activation: 'none' },
      trunk: [],
    },
    training: {
      epochs: 30,
      batchSize: 64,
      optimizer: { kind: 'adamw', learningRate: 0.01, weightDecay: 0.001 },
      schedule: { kind: 'cosine' },
      earlyStopping: { metric: 'rating.rmse', patience: 10 },
    },
  };
  const fitted = await fitTable(table, split, config);
  using network = FusionNetwork.create(fitted.spec, fitted.weights);
  const { heads } = await tableModel(network, table).predict(split.test);
  const [head] = fitted.heads;
  if (head?.task !== 'regression') throw new Error('a regression was asked for');
  const predicted = heads.rating!.map((output) => output * head.std + head.mean);
  const truth = Float32Array.from(split.test, (film) => table.targets.rating![film]!);
  return { history: fitted.history[0]!, test: regressionMetrics(truth, predicted) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { history, test } = await run();
  console.log(`${history.epochs.length} epochs, the best was ${history.bestEpoch}`);
  console.log(`test: RMSE ${test.rmse.toFixed(3)}, R² ${test.r2!.toFixed(3)}`);
}
