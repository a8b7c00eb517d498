/** A forecast's heads as plain numbers, so that two forecasts have differences. */
import type { BinaryFeedback, Feedback, MulticlassFeedback, RegressionFeedback } from '../feedback.js';
import type { HeadValue } from './types.js';

type HeadFeedback = RegressionFeedback | BinaryFeedback | MulticlassFeedback;
type Heads = Pick<Feedback, 'rating' | 'wellReceived' | 'boxOffice' | 'other'>;

function headsOf({ rating, wellReceived, boxOffice, other }: Heads): [string, HeadFeedback][] {
  const own = Object.entries({ rating, wellReceived, boxOffice }).filter((entry) => entry[1] !== undefined);
  return [...(own as [string, HeadFeedback][]), ...Object.entries(other ?? {})];
}

/**
 * The forecast's numbers: a regression's value, a class's probability. Of several classes that of the verdict.
 *
 * @param verdicts  of heads with several classes: whose probability is meant, instead of this forecast's own verdict
 */
export function headValues(heads: Heads, verdicts?: ReadonlyMap<string, string>): HeadValue[] {
  return headsOf(heads).map(([head, said]): HeadValue => {
    if ('value' in said) {
      const { value, unit, interval, level } = said;
      return { head, value, unit, interval, level };
    }
    if ('probability' in said)
      return { head, value: said.probability, unit: `probability of: ${said.positive}` };
    const verdict = verdicts?.get(head) ?? said.verdict;
    return { head, value: said.probabilities[verdict]!, unit: `probability of: ${verdict}` };
  });
}

/** Of the heads with several classes: what the forecast says. */
export function verdictsOf(heads: Heads): Map<string, string> {
  return new Map(
    headsOf(heads).flatMap(([head, said]): [string, string][] =>
      'probabilities' in said ? [[head, said.verdict]] : [],
    ),
  );
}

/** By head: with less without. */
export function differences(
  base: readonly HeadValue[],
  without: readonly HeadValue[],
): Record<string, number> {
  return Object.fromEntries(base.map(({ head, value }, i) => [head, value - without[i]!.value]));
}
