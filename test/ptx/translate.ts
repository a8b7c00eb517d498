/**
 * A PTX kernel as a WebAssembly function `thread(frame)` that runs one CUDA thread until it waits or ends: 0 when it
 * has ended, else 1 + the number of what it waits for. Its registers live in its frame where more than one segment
 * names them, so that it can go on later; a segment is a run of instructions that is entered at its start only.
 */
import { ACCESS } from './access.js';
import { ARITHMETIC, type Translator } from './arithmetic.js';
import { BITS } from './bits.js';
import { BLOCK, Emitter, FRAME, HOST, PARAMETERS, placeVariables, type Site } from './emit.js';
import { HELPERS, helpersOf } from './helpers.js';
import { type Instruction, type Kernel, type Module, type Operand, PtxError } from './parse.js';
import { argumentsOf, type Collective, collectiveOf, resultsOf } from './waits.js';
import { assemble, Code } from './wasm.js';

/** The most shared memory of a block that is laid out. */
export const MOST_SHARED = 228 * 1024;

export interface Wait extends Collective {
  site: Site;
}

export interface Program {
  kernel: Kernel;
  /** The parts' first bytes in our memory. */
  layout: { variables: number; shared: number; sites: number; frames: number };
  frameBytes: number;
  localAt: number;
  parameterBytes: number;
  sharedBytes: number;
  variables: Uint8Array;
  sites: Site[];
  waits: Wait[];
  opcodes: Set<string>;
  module: WebAssembly.Module;
}

const TRANSLATORS: Record<string, Translator> = { ...ARITHMETIC, ...BITS, ...ACCESS };
// Any other part of an opcode may mean what no translator looks at.
const MODIFIERS = new Set(
  `pred b8 b16 b32 b64 u8 u16 u32 u64 s8 s16 s32 s64 f16 f32 f64 bf16 f16x2 bf16x2 tf32
  rn rz rm rp rna rni rzi rmi rpi ftz sat approx full NaN lo hi wide to
  eq ne lt le gt ge ls hs equ neu ltu leu gtu geu num nan and or xor min max add exch cas inc dec
  global shared shared_cta local param const ca cg cs cv lu nc wb wt volatile relaxed weak acquire release acq_rel sc
  cta gpu sys cluster gl v2 v4 L1_evict_last L1_evict_first L1_no_allocate L1_evict_normal L2_64B L2_128B L2_256B
  async commit_group wait_group wait_all l r wrap clamp f4e b4e rc8 ecl ecr rc16 pack uni idx aligned
  sync warp up down bfly any all ballot row col m16n8k4 m16n8k8 m16n8k16 m16n8k32 L1 L2 proxy`.split(/\s+/),
);
const ENDS = new Set(['bra', 'brx', 'ret', 'exit', 'trap']);

interface Segment {
  instructions: Instruction[];
  /** What the thread waited for when it enters here. */
  after?: Wait;
}

const round = (n: number, to: number) => Math.ceil(n / to) * to;

/** Cuts at labels and behind whatever leaves. */
function cut(kernel: Kernel): { segments: Segment[]; labels: Map<string, number> } {
  const segments: Segment[] = [{ instructions: [] }];
  const labels = new Map<string, number>();
  const fresh = (after?: Wait) => {
    const last = segments[segments.length - 1]!;
    if (after || last.instructions.length > 0 || last.after)
      segments.push(after ? { instructions: [], after } : { instructions: [] });
  };
  for (const statement of kernel.statements) {
    if ('label' in statement) {
      fresh();
      labels.set(statement.label, segments.length - 1);
      continue;
    }
    segments[segments.length - 1]!.instructions.push(statement);
    const waits = collectiveOf(statement);
    if (waits) fresh({ ...waits, site: { line: statement.line, text: statement.text, bytes: 0 } });
    else if (ENDS.has(statement.op[0]!)) fresh();
  }
  return { segments, labels };
}

