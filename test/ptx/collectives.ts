/** What threads do together once all have come: barriers of a block, shuffles, votes and products of a warp. */
import { FRAME, type Site } from './emit.js';
import type { Wait } from './translate.js';

export interface Block {
  /** Of every thread, its frame's first byte. */
  frames: number[];
  words: Int32Array;
  floats: Float32Array;
  waits: Wait[];
  /** Of every thread: -1 ready, -2 ended, else the number of what it waits for. */
  states: Int32Array;
  ended: number;
  fail: (site: Site | undefined, message: string) => never;
}

const READY = -1;
const ENDED = -2;
const AREA = FRAME.area / 4;

/** Where a thread's arguments lie, in words; its results go to the same place. */
const area = (block: Block, thread: number) => block.frames[thread]! / 4 + AREA;

/** Completes whatever has all its threads; when nothing has, the block is stuck. */
export function collect(block: Block) {
  const n = block.states.length;
  let progress = false;
  for (let first = 0; first < n; first += 32) progress = collectWarp(block, first) || progress;
  if (!progress) progress = barrier(block);
  if (!progress) stuck(block);
}

function stuck(block: Block): never {
  const waiting = block.states.findIndex((s) => s >= 0);
  const other = block.states.findIndex((s) => s >= 0 && s !== block.states[waiting]);
  const site = (thread: number) => block.waits[block.states[thread]!]!.site;
  const also = other >= 0 ? `, thread ${other} at line ${site(other).line}: ${site(other).text}` : '';
  const ended = block.ended ? `, ${block.ended} threads have ended` : '';
  return block.fail(site(waiting), `divergence: thread ${waiting} waits for ever${also}${ended}`);
}

/** The threads of a block at a barrier: all of it, or as many as the instruction asks for. */
function barrier(block: Block): boolean {
  const { states, words } = block;
  const byId = new Map<number, number[]>();
  for (let thread = 0; thread < states.length; thread++) {
    const state = states[thread]!;
    if (state < 0 || block.waits[state]!.name !== 'barrier') continue;
    const id = words[area(block, thread)]!;
    const others = byId.get(id);
    if (others) others.push(thread);
    else byId.set(id, [thread]);
  }
  let progress = false;
  for (const threads of byId.values()) {
    const wanted = words[area(block, threads[0]!) + 1]! || states.length;
    if (threads.length < wanted) continue;
    const other = threads.find((thread) => states[thread] !== states[threads[0]!]);
    if (other !== undefined) {
      const site = (thread: number) => block.waits[states[thread]!]!.site;
      block.fail(
        site(threads[0]!),
        `divergence: thread ${threads[0]} is at this barrier, thread ${other} at line ${site(other).line}`,
      );
    }
    for (const thread of threads) states[thread] = READY;
    progress = true;
  }
  return progress;
}

/** The threads of a mask. */
function lanesOf(mask: number, first: number): number[] {
  const group: number[] = [];
  for (let lane = 0; lane < 32; lane++) if ((mask >>> lane) & 1) group.push(first + lane);
  return group;
}

function collectWarp(block: Block, first: number): boolean {
  const { states, words, waits } = block;
  const lanes = Math.min(32, states.length - first);
  const present = lanes === 32 ? -1 : 2 ** lanes - 1;
  let progress = false;
  for (let lane = 0; lane < lanes; lane++) {
    const state = states[first + lane]!;
    if (state < 0) continue;
    const wait = waits[state]!;
    if (wait.name === 'barrier') continue;
    const mask = words[area(block, first + lane)]! & present;
    if (!((mask >>> lane) & 1)) block.fail(wait.site, `lane ${lane} is not in its own mask`);
    let complete = true;
    for (let l = 0; l < lanes; l++) {
      if (!((mask >>> l) & 1)) continue;
      const other = states[first + l]!;
      if (other === ENDED) block.fail(wait.site, `divergence: lane ${l} of the mask has ended`);
      if (other !== state) complete = false;
      else if ((words[area(block, first + l)]! & present) !== mask && complete)
        block.fail(wait.site, 'divergence: lanes with different masks');
    }
    if (!complete) continue;
    const group = lanesOf(mask, first);
    COLLECTIVES[wait.name](block, wait, group, first);
    for (const thread of group) states[thread] = READY;
    progress = true;
  }
  return progress;
}

type Run = (block: Block, wait: Wait, group: number[], first: number) => void;

const values = new Int32Array(32);
const shuffle: Run = (block, { op, site }, group, first) => {
  const { words } = block;
  const mode = op.find((part) => part === 'up' || part === 'down' || part === 'bfly') ?? 'idx';
  let mask = 0;
  for (const thread of group) {
    mask |= 1 << (thread - first);
    values[thread - first] = words[area(block, thread) + 1]!;
  }
  for (const thread of group) {
    const at = area(block, thread);
    const lane = thread - first;
    const by = words[at + 2]!;
    const clamp = words[at + 3]! & 31;
    const segment = (words[at + 3]! >> 8) & 31;
    const bound = (lane & segment) | (clamp & ~segment & 31);
    let source = lane ^ by;
    if (mode === 'up') source = lane - by;
    else if (mode === 'down') source = lane + by;
    else if (mode === 'idx') source = (lane & segment) | (by & ~segment & 31);
    const valid = mode === 'up' ? source >= bound : source <= bound;
    if (!valid) source = lane;
    if (!((mask >>> source) & 1)) block.fail(site, `lane ${lane} reads lane ${source}, outside its mask`);
    words[at] = values[source]!;
    words[at + 1] = valid ? 1 : 0;
  }
};

