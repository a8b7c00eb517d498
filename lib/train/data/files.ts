/** The files beside a table: which are there, and which belong to a film by their name. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Movie } from '../../movie.js';

/** Folders of the directory layout: `<folder>/<id>.<ending>`. */
const LAYOUT: readonly { field: keyof Movie; folder: string; endings: readonly string[] }[] = [
  {
    field: 'poster',
    folder: 'images',
    endings: ['jpg', 'jpeg', 'png', 'webp', 'avif', 'gif', 'tif', 'tiff'],
  },
  { field: 'trailer', folder: 'trailers', endings: ['mp4', 'mov', 'mkv', 'webm'] },
  { field: 'audio', folder: 'audio', endings: ['wav', 'flac', 'mp3', 'm4a', 'ogg', 'opus', 'aac'] },
  { field: 'reviews', folder: 'reviews', endings: ['txt'] },
  { field: 'script', folder: 'scripts', endings: ['fountain', 'txt'] },
  { field: 'subtitles', folder: 'subtitles', endings: ['srt', 'vtt'] },
  { field: 'synopsis', folder: 'synopses', endings: ['txt'] },
];

export const LAYOUT_FIELDS: readonly (keyof Movie)[] = LAYOUT.map(({ field }) => field);

export class FilesBeside {
  readonly directory: string;
  /** Names in a folder; empty where there is no such folder. */
  readonly #listings = new Map<string, ReadonlySet<string>>();
  /** By field: the file of each id. */
  readonly #byId = new Map<keyof Movie, ReadonlyMap<string, string>>();

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Looks through the layout's folders of these fields. */
  async findLayout(fields: readonly (keyof Movie)[]): Promise<void> {
    for (const { field, folder, endings } of LAYOUT) {
      if (!fields.includes(field)) continue;
      const directory = path.join(this.directory, folder);
      const byId = new Map<string, string>();
      const rank = new Map<string, number>();
      for (const name of (await this.#list(directory)).values()) {
        const ending = path.extname(name);
        const place = endings.indexOf(ending.slice(1).toLowerCase());
        const id = name.slice(0, name.length - ending.length);
        // Of several, the ending that comes first in the list: the same file on every machine.
        if (place < 0 || place >= (rank.get(id) ?? endings.length)) continue;
        rank.set(id, place);
        byId.set(id, path.join(directory, name));
      }
      if (byId.size > 0) this.#byId.set(field, byId);
    }
  }

  /** The file that belongs to a film by its name. */
  ofFilm(field: keyof Movie, id: string): string | undefined {
    return this.#byId.get(field)?.get(id);
  }

  /** Whether there is such a file. Each folder is listed once. */
  async has(file: string): Promise<boolean> {
    return (await this.#list(path.dirname(file))).has(path.basename(file));
  }

  /** Lets the listings go: `has` is over. */
  forgetListings(): void {
    this.#listings.clear();
  }

  async #list(directory: string): Promise<ReadonlySet<string>> {
    const known = this.#listings.get(directory);
    if (known) return known;
    const names = new Set(await readdir(directory).catch(() => []));
    this.#listings.set(directory, names);
    return names;
  }
}