function* registersOf(operand: Operand): Iterable<string> {
  if (operand.kind === 'register') yield operand.name;
  else if (operand.kind === 'memory') yield* registersOf(operand.base);
  else if (operand.kind === 'not') yield* registersOf(operand.of);
  else if (operand.kind === 'vector' || operand.kind === 'pair' || operand.kind === 'list') {
    for (const item of operand.items) yield* registersOf(item);
  }
}
function* registersIn(i: Instruction): Iterable<string> {
  if (i.guard) yield* registersOf(i.guard.register);
  for (const operand of i.operands) yield* registersOf(operand);
}

/** Registers that one segment alone names. */
function privateRegisters(segments: Segment[]): (name: string) => boolean {
  const home = new Map<string, number>();
  const note = (name: string, n: number) => {
    const known = home.get(name);
    home.set(name, known === undefined || known === n ? n : -1);
  };
  segments.forEach((segment, n) => {
    for (const operand of segment.after?.results ?? [])
      for (const name of registersOf(operand)) note(name, n);
    for (const i of segment.instructions) {
      const results = new Set(collectiveOf(i)?.results.flatMap((r) => [...registersOf(r)]) ?? []);
      for (const name of registersIn(i)) if (!results.has(name)) note(name, n);
      // A result that is an argument as well, or is kept from before where a guard skips the instruction.
      for (const operand of collectiveOf(i)?.arguments ?? [])
        for (const name of registersOf(operand.operand)) note(name, n);
      if (i.guard) for (const name of results) note(name, n);
    }
  });
  return (name) => home.get(name) !== -1;
}

class Flow {
  /** Where dispatch can go: the start, what is jumped back to, what follows a wait. */
  readonly entries: number[] = [0];
  readonly waits: Wait[] = [];

  constructor(
    private readonly kernel: Kernel,
    private readonly segments: Segment[],
    private readonly labels: Map<string, number>,
  ) {
    segments.forEach((segment, n) => {
      if (segment.after) this.entries.push(n);
      for (const i of segment.instructions) {
        for (const target of this.targetsOf(i)) if (target <= n) this.entries.push(target);
      }
    });
    this.entries = [...new Set(this.entries)].sort((a, b) => a - b);
  }

  private target(label: string, i: Instruction): number {
    const n = this.labels.get(label);
    if (n === undefined) throw new PtxError(i.line, `an unknown label ${label}`);
    return n;
  }
  private targetsOf(i: Instruction): number[] {
    if (i.op[0] === 'bra') {
      const [to] = i.operands;
      return to?.kind === 'symbol' ? [this.target(to.name, i)] : [];
    }
    if (i.op[0] !== 'brx') return [];
    const [, list] = i.operands;
    const targets = list?.kind === 'symbol' ? this.kernel.targets.get(list.name) : undefined;
    if (!targets) throw new PtxError(i.line, 'a list of targets that is not there');
    return targets.map((label) => this.target(label, i));
  }

  /** Local 1 of the function: the number of the entry that dispatch goes to. */
  private jump(e: Emitter, from: number, to: number, nesting: number) {
    const last = this.segments.length - 1;
    if (to > from) {
      e.code.br(to - from - 1 + nesting);
    } else {
      e.code.i32(this.entries.indexOf(to)).set(1);
      e.code.br(last - from + nesting);
    }
  }

  emit(e: Emitter) {
    const { code } = e;
    const { segments } = this;
    code.get(0).memory('i32_load', FRAME.pc).set(1).loop();
    for (let n = 0; n < segments.length; n++) code.block();
    code.get(1).brTable(this.entries.slice(0, -1), this.entries[this.entries.length - 1]!);
    segments.forEach((segment, n) => {
      code.op('end');
      this.segment(e, segment, n);
    });
    code.op('end', 'unreachable');
  }

