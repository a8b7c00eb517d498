/** Shares out texts with classes, each class evenly. */
import { DataError } from '../../errors.js';
import { randomOf, seedOf } from '../../train/random.js';

/**
 * Stratified folds: of every class each fold has as many texts as the others, or one more.
 *
 * @param truth  (texts) classes by number
 * @returns (texts) fold of each, from 0
 * @throws DataError ERR_DATA_EMPTY  a class with fewer texts than folds
 */
export function stratifiedFolds(truth: Int32Array, classes: number, folds: number, seed: number): Int32Array {
  const fold = new Int32Array(truth.length);
  let first = 0;
  for (let c = 0; c < classes; c++) {
    const members = Int32Array.from(truth.keys()).filter((i) => truth[i] === c);
    if (members.length < folds) {
      throw new DataError('ERR_DATA_EMPTY', {
        field: 'labels',
        expected: `at least ${folds} texts of every class, one for each fold`,
        got: `${members.length} of class ${c + 1}`,
      });
    }
    randomOf(seedOf(seed, 'text folds', c)).shuffle(members);
    members.forEach((text, i) => {
      fold[text] = (first + i) % folds;
    });
    // The next class goes on where this one ended, so that folds are of one size over all.
    first = (first + members.length) % folds;
  }
  return fold;
}

/** The texts that are in a fold, and those that are not, each in order. */
export function splitFold(fold: Int32Array, k: number): { inside: Int32Array; outside: Int32Array } {
  const all = Int32Array.from(fold.keys());
  return { inside: all.filter((i) => fold[i] === k), outside: all.filter((i) => fold[i] !== k) };
}
