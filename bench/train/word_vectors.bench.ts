/**
 * One pass of word vectors over 500,000 words of Zipf's law in sentences of 25, from the sentences to the vectors, beside
 * gensim where python3 has it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defaultThreads } from '../../lib/ops/index.js';
import { WordVectors } from '../../lib/text/index.js';
import { random } from '../../test/backends.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { PythonPeer } from './python-peer.js';

const [WORDS, SENTENCE, DISTINCT] = [500_000, 25, 30_000];
const peers: PythonPeer[] = [];
let folder: string | undefined;

function sentences(): string[][] {
  const next = random(1);
  // The inverse of a distribution of density 1 / rank.
  const word = () => `w${Math.floor(DISTINCT ** next())}`;
  return Array.from({ length: WORDS / SENTENCE }, () => Array.from({ length: SENTENCE }, word));
}

async function cases(): Promise<BenchCase[]> {
  const corpus = sentences();
  folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-bench-'));
  const file = path.join(folder, 'corpus.txt');
  writeFileSync(file, corpus.map((words) => words.join(' ')).join('\n'));
  const list: BenchCase[] = [];
  for (const algorithm of ['cbow', 'skip-gram'] as const) {
    for (const threads of new Set([1, defaultThreads()])) {
      const options = { algorithm, threads, epochs: 1 };
      const contenders: BenchCase['contenders'] = {
        cinefuse: async () => (await WordVectors.train(corpus, options)).words.length,
      };
      const peer = await PythonPeer.start('word-vectors-peer.py', [file, algorithm, String(threads)]);
      if (peer) {
        peers.push(peer);
        contenders.gensim = () => peer.run();
      }
      list.push({
        name: `${algorithm}, ${WORDS} words, dim 100, window 5, ${threads} threads`,
        items: WORDS,
        contenders,
        check: ({ cinefuse, gensim }) => {
          if (gensim !== undefined && gensim !== cinefuse) {
            throw new Error(`gensim has ${gensim} words, cinefuse ${cinefuse}`);
          }
        },
      });
    }
  }
  return list;
}

export default defineSuite('word_vectors', {
  cases,
  dispose() {
    for (const peer of peers) peer.dispose();
    if (folder) rmSync(folder, { recursive: true, force: true });
  },
});
