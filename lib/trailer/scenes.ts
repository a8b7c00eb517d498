import type { CellPictures } from './cells.js';
import type { Shot, Transition } from './shots.js';

/** Shots that belong together: one place, one group of people, seen from a few sides. */
export interface Scene {
  startMs: number;
  endMs: number;
  /** Indices of its first and last shot. */
  firstShot: number;
  lastShot: number;
}

/** A shot looks back over so many shots, and so long, for one that is like it. */
const REACH = { shots: 6, ms: 30_000 };
/** Histogram distance of two shots of one scene. */
const ALIKE = 0.75;

/**
 * Shots -> scenes, by overlapping links: a shot that is like one of the last six (within 30 s) binds all between them
 * together. Two shots are alike where the colours of their pictures are: the least histogram distance of three pictures of
 * each. A fade through black or white always parts scenes.
 *
 * In a trailer that jumps through its film, most scenes are single shots: that is what it looks like.
 */
export function findScenes(
  pictures: CellPictures,
  shots: readonly Shot[],
  transitions: readonly Transition[],
): Scene[] {
  const parted = new Set(transitions.filter(({ kind }) => kind === 'fade').map(({ to }) => to));
  const samples = shots.map(({ first, last }) =>
    [0.15, 0.5, 0.85].map((p) => Math.round(first + p * (last - first))),
  );
  const alike = (i: number, j: number) =>
    samples[i]!.some((a) => samples[j]!.some((b) => pictures.histogramDistance(a, b) < ALIKE));
  /** bound[i]: shot i is of one scene with the shot before it. */
  const bound = new Array<boolean>(shots.length).fill(false);
  for (let i = 1; i < shots.length; i++) {
    for (let j = i - 1; j >= Math.max(0, i - REACH.shots); j--) {
      if (parted.has(j + 1) || shots[i]!.startMs - shots[j]!.endMs > REACH.ms) break;
      if (alike(i, j)) bound.fill(true, j + 1, i + 1);
    }
  }
  const scenes: Scene[] = [];
  for (const [i, { startMs, endMs }] of shots.entries()) {
    const scene = scenes.at(-1);
    if (scene && bound[i]) Object.assign(scene, { endMs, lastShot: i });
    else scenes.push({ startMs, endMs, firstShot: i, lastShot: i });
  }
  return scenes;
}
