/** The example films as `cinefuse ask` reads them: one with script and subtitles, five with a synopsis. */
import path from 'node:path';
import { readFilms } from '../../lib/cli/films.js';
import type { Movie } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';

export async function exampleFilms(): Promise<Movie[]> {
  const examples = path.join(packageRoot(), 'examples');
  const films: Movie[] = [];
  const sources = [path.join(examples, 'the-lighthouse-keeper'), path.join(examples, 'films.csv')];
  for await (const entry of readFilms(sources, { onProgress: () => {}, onUnknownColumns: () => {} })) {
    if ('error' in entry) throw entry.error;
    films.push(entry.movie);
  }
  return films;
}
