/** What a prediction says, and how a network's outputs become it. */
import { CinefuseError } from './errors.js';
import type {
  BinaryHead,
  BundleHead,
  InputName,
  IsotonicCurve,
  MulticlassHead,
  RegressionHead,
} from './fusion/manifest.js';
import type { ReviewScores } from './text/review-scorer.js';

export interface RegressionFeedback {
  value: number;
  /** Split-conformal: holds the true value for `level` of films like those it was calibrated on. */
  interval: [low: number, high: number];
  level: number;
  unit: string;
}

export interface BinaryFeedback {
  /** Calibrated probability of the positive class. */
  probability: number;
  verdict: boolean;
  /** What the positive class is. */
  positive: string;
}

export interface MulticlassFeedback {
  /** The most probable class. */
  verdict: string;
  /** Calibrated probability of each class; sums to 1. */
  probabilities: Record<string, number>;
}

/** Polarity of the reviews that came with the film. Beside the forecast, never an input to it. */
export interface SentimentFeedback {
  /** Mean probability, over the scored reviews, of being positive; null when none could be scored. */
  positive: number | null;
  /** Share of the scored reviews that are more likely positive than not. */
  positiveShare: number | null;
  /** Reviews that were scored, in all and by language. */
  reviews: number;
  languages: Record<string, number>;
  /** Reviews that could not be scored, by their place in the list, and why. */
  notScored: { index: number; reason: string }[];
}

export interface Moment {
  input: InputName;
  startMs: number;
  endMs: number;
  /** Attention weight; the moments of one input sum to 1. */
  weight: number;
}

export interface Timings {
  /** Parsing, and reading texts. */
  readMs: number;
  /** Decoding images, video and sound. */
  decodeMs: number;
  /** Preparing encoder inputs and running the ONNX encoders. */
  encodeMs: number;
  /** The fusion network. */
  fuseMs: number;
  totalMs: number;
}

/** A film's expected reception. */
export interface Feedback {
  id?: string;
  title?: string;
  /** Audience rating, 0-10. */
  rating?: RegressionFeedback;
  wellReceived?: BinaryFeedback;
  /** Worldwide gross, US dollars of the release year. */
  boxOffice?: RegressionFeedback;
  sentiment?: SentimentFeedback;
  /** Heads of a bundle under names of its own. */
  other?: Record<string, RegressionFeedback | BinaryFeedback | MulticlassFeedback>;
  /** Inputs that the forecast rests on. */
  used: InputName[];
  /** Inputs that were given and not used, and why. */
  notUsed: { input: InputName; reason: string }[];
  /** Inputs, and facts within the metadata, that the model could have used and were not given. */
  missing: string[];
  /** How much each used input mattered; sums to 1. `describe().modalityWeights` says how it is measured. */
  modalities: Partial<Record<InputName, number>>;
  moments: Moment[];
  /** Of the batch the film was predicted in. */
  timings: Timings;
  model: { name: string; version: string; beforeRelease: boolean };
}

/** The entry of a table by presence for these present modalities (in the network's order). */
function forPresence<T>(table: Record<string, T>, present: readonly string[]): T {
  return table[present.join('+')] ?? table['*']!;
}

/** Value and interval from a head's raw output. @param spread  raw output of the spread head, if there is one */
export function regressionFeedback(
  head: RegressionHead,
  output: number,
  spread: number | undefined,
  present: readonly string[],
): RegressionFeedback {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = head;
  const clip = (x: number) => Math.min(max, Math.max(min, x));
  const reported = (x: number) => (head.transform === 'log10' ? 10 ** clip(x) : clip(x));
  const center = output * head.std + head.mean;
  const halfWidth =
    forPresence(head.interval.quantiles, present) * (spread === undefined ? 1 : Math.exp(spread));
  return {
    value: reported(center),
    interval: [reported(center - halfWidth), reported(center + halfWidth)],
    level: head.interval.level,
    unit: head.unit,
  };
}

