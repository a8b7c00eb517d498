/** A few reviews, made up, and the real ones where they are. */
import { readFileSync } from 'node:fs';
import { sharedPath } from '../../shared-path.js';

export const POSITIVE = [
  'A wonderful film with great acting.',
  'I loved the music and the pictures.',
  'Great fun, a clever and moving story.',
  'The best acting of the year, simply wonderful.',
  'Moving, clever, and beautifully filmed.',
  'Not a dull moment; I loved it!',
  'A great cast and a story that never bores.',
  'Beautiful pictures, wonderful music.',
];
export const NEGATIVE = [
  'A dull film with awful acting.',
  'I hated the music and the noise.',
  'Boring, a stupid and lifeless story.',
  'The worst acting of the year, simply awful.',
  'Lifeless, stupid, and badly filmed.',
  'Not a funny moment; I hated it!',
  'A tired cast and a story that only bores.',
  'Ugly pictures, dull music.',
];
export const TEXTS = [...POSITIVE, ...NEGATIVE];
export const LABELS = TEXTS.map((_, i) => (i < POSITIVE.length ? 'positive' : 'negative'));

export const REAL = {
  rt: 'data/movies/reviews/rt_polarity.tsv',
  imdb: 'data/movies/reviews/imdb_reviews.tsv',
  zh: 'data/movies/reviews/douban_reviews.tsv',
} as const;

/** Texts, labels and splits of one of the real sets. */
export function realReviews(which: keyof typeof REAL): {
  texts: string[];
  labels: string[];
  splits: string[];
} {
  const [header, ...lines] = readFileSync(sharedPath(REAL[which]), 'utf8').trimEnd().split('\n');
  const names = header!.split('\t');
  const column = (name: string) => lines.map((line) => line.split('\t')[names.indexOf(name)]!);
  return { texts: column('text'), labels: column('label'), splits: column('split') };
}
