/**
 * A classifier that attends to its modalities, and says how much each one counted.
 *
 *   node dist/examples/train/attention.js
 */
import { pathToFileURL } from 'node:url';
import { fitTable, FusionNetwork, probabilityMetrics, tableModel } from 'cinefuse/train';
import { inventFilms } from './films.js';

export async function run() {
  const { table, split } = inventFilms(
    3000,
    { text: 20, poster: 20, sound: 20 },
    0.1,
    // The audience follows the text; the poster only where it shouts.
    ({ text, poster }, noise) => ({
      wellReceived:
        1.5 * text![0]! + (poster && poster[1]! > 1 ? 2 * poster[0]! : 0) + 0.3 * noise > 0 ? 1 : 0,
    }),
  );
  const fitted = await fitTable(table, split, {
    seed: 5,
    targets: [{ name: 'wellReceived', task: 'binary' }],
    network: {
      fusion: { kind: 'attention', form: 'tanh', attentionDim: 16 },
      projection: { out: 32, activation: 'tanh' },
      trunk: [{ out: 16, activation: 'relu' }],
    },
    training: {
      epochs: 30,
      batchSize: 32,
      optimizer: { kind: 'adam', learningRate: 0.003 },
      modalityDropout: 0.05,
      earlyStopping: { metric: 'wellReceived.rocAuc', patience: 6 },
    },
  });

  using network = FusionNetwork.create(fitted.spec, fitted.weights);
  const { heads } = await tableModel(network, table).predict(split.test);
  const probability = heads.wellReceived!.map((logit) => 1 / (1 + Math.exp(-logit)));
  const truth = Float32Array.from(split.test, (film) => table.targets.wellReceived![film]!);

  // One film with all it has: whose vectors the network attended to.
  const film = split.test.find((row) => table.present.subarray(3 * row, 3 * row + 3).every(Boolean))!;
  const names = Object.keys(table.modalities);
  const one = await network.run({
    batch: 1,
    modalities: Object.fromEntries(
      names.map((name) => {
        const { dim, values } = table.modalities[name]!;
        return [name, values.slice(film * dim, (film + 1) * dim)];
      }),
    ),
  });
  const weights = Object.fromEntries(names.map((name, m) => [name, one.modalityWeights![m]!]));
  return { history: fitted.history[0]!, test: probabilityMetrics(truth, probability), weights };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { history, test, weights } = await run();
  console.log(`${history.epochs.length} epochs, the best was ${history.bestEpoch}`);
  console.log(`test: ROC AUC ${test.rocAuc!.toFixed(3)}, log loss ${test.logLoss.toFixed(3)}`);
  for (const [name, weight] of Object.entries(weights))
    console.log(`${name}: ${(100 * weight).toFixed(0)} %`);
}
