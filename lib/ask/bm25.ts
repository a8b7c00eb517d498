/** Which documents a query's words point to. */

export interface Bm25Options {
  /** How soon a word that is said again stops counting. Default 1.2. */
  k1?: number;
  /** How much a long document is held back: 0 not at all, 1 fully. Default 0.75. */
  b?: number;
}

interface Postings {
  documents: number[];
  counts: number[];
}

/**
 * Okapi BM25 over documents given as lists of terms:
 *
 *   score(q, d) = Σ_{t ∈ q} idf(t) · n · (k1 + 1) / (n + k1 · (1 - b + b · |d| / avg|d|)),
 *   idf(t) = ln(1 + (N - df + ½) / (df + ½))
 *
 * n: occurrences of t in d; df: documents that hold t. Source: Robertson and Zaragoza 2009; the idf that stays above 0
 * is Lucene's.
 */
export class Bm25Index {
  readonly #postings = new Map<string, Postings>();
  readonly #lengths: number[] = [];
  readonly #k1: number;
  readonly #b: number;
  #total = 0;

  constructor({ k1 = 1.2, b = 0.75 }: Bm25Options = {}) {
    this.#k1 = k1;
    this.#b = b;
  }

  get size(): number {
    return this.#lengths.length;
  }

  /** @returns the document's number, from 0 */
  add(terms: readonly string[]): number {
    const document = this.#lengths.push(terms.length) - 1;
    this.#total += terms.length;
    for (const term of terms) {
      let postings = this.#postings.get(term);
      if (!postings) {
        postings = { documents: [], counts: [] };
        this.#postings.set(term, postings);
      }
      const last = postings.documents.length - 1;
      if (postings.documents[last] === document) postings.counts[last]!++;
      else {
        postings.documents.push(document);
        postings.counts.push(1);
      }
    }
    return document;
  }

  /** 0 for a term that every document might as well hold; the most for one that none does. */
  idf(term: string): number {
    const df = this.#postings.get(term)?.documents.length ?? 0;
    return Math.log(1 + (this.size - df + 0.5) / (df + 0.5));
  }

  /** Whether any document holds the term. */
  has(term: string): boolean {
    return this.#postings.has(term);
  }

  /**
   * The best documents with a score above 0, best first; of equals the earlier one.
   *
   * @param accept  leaves out documents for which it is false
   */
  search(
    terms: Iterable<string>,
    count: number,
    accept: (document: number) => boolean = () => true,
  ): { document: number; score: number }[] {
    const scores = new Map<number, number>();
    const average = this.#total / Math.max(1, this.size);
    for (const term of new Set(terms)) {
      const postings = this.#postings.get(term);
      if (!postings) continue;
      const idf = this.idf(term);
      postings.documents.forEach((document, i) => {
        const n = postings.counts[i]!;
        const length = 1 - this.#b + (this.#b * this.#lengths[document]!) / average;
        const score = (idf * n * (this.#k1 + 1)) / (n + this.#k1 * length);
        scores.set(document, (scores.get(document) ?? 0) + score);
      });
    }
    return [...scores]
      .filter(([document]) => accept(document))
      .map(([document, score]) => ({ document, score }))
      .sort((a, b) => b.score - a.score || a.document - b.document)
      .slice(0, count);
  }
}
