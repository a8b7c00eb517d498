/** Shot boundaries: films of painted shots with known cuts, fades, dissolves and flashes; the real clips by eye. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../../lib/native.js';
import { type AnalyzeTrailerOptions, analyzeTrailer, type PictureAnalysis } from '../../lib/trailer/index.js';
import { sharedPath, sharedTest } from '../shared.js';
import {
  BLACK,
  dissolve,
  type FilmPlan,
  flat,
  mix,
  type Planes,
  shot,
  take,
  WHITE,
  writeFilm,
} from './shot-films.js';

const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-test-shots-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let films = 0;

const ONLY_SHOTS: AnalyzeTrailerOptions = { motion: false, sound: false, keyFrames: false };

async function analyzed(pictures: readonly Planes[], plan: FilmPlan = {}): Promise<PictureAnalysis> {
  const file = path.join(folder, `film-${films++}.${plan.container ?? 'mp4'}`);
  writeFilm(file, pictures, plan);
  const { pictures: found } = await analyzeTrailer({ path: file }, ONLY_SHOTS);
  return found!;
}

/** Shots follow each other and the transitions fill what is between them. */
function wellFormed(t: ExecutionContext, { shots, transitions, scenes, frameCount }: PictureAnalysis): void {
  for (const [i, { first, last, startMs, endMs }] of shots.entries()) {
    t.true(first <= last && last < frameCount && startMs < endMs);
    if (i > 0) {
      t.true(first > shots[i - 1]!.last);
      const between = transitions.filter(({ to }) => to === i);
      t.is(between.length, 1);
      t.is(between[0]!.from, i - 1);
      t.is(between[0]!.startMs, shots[i - 1]!.endMs);
      t.is(between[0]!.endMs, startMs);
    }
  }
  t.deepEqual(
    scenes.flatMap(({ firstShot, lastShot }) =>
      Array.from({ length: lastShot - firstShot + 1 }, (_, i) => firstShot + i),
    ),
    shots.map((_, i) => i),
  );
}

const cutsOf = ({ shots, transitions }: PictureAnalysis) =>
  transitions.filter(({ kind }) => kind === 'cut').map(({ to }) => (to === null ? null : shots[to]!.first));

for (const seed of [1, 2, 3]) {
  test(`hard cuts are found on the very picture, between shots of 5 to 40 pictures: ${seed}`, async (t) => {
    const lengths = [20, 9, 5, 31, 14, 40, 7, 22];
    const cameras = [
      {},
      { panX: 3 },
      { panY: 2 },
      { zoom: 0.01 },
      { walker: 4 },
      { panX: -2 },
      {},
      { zoom: -0.01 },
    ];
    const pictures = lengths.flatMap((length, i) => take(shot(100 * seed + i, cameras[i]), length));
    const found = await analyzed(pictures);
    const expected = lengths.slice(0, -1).map((_, i) => lengths.slice(0, i + 1).reduce((sum, n) => sum + n));
    t.deepEqual(cutsOf(found), expected);
    t.is(found.transitions.length, expected.length);
    t.deepEqual(found.flashes, []);
    wellFormed(t, found);
  });
}

test('cuts of another codec and container, and of a coarse encoding', async (t) => {
  const pictures = [11, 12, 13, 14].flatMap((seed) => take(shot(seed, { panX: 1 }), 18));
  const plans: FilmPlan[] = [
    { encoder: 'libvpx', container: 'webm', encoderOptions: { deadline: 'realtime', 'cpu-used': '8' } },
    { encoderOptions: { preset: 'veryfast', crf: '38' } },
  ];
  for (const plan of plans) t.deepEqual(cutsOf(await analyzed(pictures, plan)), [18, 36, 54]);
});

test('flat colours that change at once are cuts; black and white between them are none of the shots', async (t) => {
  const [red, blue] = [flat(81, 90, 240), flat(41, 240, 110)];
  const repeat = (picture: Planes, count: number) => take(() => picture, count);
  const found = await analyzed([
    ...repeat(red, 15),
    ...repeat(blue, 15),
    ...repeat(BLACK, 10),
    ...repeat(red, 15),
  ]);
  t.deepEqual(cutsOf(found), [15, 40]);
  t.is(found.transitions[1]!.through, 'black');
  t.is(found.transitions[1]!.startMs, 30 * 40);
  t.is(found.transitions[1]!.endMs, 40 * 40);
  wellFormed(t, found);
});