/** The curve's value at `output`: straight between its points, level beyond them. */
export function isotonicProbability({ outputs, probabilities }: IsotonicCurve, output: number): number {
  let [low, high] = [0, outputs.length - 1];
  if (output <= outputs[low]!) return probabilities[low]!;
  if (output >= outputs[high]!) return probabilities[high]!;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (outputs[middle]! <= output) low = middle;
    else high = middle;
  }
  const share = (output - outputs[low]!) / (outputs[high]! - outputs[low]!);
  return probabilities[low]! + share * (probabilities[high]! - probabilities[low]!);
}

export function binaryFeedback(head: BinaryHead, output: number, present: readonly string[]): BinaryFeedback {
  const probability = head.isotonic
    ? isotonicProbability(forPresence(head.isotonic, present), output)
    : 1 / (1 + Math.exp(-output / forPresence(head.temperatures, present)));
  return { probability, verdict: probability >= head.threshold, positive: head.positive };
}

/** @param output  the head's i-th output */
export function multiclassFeedback(
  head: MulticlassHead,
  output: (i: number) => number,
  present: readonly string[],
): MulticlassFeedback {
  const temperature = forPresence(head.temperatures, present);
  const logits = head.classes.map((_, i) => output(i) / temperature);
  const most = Math.max(...logits);
  const shares = logits.map((logit) => Math.exp(logit - most));
  const sum = shares.reduce((a, b) => a + b, 0);
  return {
    verdict: head.classes[logits.indexOf(most)]!,
    probabilities: Object.fromEntries(head.classes.map((name, i) => [name, shares[i]! / sum])),
  };
}

/**
 * All reported heads of one film.
 *
 * @param output   raw output of a head by its name; of several the i-th
 * @param present  names of the present modalities, in the network's order
 */
export function headFeedback(
  heads: readonly BundleHead[],
  output: (head: string, i?: number) => number,
  present: readonly string[],
): Pick<Feedback, 'rating' | 'wellReceived' | 'boxOffice' | 'other'> {
  const result: Pick<Feedback, 'rating' | 'wellReceived' | 'boxOffice' | 'other'> = {};
  const other: NonNullable<Feedback['other']> = {};
  for (const head of heads) {
    if (head.task === 'auxiliary') continue;
    if (head.task === 'regression') {
      const { spreadHead } = head.interval;
      const value = regressionFeedback(
        head,
        output(head.name),
        spreadHead ? output(spreadHead) : undefined,
        present,
      );
      if (head.name === 'rating' || head.name === 'boxOffice') result[head.name] = value;
      else other[head.name] = value;
    } else if (head.task === 'multiclass') {
      other[head.name] = multiclassFeedback(head, (i) => output(head.name, i), present);
    } else {
      const value = binaryFeedback(head, output(head.name), present);
      if (head.name === 'wellReceived') result.wellReceived = value;
      else other[head.name] = value;
    }
  }
  if (Object.keys(other).length > 0) result.other = other;
  return result;
}

/** What the scores of a film's reviews come to. */
export function sentimentFeedback({ probabilities, languages }: ReviewScores): SentimentFeedback {
  const scored: number[] = [];
  const counts: Record<string, number> = {};
  const notScored: SentimentFeedback['notScored'] = [];
  probabilities.forEach((probability, index) => {
    if (probability instanceof CinefuseError) {
      notScored.push({ index, reason: probability.message });
      return;
    }
    scored.push(probability);
    const language = languages[index]!;
    counts[language] = (counts[language] ?? 0) + 1;
  });
  const share = (sum: number) => (scored.length === 0 ? null : sum / scored.length);
  return {
    positive: share(scored.reduce((a, b) => a + b, 0)),
    positiveShare: share(scored.filter((probability) => probability >= 0.5).length),
    reviews: scored.length,
    languages: counts,
    notScored,
  };
}
