import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';

/** File names that a film's folder is searched for, by field; the first that is there is taken. */
export const FOLDER_FILES = {
  poster: ['poster.jpg', 'poster.jpeg', 'poster.png', 'poster.webp', 'poster.avif'],
  trailer: ['trailer.mp4', 'trailer.webm', 'trailer.mkv', 'trailer.mov'],
  audio: ['audio/theme.wav', 'audio/theme.flac', 'audio/theme.mp3', 'audio/theme.ogg', 'audio/theme.m4a'],
  synopsis: ['synopsis.txt'],
  script: ['script.fountain', 'script.txt'],
  subtitles: ['film.srt', 'film.vtt'],
  reviews: ['reviews.txt'],
} as const;

export type FolderField = keyof typeof FOLDER_FILES;

export interface FilmFolder {
  /** movie.json, when it is there. */
  facts: string | undefined;
  files: Partial<Record<FolderField, string>>;
}

/**
 * What a film's folder holds.
 *
 * @throws InputError ERR_INPUT_EMPTY  neither movie.json nor any of the conventional files
 */
export async function readFilmFolder(folder: string): Promise<FilmFolder> {
  const names = new Set(await readdir(folder));
  if (names.has('audio')) {
    const inside = await readdir(join(folder, 'audio')).catch(() => []);
    for (const name of inside) names.add(`audio/${name}`);
  }
  const files: FilmFolder['files'] = {};
  for (const [field, candidates] of Object.entries(FOLDER_FILES)) {
    const found = candidates.find((name) => names.has(name));
    if (found) files[field as FolderField] = join(folder, found);
  }
  const facts = names.has('movie.json') ? join(folder, 'movie.json') : undefined;
  if (facts === undefined && Object.keys(files).length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      file: folder,
      expected: `a folder with movie.json or any of ${Object.values(FOLDER_FILES)
        .map(([name]) => name)
        .join(', ')}`,
      got: names.size === 0 ? 'an empty folder' : 'none of them',
    });
  }
  return { facts, files };
}
