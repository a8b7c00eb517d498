/** Invented films as numbers, for the examples: vectors as encoders would make them, and an audience that is known. */
import type { FilmTable, TableSplit } from 'cinefuse/train';

/** The same numbers on every machine (mulberry32, Box and Muller). */
function randomOf(seed: number): { uniform(): number; normal(): number } {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

export interface Invented {
  table: FilmTable;
  split: TableSplit;
}

/**
 * @param widths   of each modality's vectors
 * @param missing  share of the films that lack a modality; every film has the first
 * @param target   what the audience says, of the film's vectors and of noise
 */
export function inventFilms(
  films: number,
  widths: Readonly<Record<string, number>>,
  missing: number,
  target: (
    vectors: Readonly<Record<string, Float32Array | undefined>>,
    noise: number,
  ) => Record<string, number>,
  seed = 7,
): Invented {
  const { uniform, normal } = randomOf(seed);
  const names = Object.keys(widths);
  const modalities: Record<string, { dim: number; steps: number; values: Float32Array }> = {};
  for (const name of names) {
    const dim = widths[name]!;
    modalities[name] = { dim, steps: 1, values: Float32Array.from({ length: films * dim }, normal) };
  }
  const present = new Uint8Array(films * names.length).fill(1);
  for (let film = 0; film < films; film++) {
    for (let m = 1; m < names.length; m++) if (uniform() < missing) present[film * names.length + m] = 0;
  }
  const targets: Record<string, Float32Array> = {};
  for (let film = 0; film < films; film++) {
    const vectors = Object.fromEntries(
      names.map((name, m) => {
        const { dim, values } = modalities[name]!;
        const there = present[film * names.length + m];
        return [name, there ? values.subarray(film * dim, (film + 1) * dim) : undefined];
      }),
    );
    for (const [head, value] of Object.entries(target(vectors, normal()))) {
      targets[head] ??= new Float32Array(films);
      targets[head][film] = value;
    }
  }
  const part = (from: number, to: number) =>
    Int32Array.from(
      { length: Math.round(to * films) - Math.round(from * films) },
      (_, i) => Math.round(from * films) + i,
    );
  return {
    table: { ids: Array.from({ length: films }, (_, i) => `film-${i}`), modalities, present, targets },
    split: { train: part(0, 0.7), valid: part(0.7, 0.85), test: part(0.85, 1) },
  };
}