const vote: Run = (block, { op, site }, group, first) => {
  const { words } = block;
  let ballot = 0;
  for (const thread of group) if (words[area(block, thread) + 1]) ballot |= 1 << (thread - first);
  const whole = group.reduce((mask, thread) => mask | (1 << (thread - first)), 0);
  let result: number;
  if (op.includes('ballot')) result = ballot;
  else if (op.includes('any')) result = ballot ? 1 : 0;
  else if (op.includes('all')) result = ballot === whole ? 1 : 0;
  else if (op.includes('uni')) result = ballot === whole || ballot === 0 ? 1 : 0;
  else return block.fail(site, 'an unknown vote');
  for (const thread of group) words[area(block, thread)] = result;
};

const match: Run = (block, { op }, group, first) => {
  const { words } = block;
  const own = group.map((thread) => words[area(block, thread) + 1]!);
  const equal = (value: number) =>
    group.reduce((mask, thread, n) => (own[n] === value ? mask | (1 << (thread - first)) : mask), 0);
  const same = own.every((value) => value === own[0]);
  group.forEach((thread, n) => {
    const at = area(block, thread);
    if (op.includes('any')) words[at] = equal(own[n]!);
    else words.set(same ? [equal(own[0]!), 1] : [0, 0], at);
  });
};

const reduce: Run = (block, { op, site }, group) => {
  const { words } = block;
  const unsigned = !op.includes('s32');
  const own = group.map((thread) => words[area(block, thread) + 1]!).map((v) => (unsigned ? v >>> 0 : v));
  const ways: Record<string, (a: number, b: number) => number> = {
    add: (a, b) => (a + b) | 0,
    min: Math.min,
    max: Math.max,
    and: (a, b) => a & b,
    or: (a, b) => a | b,
    xor: (a, b) => a ^ b,
  };
  const way = ways[op.find((part) => part in ways) ?? ''];
  if (!way) return block.fail(site, 'an unknown reduction');
  const result = own.reduce(way);
  for (const thread of group) words[area(block, thread)] = result;
};

const bits = new Uint32Array(1);
const bitsAsFloat = new Float32Array(bits.buffer);

type Reader = (word: number, part: number) => number;
/** How a word holds numbers: how many, and the number at a place. */
const FORMATS: Record<string, { per: number; at: Reader }> = {
  tf32: {
    per: 1,
    at: (word) => {
      bits[0] = word & 0xffffe000; // what the matrix units see of a word
      return bitsAsFloat[0]!;
    },
  },
  bf16: {
    per: 2,
    at: (word, part) => {
      bits[0] = part ? word & 0xffff0000 : word << 16;
      return bitsAsFloat[0]!;
    },
  },
  s8: { per: 4, at: (word, part) => (word << (24 - 8 * part)) >> 24 },
  u8: { per: 4, at: (word, part) => (word >>> (8 * part)) & 255 },
};

const A = new Float64Array(16 * 32);
const B = new Float64Array(8 * 32);

interface Shape {
  k: number;
  per: number;
  a: Reader;
  b: Reader;
  float: boolean;
}
const shapes = new WeakMap<Wait, Shape>();
function shapeOf(wait: Wait): Shape {
  const known = shapes.get(wait);
  if (known) return known;
  const k = Number(/^m16n8k(\d+)$/.exec(wait.op.find((part) => part.startsWith('m16')) ?? '')?.[1]);
  const [a, b] = wait.op.slice(-3).map((type) => FORMATS[type]!);
  const shape = { k, per: a!.per, a: a!.at, b: b!.at, float: wait.op.includes('f32') };
  shapes.set(wait, shape);
  return shape;
}

/** D = A B + C of 16 x k, k x 8; lanes hold the fragments that PTX gives them. Sums in double, rounded once. */
const matrix: Run = (block, wait, group) => {
  if (group.length !== 32) return block.fail(wait.site, 'a matrix product without a whole warp');
  const { words, floats } = block;
  const { k, per, a, b, float } = shapeOf(wait);
  const columns = 4 * per; // of one word of every lane
  const aWords = (16 * k) / (32 * per);
  const bWords = (8 * k) / (32 * per);
  for (let lane = 0; lane < 32; lane++) {
    const at = area(block, group[lane]!) + 5;
    const g = lane >> 2;
    const t = lane & 3;
    for (let part = 0; part < per; part++) {
      for (let w = 0; w < aWords; w++)
        A[(g + 8 * (w & 1)) * 32 + per * t + part + columns * (w >> 1)] = a(words[at + w]!, part);
      for (let w = 0; w < bWords; w++)
        B[g * 32 + per * t + part + columns * w] = b(words[at + aWords + w]!, part);
    }
  }
  // A lane's results go where its first argument and its C were; no lane reads another's.
  for (let lane = 0; lane < 32; lane++) {
    const at = area(block, group[lane]!);
    for (let n = 0; n < 4; n++) {
      const row = ((lane >> 2) + 8 * (n >> 1)) * 32;
      const column = (2 * (lane & 3) + (n & 1)) * 32;
      let sum = float ? floats[at + 1 + n]! : words[at + 1 + n]!;
      for (let i = 0; i < k; i++) sum += A[row + i]! * B[column + i]!;
      if (float) floats[at + n] = sum;
      else words[at + n] = sum;
    }
  }
};

const COLLECTIVES: Record<Exclude<Wait['name'], 'barrier'>, Run> = {
  syncwarp: () => {},
  shuffle,
  vote,
  match,
  reduce,
  matrix,
};