test('fades are fades and no cuts: in, out, through black, through white', async (t) => {
  const [a, b, c] = [shot(21), shot(22, { panX: 1 }), shot(23)];
  const ramp = (paint: (n: number) => Planes, blank: Planes, count: number, start: number, out: boolean) =>
    Array.from({ length: count }, (_, n) => {
      const share = (n + 1) / (count + 1);
      return mix(paint(start + n), blank, out ? share : 1 - share);
    });
  const pictures = [
    ...take(() => BLACK, 5), // 0
    ...ramp(a, BLACK, 15, 0, false), // 5
    ...take(a, 25, 15), // 20
    ...ramp(a, BLACK, 20, 40, true), // 45
    ...take(() => BLACK, 3), // 65
    ...ramp(b, BLACK, 8, 0, false), // 68
    ...take(b, 25, 8), // 76
    ...ramp(b, WHITE, 12, 33, true), // 101
    ...take(() => WHITE, 2), // 113
    ...ramp(c, WHITE, 12, 0, false), // 115
    ...take(c, 25, 12), // 127
    ...ramp(c, BLACK, 25, 37, true), // 152
    ...take(() => BLACK, 4), // 177
  ];
  const found = await analyzed(pictures);
  t.deepEqual(
    found.transitions.map(({ kind, through, from, to }) => ({ kind, through, from, to })),
    [
      { kind: 'fade', through: 'black', from: null, to: 0 },
      { kind: 'fade', through: 'black', from: 0, to: 1 },
      { kind: 'fade', through: 'white', from: 1, to: 2 },
      { kind: 'fade', through: 'black', from: 2, to: null },
    ],
  );
  const expected = [
    [0, 20],
    [45, 76],
    [101, 127],
    [152, 181],
  ];
  for (const [i, { startMs, endMs }] of found.transitions.entries()) {
    // The first and last steps of a fade are too faint to tell from the shot.
    t.true(Math.abs(startMs / 40 - expected[i]![0]!) <= 3, `fade ${i} starts at ${startMs / 40}`);
    t.true(Math.abs(endMs / 40 - expected[i]![1]!) <= 3, `fade ${i} ends at ${endMs / 40}`);
  }
  t.deepEqual(found.flashes, []);
  wellFormed(t, found);
});

test('dissolves are dissolves and no cuts', async (t) => {
  const paints = [31, 32, 33, 34].map((seed, i) => shot(seed, { panX: 0.3 * i }));
  const lengths = [8, 16, 30];
  const pictures = [...take(paints[0]!, 30)];
  const expected: [number, number][] = [];
  for (const [i, length] of lengths.entries()) {
    expected.push([pictures.length, pictures.length + length]);
    pictures.push(...dissolve(paints[i]!, i === 0 ? 30 : 60, paints[i + 1]!, length));
    pictures.push(...take(paints[i + 1]!, 30, 30));
  }
  const found = await analyzed(pictures);
  t.deepEqual(
    found.transitions.map(({ kind }) => kind),
    ['dissolve', 'dissolve', 'dissolve'],
  );
  for (const [i, { startMs, endMs }] of found.transitions.entries()) {
    const [from, to] = expected[i]!;
    t.true(startMs / 40 < to && endMs / 40 > from, `dissolve ${i}: ${startMs / 40} to ${endMs / 40}`);
    t.true(Math.abs((startMs + endMs) / 80 - (from + to) / 2) <= 4);
  }
  wellFormed(t, found);
});

test('flashes are flashes and no cuts: white, half white, dark, and a strobe', async (t) => {
  const a = shot(41, { panX: 0.5 });
  const b = shot(42);
  const pictures = [...take(a, 100), ...take(b, 60)];
  const spoil = (from: number, count: number, blank: Planes, share: number) => {
    for (let i = from; i < from + count; i++) pictures[i] = mix(pictures[i]!, blank, share);
  };
  spoil(20, 1, WHITE, 1);
  spoil(40, 3, WHITE, 1);
  spoil(60, 2, WHITE, 0.6);
  spoil(80, 2, BLACK, 1);
  for (const at of [125, 128, 131, 134]) spoil(at, 1, WHITE, 0.8);
  const found = await analyzed(pictures);
  t.deepEqual(cutsOf(found), [100]);
  t.is(found.transitions.length, 1);
  const whole = found.flashes.map(({ startMs, endMs }) => [startMs / 40, endMs / 40]);
  for (const [from, to] of [
    [20, 21],
    [40, 43],
    [80, 82],
  ]) {
    t.true(
      whole.some(([a, b]) => a === from && b === to),
      `${from}-${to} in ${JSON.stringify(whole)}`,
    );
  }
});

test('movement is no boundary: pans, a whip pan, zooms, someone who walks past', async (t) => {
  const cameras = [
    { panX: 5 },
    { panX: 0, panY: 4 },
    { zoom: 0.03 },
    { zoom: -0.02 },
    { walker: 8 },
    { panX: 18 },
  ];
  for (const [i, camera] of cameras.entries()) {
    const found = await analyzed(take(shot(50 + i, camera), 60));
    t.deepEqual(found.transitions, [], JSON.stringify(camera));
    t.is(found.shots.length, 1);
  }
});

