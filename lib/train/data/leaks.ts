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
  /** The column is to be predicted. */
  target?: boolean;
}

export interface LeakOptions {
  /** Columns that are to be predicted. */
  targets?: readonly string[] | undefined;
  /** false: what is known only after release may be an input. Default true. */
  beforeRelease?: boolean | undefined;
}

/** Of these inputs, those that rest on something known only after release, or on what is to be predicted. */
export function leaksOf(
  columns: readonly ColumnInfo[],
  inputs: readonly InputName[],
  { targets = [], beforeRelease = true }: LeakOptions = {},
): Leak[] {
  return inputs.flatMap((input): Leak[] => {
    const fields = FIELDS_OF[input];
    const own = columns.filter(({ field }) => field && fields.includes(field));
    const target = own.find(({ name }) => targets.includes(name));
    if (target) return [{ input, column: target.name, target: true }];
    if (!beforeRelease) return [];
    const read = own.filter(({ afterRelease }) => afterRelease);
    if (read.length > 0) return read.map(({ name }) => ({ input, column: name }));
    // From a folder, or from a column that someone says is known before: test audiences.
    const told = columns.some(({ field }) => field === 'reviews');
    return input === 'reviews' && !told ? [{ input, column: undefined }] : [];
  });
}

export function leakError({ input, column, target }: Leak, file: string): DataError {
  if (target) {
    return new DataError('ERR_DATA_LEAK', {
      file,
      field: column,
      expected: `inputs other than what is to be predicted for ${input}`,
      got: `the column ${column}, a target: leave ${input} out, or take the column from its fields`,
    });
  }
  return new DataError('ERR_DATA_LEAK', {
    file,
    field: column ?? input,
    expected: `inputs known before release for ${input}`,
    got: `${column === undefined ? input : `the column ${column}`}, known only after it: leave it out, set beforeRelease to false, or say in columns that it is known before`,
  });
}
