/** Films as they are handed in: parsed at once, so that what the caller changes afterwards changes nothing here. */
import { CinefuseError, InputError } from './errors.js';
import { adopt, discardInput } from './media/source.js';
import { MEDIA_FIELDS, type Movie, type ParsedMovie, parseMovie } from './movie.js';

export interface FilmIntake {
  /** The parsed film, or what is wrong with it. */
  film: ParsedMovie | CinefuseError;
  id?: string;
  /** Time it took to parse. */
  readMs: number;
  /** Destroys the streams that were handed in and not read. */
  release(): void;
}

export function takeFilm(movie: Movie): FilmIntake {
  const start = performance.now();
  const streams: object[] = [];
  const release = () => streams.forEach(discardInput);
  try {
    adoptStreams(movie, streams);
    const film = parseMovie(movie);
    const readMs = performance.now() - start;
    return { film, ...(film.id !== undefined && { id: film.id }), readMs, release };
  } catch (error) {
    const id = idOf(movie);
    return { film: typedError(error), ...(id !== undefined && { id }), readMs: 0, release };
  }
}

/**
 * Takes over the streams of films that wait for their turn: one that fails meanwhile waits for its reader.
 *
 * @returns destroys those that nobody has read
 */
export function holdStreams(movies: readonly Movie[]): () => void {
  const streams: object[] = [];
  for (const movie of movies) {
    try {
      adoptStreams(movie, streams);
    } catch {
      // A getter that throws: the film's own error when its turn comes.
    }
  }
  return () => streams.forEach(discardInput);
}

function adoptStreams(movie: Movie | null | undefined, streams: object[]): void {
  for (const field of MEDIA_FIELDS) {
    const input: unknown = movie?.[field];
    if (typeof input === 'object' && input !== null && adopt(input)) streams.push(input);
  }
}

/** Getters and proxies may throw anything. */
function typedError(cause: unknown): CinefuseError {
  if (cause instanceof CinefuseError) return cause;
  return new InputError('ERR_INPUT_TYPE', {
    field: 'movie',
    expected: 'an object whose fields can be read',
    got: `one that throws ${cause instanceof Error ? `"${cause.message}"` : 'while it is read'}`,
    cause,
  });
}

function idOf(movie: unknown): string | undefined {
  try {
    const id = (movie as Movie | null | undefined)?.id;
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}
