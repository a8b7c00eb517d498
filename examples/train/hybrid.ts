/**
 * Hybrid fusion: poster and sound are fused early, the text's own opinion joins late; cross-entropy over three classes,
 * Adam with a rate of 0.001.
 *
 *   node dist/examples/train/hybrid.js
 */
import { pathToFileURL } from 'node:url';
import { classificationMetrics, fitTable, FusionNetwork, tableModel } from 'cinefuse/train';
import { inventFilms } from './films.js';

export const CLASSES = ['flop', 'middling', 'hit'];

export async function run() {
  const { table, split } = inventFilms(
    3000,
    { text: 24, poster: 32, sound: 16 },
    0.1,
    ({ text, poster, sound }, noise) => {
      // Poster and sound count together: a loud film wants a loud poster.
      const together = poster && sound ? poster[0]! * sound[0]! : 0;
      const score = 1.2 * text![0]! + together + 0.2 * noise;
      return { reception: score < -0.6 ? 0 : score < 0.6 ? 1 : 2 };
    },
  );
  const fitted = await fitTable(table, split, {
    seed: 3,
    targets: [{ name: 'reception', task: 'multiclass', classes: CLASSES, loss: { kind: 'cross-entropy' } }],
    network: {
      fusion: { kind: 'hybrid', early: ['poster', 'sound'], late: ['text'] },
      projection: { out: 32, activation: 'relu' },
      trunk: [{ out: 32, activation: 'relu' }],
    },
    training: {
      epochs: 40,
      batchSize: 32,
      optimizer: { kind: 'adam', learningRate: 0.001 },
      earlyStopping: { metric: 'loss', patience: 6 },
    },
  });

  using network = FusionNetwork.create(fitted.spec, fitted.weights);
  const { heads } = await tableModel(network, table).predict(split.test);
  const said = Array.from(split.test, (_, row) => {
    const logits = heads.reception!.subarray(3 * row, 3 * row + 3);
    return logits.indexOf(Math.max(...logits));
  });
  const truth = Array.from(split.test, (film) => table.targets.reception![film]!);
  return { history: fitted.history[0]!, test: classificationMetrics(truth, said, [0, 1, 2]) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { history, test } = await run();
  console.log(`${history.epochs.length} epochs, the best was ${history.bestEpoch}`);
  console.log(`test: accuracy ${test.accuracy.toFixed(3)}, macro F1 ${test.macroF1.toFixed(3)}`);
  console.log(CLASSES.map((name, i) => `${name}: ${test.confusion[i]!.join(' ')}`).join('\n'));
}
