import type { ImportKind } from '../train/data/import.js';
import type { Context } from './context.js';
import { EXIT, UsageError } from './exit.js';

export interface ImportFlags {
  minVotes?: string;
  posters?: string;
  titleTypes?: string;
  overwrite?: boolean;
}

/** Problems that are written out; the rest are counted. */
const SHOWN = 20;

/** `cinefuse import`: films in another shape into a folder with movies.csv. */
export async function importCommand(
  kind: string,
  source: string,
  target: string,
  flags: ImportFlags,
  { signal }: Context,
): Promise<number> {
  const { IMPORT_KINDS, importDataset } = await import('../train/data/import.js');
  if (!(IMPORT_KINDS as readonly string[]).includes(kind)) {
    throw new UsageError(`import knows ${IMPORT_KINDS.join(', ')}, not "${kind}"`);
  }
  const minVotes = flags.minVotes === undefined ? undefined : Number(flags.minVotes);
  if (minVotes !== undefined && !(minVotes >= 0)) {
    throw new UsageError(`--min-votes wants a number, not "${flags.minVotes}"`);
  }
  const live = process.stderr.isTTY;
  const { file, films, problems } = await importDataset(kind as ImportKind, source, target, {
    minVotes,
    posters: flags.posters,
    titleTypes: flags.titleTypes?.split(',').map((type) => type.trim()),
    overwrite: flags.overwrite,
    signal,
    onProgress: live
      ? ({ file: from, rows }) => process.stderr.write(`\r\u001b[K${rows.toLocaleString('en')} rows  ${from}`)
      : undefined,
  });
  if (live) process.stderr.write('\r\u001b[K');
  for (const { file: of, line, id, why } of problems.slice(0, SHOWN)) {
    const where = `${of}${line === undefined ? '' : `:${line}`}${id === undefined ? '' : ` (${id})`}`;
    process.stderr.write(`cinefuse: ${where}: ${why}\n`);
  }
  if (problems.length > SHOWN)
    process.stderr.write(`cinefuse: and ${problems.length - SHOWN} more like these\n`);
  process.stdout.write(`${films} ${films === 1 ? 'film' : 'films'} in ${file}\n`);
  return EXIT.ok;
}