  private segment(e: Emitter, segment: Segment, n: number) {
    const lastUse = new Map<string, number>();
    segment.instructions.forEach((i, at) => {
      for (const name of registersIn(i)) lastUse.set(name, at);
    });
    e.code.i32(0).i32(0).memory('i64_load', BLOCK.executed).i64(BigInt(segment.instructions.length));
    e.code.op('i64_add').memory('i64_store', BLOCK.executed);
    if (segment.after) {
      e.current = segment.instructions[0] ?? this.kernel.statements.find((s): s is Instruction => 'op' in s)!;
      resultsOf(e, segment.after);
      for (const result of segment.after.results) {
        for (const name of registersOf(result)) if (!lastUse.has(name)) e.release(name);
      }
    }
    segment.instructions.forEach((i, at) => {
      e.current = i;
      this.instruction(e, i, n);
      e.endInstruction();
      for (const name of new Set(registersIn(i))) if (lastUse.get(name) === at) e.release(name);
    });
  }

  private instruction(e: Emitter, i: Instruction, n: number) {
    const { code } = e;
    const guarded = i.guard !== undefined;
    if (i.guard) {
      e.read(i.guard.register, 'pred');
      if (i.guard.negated) code.op('i32_eqz');
      code.if();
    }
    const nesting = guarded ? 1 : 0;
    const [name, ...modifiers] = i.op as [string, ...string[]];
    const next = this.segments[n + 1];
    const waits = collectiveOf(i);
    if (waits) {
      argumentsOf(e, waits);
      this.waits.push(next!.after!);
      code
        .get(0)
        .i32(this.entries.indexOf(n + 1))
        .memory('i32_store', FRAME.pc);
      code.i32(this.waits.length).op('return');
      if (guarded && waits.results.length > 0) e.fail('a guarded instruction that waits for a result');
    } else if (name === 'bra') {
      this.jump(e, n, this.targetsOf(i)[0]!, nesting);
    } else if (name === 'brx') {
      this.targetsOf(i).forEach((to, index) => {
        e.read(i.operands[0]!, 'u32').code.i32(index).op('i32_eq').if();
        this.jump(e, n, to, nesting + 1);
        code.op('end');
      });
      code.op('unreachable');
    } else if (name === 'ret' || name === 'exit') {
      code.i32(0).op('return');
    } else if (name === 'trap') {
      code.op('unreachable');
    } else {
      const translator = Object.hasOwn(TRANSLATORS, name) ? TRANSLATORS[name] : undefined;
      if (!translator) return e.fail('an unknown instruction');
      const unknown = modifiers.find((part) => !MODIFIERS.has(part));
      if (unknown) e.fail(`an unknown modifier .${unknown}`);
      translator(e, i);
    }
    e.opcodes.add(i.op.join('.'));
    if (guarded) code.op('end');
  }
}

/** @throws PtxError  naming the line of an instruction that is not known */
export function translate(module: Module, kernel: Kernel): Program {
  const spaces = placeVariables(module, kernel);
  const parameterBytes = kernel.parameters.reduce((end, p) => Math.max(end, p.offset + p.size), 0);
  const variables = round(PARAMETERS + parameterBytes, 16);
  const shared = round(variables + spaces.variables.length, 256);
  const sites = shared + MOST_SHARED;
  const { segments, labels } = cut(kernel);
  const functions = new Map([...HOST.map((f) => f.name), ...HELPERS].map((name, n) => [name, n]));
  const code = new Code(['i32']);
  code.local('i32'); // the entry to go to: local 1
  const emitter = new Emitter(code, spaces, sites, functions, privateRegisters(segments));
  const flow = new Flow(kernel, segments, labels);
  flow.emit(emitter);
  const localAt = round(emitter.frameBytes, 16);
  const helpers = helpersOf({ shared, local: localAt, localBytes: spaces.localBytes });
  const bytes = assemble(HOST, [...helpers, { name: 'thread', parameters: ['i32'], result: 'i32', code }]);
  return {
    kernel,
    layout: { variables, shared, sites, frames: round(sites + 24 * emitter.sites.length, 256) },
    frameBytes: round(localAt + spaces.localBytes, 16),
    localAt,
    parameterBytes,
    sharedBytes: spaces.sharedBytes,
    variables: spaces.variables,
    sites: emitter.sites,
    waits: flow.waits,
    opcodes: emitter.opcodes,
    module: new WebAssembly.Module(bytes),
  };
}
