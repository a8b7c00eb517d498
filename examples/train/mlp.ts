/**
 * The plain network: 100 numbers a film -> 64 -> 64 -> 1, mean squared error, Adam, 10 epochs in batches of 32.
 *
 *   node dist/examples/train/mlp.js
 */
import { pathToFileURL } from 'node:url';
import { fitTable, regressionMetrics, tableModel, FusionNetwork } from 'cinefuse/train';
import { inventFilms } from './films.js';

export async function run() {
  // A rating of a hidden combination of the first ten numbers, bent once.
  const { table, split } = inventFilms(2000, { features: 100 }, 0, ({ features }, noise) => {
    let sum = 0;
    for (let i = 0; i < 10; i++) sum += features![i]! * (i % 2 ? 0.4 : -0.4);
    return { rating: 6 + 1.5 * Math.tanh(sum) + 0.1 * noise };
  });
  const fitted = await fitTable(table, split, {
    seed: 1,
    targets: [{ name: 'rating', task: 'regression', loss: { kind: 'mse' } }],
    network: {
      projection: { out: 64, activation: 'relu' },
      trunk: [{ out: 64, activation: 'relu' }],
    },
    training: { epochs: 10, batchSize: 32, optimizer: { kind: 'adam', learningRate: 0.001 } },
  });

  // What was trained runs as it will be served.
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
  for (const { epoch, loss, valid } of history.epochs) {
    console.log(`epoch ${epoch}: loss ${loss.toFixed(4)}, valid ${valid!.loss.toFixed(4)}`);
  }
  console.log(`test: RMSE ${test.rmse.toFixed(3)}, R² ${test.r2!.toFixed(3)}`);
}
