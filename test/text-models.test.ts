/** The text half of a bundle, alone. */
import test from 'ava';
import { TextModels } from '../lib/text-models.js';
import { throwsTyped } from './errors.js';

test('encodes, tells languages and scores reviews as a Predictor does; gives everything back', async (t) => {
  await using models = await TextModels.load({ threads: 1 });
  const encoder = models.encoderFor('en');
  t.truthy(encoder);
  const [embedding] = await encoder!.encode(['A keeper of light saves a stranger from the sea.']);
  t.is(embedding!.dim, encoder!.spec.dim);
  const { probabilities } = await models.reviews!.score([
    'A wonderful, moving film. I loved every minute.',
    'Dull, badly acted and far too long. A waste of time.',
  ]);
  t.true((probabilities[0] as number) > 0.5 && (probabilities[1] as number) < 0.5);
  await models.dispose();
  await throwsTyped(t, () => encoder!.encode(['again']), { code: 'ERR_DISPOSED' });
});

test('a bundle that is not there', async (t) => {
  await throwsTyped(t, () => TextModels.load({ bundle: '/none' }), { code: 'ERR_BUNDLE_NOT_FOUND' });
});
