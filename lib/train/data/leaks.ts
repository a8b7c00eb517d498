/** Inputs that hold what is known only after a film's release. */
import { DataError } from '../../errors.js';
import type { InputName } from '../../fusion/manifest.js';
import type { Movie } from '../../movie.js';
import type { ColumnInfo } from './types.js';

/** The fields of a film that an input is made of. */
const FIELDS_OF: Readonly<Record<InputName, readonly (keyof Movie)[]>> = {
  title: ['title'],
  synopsis: ['synopsis'],
  script: ['script'],
  subtitles: ['subtitles'],
  reviews: ['reviews'],
  metadata: ['title', 'releaseDate', 'runtime', 'budget', 'genres', 'cast', 'director', 'language'],
  poster: ['poster'],
  'trailer.video': ['trailer'],
  'trailer.audio': ['trailer'],
  audio: ['audio'],
};

export interface Leak {
  input: InputName;
  /** Undefined: the input itself is known only after release. */
  column: string | undefined;
}

/** Of these inputs, those that rest on something known only after release. */
export function leaksOf(columns: readonly ColumnInfo[], inputs: readonly InputName[]): Leak[] {
  return inputs.flatMap((input): Leak[] => {
    const fields = FIELDS_OF[input];
    const read = columns.filter(({ field, afterRelease }) => field && fields.includes(field) && afterRelease);
    if (read.length > 0) return read.map(({ name }) => ({ input, column: name }));
    // From a folder, or from a column that someone says is known before: test audiences.
    const told = columns.some(({ field }) => field === 'reviews');
    return input === 'reviews' && !told ? [{ input, column: undefined }] : [];
  });
}

export function leakError({ input, column }: Leak, file: string): DataError {
  return new DataError('ERR_DATA_LEAK', {
    file,
    field: column ?? input,
    expected: `inputs known before release for ${input}`,
    got: `${column === undefined ? input : `the column ${column}`}, known only after it: leave it out, set beforeRelease to false, or say in columns that it is known before`,
  });
}
