/** Small films of painted shots whose boundaries are known, through real encoders. */
import { writeMedia } from '../media/zoo.js';

export const WIDTH = 160;
export const HEIGHT = 90;
const CHROMA = (WIDTH / 2) * (HEIGHT / 2);

/** Packed planes of 4:2:0, as floats so that they can be mixed before they are rounded. */
export type Planes = Float32Array;

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Camera {
  /** Pixels a frame. */
  panX?: number;
  panY?: number;
  /** Enlargement a frame, less 1. */
  zoom?: number;
  /** Pixels a frame by which a dark box crosses the picture. */
  walker?: number;
}

/** A textured place of its own light and colours, seen by a moving camera: frame n of it. */
export function shot(seed: number, camera: Camera = {}): (n: number) => Planes {
  const draw = random(seed);
  const size = 24;
  const grid = Float32Array.from({ length: size * size }, () => draw());
  const [base, span] = [40 + 60 * draw(), 60 + 70 * draw()];
  const [u0, v0] = [128 + 70 * (draw() - 0.5), 128 + 70 * (draw() - 0.5)];
  const at = (x: number, y: number) => {
    const [fx, fy] = [Math.floor(x), Math.floor(y)];
    const [tx, ty] = [x - fx, y - fy];
    const cell = (i: number, j: number) =>
      grid[(((j % size) + size) % size) * size + (((i % size) + size) % size)]!;
    const top = cell(fx, fy) * (1 - tx) + cell(fx + 1, fy) * tx;
    return top * (1 - ty) + (cell(fx, fy + 1) * (1 - tx) + cell(fx + 1, fy + 1) * tx) * ty;
  };
  const { panX = 0.4, panY = 0, zoom = 0, walker = 0 } = camera;
  return (n) => {
    const planes = new Float32Array(WIDTH * HEIGHT + 2 * CHROMA);
    const scale = (1 + zoom) ** -n / 14;
    const place = (x: number, y: number) =>
      at((x - WIDTH / 2 + panX * n) * scale, (y - HEIGHT / 2 + panY * n) * scale);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const inBox = walker > 0 && Math.abs(x - walker * n) < 14 && y > 30;
        planes[y * WIDTH + x] = inBox ? 30 : base + span * place(x, y);
      }
    }
    for (let y = 0; y < HEIGHT / 2; y++) {
      for (let x = 0; x < WIDTH / 2; x++) {
        const shade = 20 * (place(2 * x, 2 * y) - 0.5);
        planes[WIDTH * HEIGHT + y * (WIDTH / 2) + x] = u0 + shade;
        planes[WIDTH * HEIGHT + CHROMA + y * (WIDTH / 2) + x] = v0 - shade;
      }
    }
    return planes;
  };
}

export function flat(y: number, u = 128, v = 128): Planes {
  const planes = new Float32Array(WIDTH * HEIGHT + 2 * CHROMA).fill(y, 0, WIDTH * HEIGHT);
  return planes.fill(u, WIDTH * HEIGHT, WIDTH * HEIGHT + CHROMA).fill(v, WIDTH * HEIGHT + CHROMA);
}

/** Black and white of limited range. */
export const BLACK = flat(16);
export const WHITE = flat(235);

/** share of b in a mixture of both. */
export function mix(a: Planes, b: Planes, share: number): Planes {
  return a.map((value, i) => value + share * (b[i]! - value));
}

/** `count` pictures of a shot, from its frame `start`. */
export const take = (paint: (n: number) => Planes, count: number, start = 0): Planes[] =>
  Array.from({ length: count }, (_, n) => paint(start + n));

/** From a's end into b's beginning: the pictures strictly between the two. */
export function dissolve(
  a: (n: number) => Planes,
  aFrom: number,
  b: (n: number) => Planes,
  count: number,
): Planes[] {
  return Array.from({ length: count }, (_, n) => mix(a(aFrom + n), b(n), (n + 1) / (count + 1)));
}

export interface FilmPlan {
  encoder?: string;
  container?: string;
  timesMs?: number[];
  encoderOptions?: Record<string, string>;
}

export function writeFilm(path: string, pictures: readonly Planes[], plan: FilmPlan = {}): void {
  const { encoder = 'libx264', container = 'mp4' } = plan;
  writeMedia(path, container, {
    video: {
      width: WIDTH,
      height: HEIGHT,
      encoder,
      encoderOptions: plan.encoderOptions ?? { preset: 'veryfast', crf: '20' },
      gop: 48,
      timesMs: plan.timesMs ?? pictures.map((_, i) => 40 * i),
      paint: (i) => Buffer.from(Uint8Array.from(pictures[i]!, (value) => Math.round(value))),
    },
  });
}
