/** Instructions at which a thread waits for others: barriers and what the lanes of a warp do together. */
import { type Emitter, FRAME, kindOf } from './emit.js';
import { type Instruction, type Operand, PtxError, widthOf } from './parse.js';

export type CollectiveName = 'barrier' | 'syncwarp' | 'shuffle' | 'vote' | 'match' | 'reduce' | 'matrix';

/** What a thread leaves in its frame's area (one word each), and what it finds there when it goes on. */
export interface Collective {
  name: CollectiveName;
  /** The opcode by its parts. */
  op: string[];
  arguments: { operand: Operand; type: string }[];
  results: Operand[];
  resultTypes: string[];
}

const all = (operand: Operand, type: string) =>
  (operand.kind === 'vector' ? operand.items : [operand]).map((item) => ({ operand: item, type }));
const WHOLE: Operand = { kind: 'integer', value: 0xffffffffn };
const NONE: Operand = { kind: 'none' };
const MATRICES =
  /^m16n8(k[48]\.row\.col\.f32\.tf32\.tf32\.f32|k(8|16)\.row\.col\.f32\.bf16\.bf16\.f32|k(16|32)\.row\.col\.s32\.[su]8\.[su]8\.s32)$/;
const WAITING = new Set(['bar', 'barrier', 'shfl', 'vote', 'match', 'redux', 'mma']);
const known = new WeakMap<Instruction, Collective>();

/** undefined for an instruction that does not wait. */
export function collectiveOf(i: Instruction): Collective | undefined {
  if (!WAITING.has(i.op[0]!)) return undefined;
  const found = known.get(i);
  if (found) return found;
  const made = describe(i);
  known.set(i, made);
  return made;
}

function describe(i: Instruction): Collective {
  const { op, operands } = i;
  const [a, b, c, d, e] = operands as [Operand, Operand, Operand, Operand, Operand];
  const make = (
    name: CollectiveName,
    args: Collective['arguments'],
    results: Operand[] = [],
    resultTypes: string[] = [],
  ): Collective => ({ name, op, arguments: args, results, resultTypes });
  const one = (operand: Operand, type = 'u32') => ({ operand, type });
  switch (op[0]) {
    case 'bar':
    case 'barrier':
      if (op[1] === 'warp') return make('syncwarp', [one(a)]);
      if (!op.includes('sync') || op.includes('red'))
        throw new PtxError(i.line, `a barrier that is not supported: ${i.text}`);
      return make('barrier', [one(a), one(b ?? { kind: 'integer', value: 0n })]);
    case 'shfl': {
      const [value, predicate] = a.kind === 'pair' ? a.items : [a, NONE];
      return make('shuffle', [one(e), one(b), one(c), one(d)], [value, predicate], ['b32', 'pred']);
    }
    case 'vote': {
      const type = op[2] === 'ballot' ? 'b32' : 'pred';
      return make('vote', [one(c), one(b, 'pred')], [a], [type]);
    }
    case 'match': {
      if (widthOf(op[op.length - 1]!) !== 4) throw new PtxError(i.line, `of 64 bits: ${i.text}`);
      const [value, predicate] = a.kind === 'pair' ? a.items : [a, NONE];
      return make('match', [one(c), one(b)], [value, predicate], ['b32', 'pred']);
    }
    case 'redux':
      return make('reduce', [one(c), one(b)], [a], ['b32']);
    case 'mma': {
      const shape = op.slice(op.indexOf('aligned') + 1).join('.');
      if (!MATRICES.test(shape)) {
        throw new PtxError(i.line, `a matrix product that is not supported: ${i.text}`);
      }
      const results = a.kind === 'vector' ? a.items : [a];
      const type = shape.endsWith('f32') ? 'f32' : 's32';
      return make(
        'matrix',
        [one(WHOLE), ...all(d, type), ...all(b, 'b32'), ...all(c, 'b32')],
        results,
        results.map(() => type),
      );
    }
    default:
      throw new PtxError(i.line, `an unknown instruction: ${i.text}`);
  }
}

/** Stores the arguments into the frame's area. */
export function argumentsOf(e: Emitter, collective: Collective) {
  collective.arguments.forEach(({ operand, type }, n) => {
    e.code.get(0);
    e.read(operand, type).code.memory(kindOf(type) === 'f32' ? 'f32_store' : 'i32_store', FRAME.area + 4 * n);
  });
}

/** Takes the results from the area into their registers. */
export function resultsOf(e: Emitter, collective: Collective) {
  collective.results.forEach((operand, n) => {
    if (operand.kind === 'none') return;
    const type = collective.resultTypes[n]!;
    const load = kindOf(type) === 'f32' ? 'f32_load' : 'i32_load';
    e.write(operand, type, () => e.code.get(0).memory(load, FRAME.area + 4 * n));
  });
}
