/** The examples of training do what they are there to show. */
import test from 'ava';
import { run as attention } from '../../examples/train/attention.js';
import { run as hybrid } from '../../examples/train/hybrid.js';
import { run as mlp } from '../../examples/train/mlp.js';
import { run as tensor } from '../../examples/train/tensor.js';

test('the plain network learns a bent rating in ten epochs', async (t) => {
  const { history, test } = await mlp();
  t.is(history.epochs.length, 10);
  t.true(test.r2! > 0.85, String(test.r2));
});

test('hybrid fusion tells three classes apart, two of whose causes only meet early', async (t) => {
  const { test } = await hybrid();
  t.true(test.macroF1 > 0.7, String(test.macroF1));
});

test('attention classifies, and looks at what the audience looks at', async (t) => {
  const { test, weights } = await attention();
  t.true(test.rocAuc! > 0.93, String(test.rocAuc));
  t.true(weights.text! > weights.poster! && weights.text! > weights.sound!);
  t.true(Math.abs(weights.text! + weights.poster! + weights.sound! - 1) < 1e-5);
});

test('the tensor product finds a product', async (t) => {
  const { test } = await tensor();
  t.true(test.r2! > 0.95, String(test.r2));
});