test('a caption that fades in over a shot is no boundary', async (t) => {
  const paint = shot(61, { panX: 0.2 });
  const pictures = take(paint, 60).map((picture, n) => {
    const share = Math.max(0, Math.min(1, (n - 15) / 12));
    return picture.map((value, i) => {
      const [x, y] = [i % 160, Math.floor(i / 160)];
      const inCaption = i < 160 * 90 && x > 40 && x < 120 && y > 35 && y < 55;
      return inCaption ? value + share * (235 - value) : value;
    });
  });
  t.deepEqual((await analyzed(pictures)).transitions, []);
});

test('variable frame rate: cuts carry the time of their picture', async (t) => {
  const timesMs: number[] = [];
  for (let i = 0, now = 0; i < 72; i++) {
    timesMs.push(now);
    now += [20, 33, 40, 50, 90][(i * 7) % 5]!;
  }
  const pictures = [71, 72, 73].flatMap((seed) => take(shot(seed), 24));
  const found = await analyzed(pictures, { timesMs });
  t.deepEqual(cutsOf(found), [24, 48]);
  t.deepEqual(
    found.shots.map(({ startMs }) => startMs),
    [timesMs[0], timesMs[24], timesMs[48]],
  );
});

test('one picture is one shot; black alone is none', async (t) => {
  const one = await analyzed(take(shot(81), 1));
  t.is(one.shots.length, 1);
  t.is(one.scenes.length, 1);
  t.deepEqual([one.frameCount, one.transitions.length], [1, 0]);
  const two = await analyzed([...take(shot(82), 1), ...take(shot(83), 1)]);
  t.true(two.shots.length >= 1);
  wellFormed(t, two);
  const black = await analyzed(take(() => BLACK, 30));
  t.deepEqual([black.shots.length, black.scenes.length, black.figures.shotCount], [0, 0, 0]);
  t.is(black.transitions.length, 1);
});

test('shots of one place are one scene, a fade parts two', async (t) => {
  const [a, b, c] = [shot(91), shot(92), shot(93)];
  const fade = Array.from({ length: 12 }, (_, n) => mix(b(90 + n), BLACK, (n + 1) / 13));
  const found = await analyzed([
    ...take(a, 30),
    ...take(b, 30),
    ...take(a, 30, 30),
    ...take(b, 30, 60),
    ...fade,
    ...take(() => BLACK, 5),
    ...take(c, 30),
  ]);
  t.deepEqual(
    found.scenes.map(({ firstShot, lastShot }) => [firstShot, lastShot]),
    [
      [0, 3],
      [4, 4],
    ],
  );
});

test("the example film's trailer: three cuts, a fade in, a flash of lightning", async (t) => {
  const file = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', 'trailer.mp4');
  const { pictures } = await analyzeTrailer({ path: file }, ONLY_SHOTS);
  // The recipe (examples/make/trailer.mjs) cuts at 2.3, 4.2 and 6.2 s and has lightning at 5.05 s.
  t.deepEqual(cutsOf(pictures!), [Math.ceil(2.3 * 24), Math.ceil(4.2 * 24), Math.ceil(6.2 * 24)]);
  t.is(pictures!.transitions[0]!.kind, 'fade');
  t.is(pictures!.flashes.length, 1);
  t.true(Math.abs(pictures!.flashes[0]!.startMs - 5050) < 100);
});

/** First pictures of the shots after a cut, looked at one by one on contact sheets. */
const CLIPS: Record<string, { cuts: number[]; fades: number; dissolves: number }> = {
  'tears_of_steel_battle.webm': {
    cuts: [
      52, 122, 158, 221, 309, 715, 788, 872, 901, 987, 1127, 1157, 1203, 1234, 1246, 1284, 1345, 1378, 1430,
      1472, 1525, 1571, 1618, 1650, 1689,
    ],
    fades: 0,
    dissolves: 0,
  },
  'bbb_trailer.webm': {
    cuts: [227, 280, 330, 347, 375, 400, 415, 623, 650, 670, 749, 756, 776],
    fades: 7,
    dissolves: 2,
  },
  'bbb_opening_30s_480p.mp4': { cuts: [285, 378, 553], fades: 1, dissolves: 0 },
  'toy_crystal.mp4': { cuts: [], fades: 0, dissolves: 0 },
  'toy_elf.mp4': { cuts: [], fades: 0, dissolves: 0 },
  'toy_frog.mp4': { cuts: [], fades: 0, dissolves: 0 },
};

for (const [name, { cuts, fades, dissolves }] of Object.entries(CLIPS)) {
  const need = `data/movies/media/${name}`;
  sharedTest(`${name}: every boundary that is there to see, and no other`, [need], async (t) => {
    const { pictures } = await analyzeTrailer({ path: sharedPath(need) }, ONLY_SHOTS);
    t.deepEqual(cutsOf(pictures!), cuts);
    const count = (kind: string) => pictures!.transitions.filter((found) => found.kind === kind).length;
    t.deepEqual([count('fade'), count('dissolve')], [fades, dissolves]);
    wellFormed(t, pictures!);
  });
}
