/** What all translated instructions share: operands, registers, the layout of memory while a kernel runs. */
import { type Instruction, type Kernel, type Module, type Operand, PtxError, widthOf } from './parse.js';
import { type Code, type Import, type Op, OP, type Signature, type Value } from './wasm.js';

/** At the start of memory: the indices that %ctaid and the like read. */
export const BLOCK = { ctaid: 0, ntid: 12, nctaid: 24, sharedBytes: 36, executed: 40 };
/** Where the kernel's parameters lie; variables, sites and shared memory follow. */
export const PARAMETERS = 64;
/** Of a thread: where it goes on, its indices, arguments and results of what it waits for, then its registers. */
export const FRAME = { pc: 0, tid: 4, lane: 16, warp: 20, area: 32, registers: 128 };
/** The site of an access remembers the block of device memory that it found last. */
export const SITE = { base: 0, limit: 8, delta: 16, mask: 20, bytes: 24 };

/** Generic addresses of what is no device memory; below 2^53 so that numbers hold them. */
export const WINDOW = { shared: 2 ** 50, local: 2 ** 51, variables: 2 ** 52, param: 2 ** 52 + 2 ** 51 };

/** What the functions of host.ts give, by number. */
export const HOST: Import[] = [
  { name: 'resolve', parameters: ['i32', 'i32', 'i32', 'i32'], result: 'i32' },
  { name: 'misaligned', parameters: ['i32', 'i32', 'i32'] },
  { name: 'outside', parameters: ['i32', 'i32'] },
  { name: 'divideByZero', parameters: ['i32'] },
  { name: 'fmaExact', parameters: ['f32', 'f32', 'f32'], result: 'f32' },
  { name: 'fmaDirected', parameters: ['f32', 'f32', 'f32', 'i32'], result: 'f32' },
  { name: 'addDirected', parameters: ['f32', 'f32', 'i32'], result: 'f32' },
  { name: 'narrowDirected', parameters: ['f64', 'i32'], result: 'f32' },
  { name: 'fma64', parameters: ['f64', 'f64', 'f64'], result: 'f64' },
  { name: 'exp2', parameters: ['f32'], result: 'f32' },
  { name: 'log2', parameters: ['f32'], result: 'f32' },
  { name: 'sin', parameters: ['f32'], result: 'f32' },
  { name: 'cos', parameters: ['f32'], result: 'f32' },
  { name: 'tanh', parameters: ['f32'], result: 'f32' },
  { name: 'toHalf', parameters: ['f32', 'i32'], result: 'i32' },
  { name: 'fromHalf', parameters: ['i32'], result: 'f32' },
  { name: 'toBfloat', parameters: ['f32', 'i32'], result: 'i32' },
  { name: 'toTf32', parameters: ['f32', 'i32'], result: 'i32' },
  { name: 'permute', parameters: ['i32', 'i32', 'i32', 'i32'], result: 'i32' },
  { name: 'reverse', parameters: ['i32'], result: 'i32' },
  { name: 'copyAsync', parameters: ['i32', 'i32', 'i32', 'i32'] },
  { name: 'copyCommit', parameters: [] },
  { name: 'copyWait', parameters: ['i32'] },
];

/** One place of the PTX that can fail or wait, for messages. */
export interface Site {
  line: number;
  text: string;
  /** Bytes of an access; 0 where it is none. */
  bytes: number;
}

export type Kind = Value;
/** The WebAssembly type that holds values of a PTX type. */
export function kindOf(type: string): Kind {
  if (type === 'f32' || type === 'f64') return type;
  return type !== 'pred' && widthOf(type) === 8 ? 'i64' : 'i32';
}
export const isSigned = (type: string) => type.startsWith('s');
export const isFloat = (type: string) => type === 'f32' || type === 'f64';

type Place = { in: 'frame'; offset: number } | { in: 'local'; index: number; kind: Kind };

/** Where the variables of a space lie in it. */
export interface Spaces {
  offsets: Map<string, { space: string; offset: number }>;
  sharedBytes: number;
  localBytes: number;
  /** Initial contents of .global and .const variables. */
  variables: Uint8Array;
}

const round = (n: number, to: number) => Math.ceil(n / to) * to;

export function placeVariables(module: Module, kernel: Kernel): Spaces {
  const offsets: Spaces['offsets'] = new Map();
  const sizes = { shared: 0, local: 0, global: 0, const: 0, param: 0 };
  const constants: [number, Uint8Array][] = [];
  for (const p of kernel.parameters) offsets.set(p.name, { space: 'param', offset: p.offset });
  const dynamic: string[] = [];
  for (const v of [...module.variables.values(), ...kernel.variables]) {
    if (v.dynamic) {
      dynamic.push(v.name);
      continue;
    }
    const space = v.space === 'const' ? 'global' : v.space;
    const offset = round(sizes[space], v.align);
    offsets.set(v.name, { space: v.space, offset });
    sizes[space] = offset + v.size;
    if (space === 'global' && v.bytes) constants.push([offset, v.bytes]);
  }
  const sharedBytes = dynamic.length > 0 ? round(sizes.shared, 16) : sizes.shared;
  for (const name of dynamic) offsets.set(name, { space: 'shared', offset: sharedBytes });
  const variables = new Uint8Array(sizes.global).fill(0xff);
  for (const [offset, bytes] of constants) variables.set(bytes, offset);
  return { offsets, sharedBytes, localBytes: sizes.local, variables };
}

/** Emits the code of a kernel's instructions; a room of translators for each kind of them uses it. */
export class Emitter {
  readonly sites: Site[] = [];
  /** Bytes of a thread's registers in its frame. */
  frameBytes = FRAME.registers;
  /** Opcodes that were translated. */
  readonly opcodes = new Set<string>();
  private readonly homes = new Map<string, Place>();
  private readonly free = new Map<Kind, number[]>();
  private readonly scratch = new Map<Kind, number[]>();
  private readonly released = new Map<Kind, number[]>();
  current!: Instruction;

  constructor(
    readonly code: Code,
    readonly spaces: Spaces,
    readonly sitesAt: number,
    /** The functions a kernel can call, by name. */
    readonly functions: Map<string, number>,
    /** Registers that live in one segment only. */
    private readonly local: (name: string) => boolean,
  ) {}

  fail(message: string): never {
    throw new PtxError(this.current.line, `${message}: ${this.current.text}`);
  }

  /** The number of a new site at the current instruction. */
  site(bytes: number): number {
    return this.sites.push({ line: this.current.line, text: this.current.text, bytes }) - 1;
  }
  siteAddress(site: number): number {
    return this.sitesAt + site * SITE.bytes;
  }

  call(name: string): this {
    const index = this.functions.get(name);
    if (index === undefined) throw new Error(`no function ${name}`);
    this.code.call(index);
    return this;
  }

  // ---- registers

  private home(name: string, kind: Kind, wide: boolean): Place {
    const known = this.homes.get(name);
    if (known) return known;
    let place: Place;
    if (this.local(name)) {
      const index = this.free.get(kind)?.pop() ?? this.code.local(kind);
      place = { in: 'local', index, kind };
    } else {
      const bytes = wide ? 8 : 4;
      this.frameBytes = round(this.frameBytes, bytes);
      place = { in: 'frame', offset: this.frameBytes };
      this.frameBytes += bytes;
    }
    this.homes.set(name, place);
    return place;
  }

  /** After the last instruction that names a register of one segment. */
  release(name: string) {
    const place = this.homes.get(name);
    if (place?.in !== 'local') return;
    this.homes.delete(name);
    const list = this.free.get(place.kind);
    if (list) list.push(place.index);
    else this.free.set(place.kind, [place.index]);
  }

  /** A local for one instruction's own use, until `endInstruction`. */
  temporary(kind: Kind): number {
    const index = this.scratch.get(kind)?.pop() ?? this.code.local(kind);
    const used = this.released.get(kind);
    if (used) used.push(index);
    else this.released.set(kind, [index]);
    return index;
  }
  endInstruction() {
    for (const [kind, list] of this.released) {
      const free = this.scratch.get(kind) ?? [];
      this.scratch.set(kind, [...free, ...list]);
    }
    this.released.clear();
  }

  // ---- operands

  /** Pushes an operand's value as the type has it; narrow integers are extended to 32 bits. */
  read(operand: Operand, type: string): this {
    const kind = kindOf(type);
    const { code } = this;
    switch (operand.kind) {
      case 'register':
        this.readRegister(operand, type, kind);
        return this;
      case 'not':
        this.read(operand.of, 'pred');
        code.op('i32_eqz');
        return this;
      case 'integer':
        if (kind === 'i64') code.i64(operand.value);
        else if (kind === 'i32') code.i32(Number(BigInt.asIntN(32, this.narrowed(operand.value, type))));
        else this.fail('an integer where a float is expected');
        return this;
      case 'float':
        this.readFloat(operand.value, kind);
        return this;
      case 'special':
        this.readSpecial(operand.name);
        if (kind === 'i64') code.op('i64_extend_i32_u');
        return this;
      case 'symbol':
        this.readSymbol(operand.name, operand.offset, kind);
        return this;
      default:
        return this.fail(`an operand of a kind that is not expected (${operand.kind})`);
    }
  }

  private narrowed(value: bigint, type: string): bigint {
    const bits = type === 'pred' ? 32 : 8 * widthOf(type);
    return isSigned(type) ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  }

  private readFloat(value: number, kind: Kind) {
    const { code } = this;
    if (kind === 'f32') code.f32(value);
    else if (kind === 'f64') code.f64(value);
    else if (kind === 'i32') code.f32(value).op('i32_reinterpret_f32');
    else code.f64(value).op('i64_reinterpret_f64');
  }

  private readRegister(operand: Operand & { kind: 'register' }, type: string, kind: Kind) {
    const { code } = this;
    const width = operand.type === 'pred' ? 4 : widthOf(operand.type);
    const place = this.home(operand.name, registerKind(operand.type, kind), width === 8);
    if (place.in === 'frame') {
      if (width < 8 && (kind === 'i64' || kind === 'f64')) this.fail(`${operand.name} is too narrow`);
      code.get(0).memory(`${kind}_load`, place.offset);
    } else {
      code.get(place.index);
      this.reinterpret(place.kind, kind);
    }
    const bytes = type === 'pred' ? 4 : widthOf(type);
    if (bytes === 1) {
      if (isSigned(type)) code.op('i32_extend8_s');
      else code.i32(0xff).op('i32_and');
    } else if (bytes === 2) {
      if (isSigned(type)) code.op('i32_extend16_s');
      else if (width !== 2) code.i32(0xffff).op('i32_and');
    }
  }

  private reinterpret(from: Kind, to: Kind) {
    if (from === to) return;
    const way = `${from}>${to}`;
    if (way === 'i32>f32') this.code.op('f32_reinterpret_i32');
    else if (way === 'f32>i32') this.code.op('i32_reinterpret_f32');
    else if (way === 'i64>f64') this.code.op('f64_reinterpret_i64');
    else if (way === 'f64>i64') this.code.op('i64_reinterpret_f64');
    else if (way === 'i64>i32') this.code.op('i32_wrap_i64');
    else this.fail(`a ${from} register used as ${to}`);
  }

  private readSpecial(name: string) {
    const { code } = this;
    const axis = { x: 0, y: 4, z: 8 }[name.slice(-1)] ?? 0;
    const stem = name.replace(/\.[xyz]$/, '');
    if (stem === 'tid') code.get(0).memory('i32_load', FRAME.tid + axis);
    else if (stem === 'ctaid' || stem === 'ntid' || stem === 'nctaid')
      code.i32(0).memory('i32_load', BLOCK[stem] + axis);
    else if (name === 'laneid') code.get(0).memory('i32_load', FRAME.lane);
    else if (name === 'warpid') code.get(0).memory('i32_load', FRAME.warp);
    else if (name === 'lanemask_lt') {
      code.i32(1).get(0).memory('i32_load', FRAME.lane).op('i32_shl').i32(1).op('i32_sub');
    } else if (name === 'lanemask_eq') code.i32(1).get(0).memory('i32_load', FRAME.lane).op('i32_shl');
    else this.fail(`an unknown register %${name}`);
  }

  private readSymbol(name: string, plus: number, kind: Kind) {
    const variable = this.spaces.offsets.get(name);
    if (!variable) return this.fail(`an unknown symbol ${name}`);
    const window = variable.space === 'global' || variable.space === 'const' ? WINDOW.variables : 0;
    const address = window + variable.offset + plus;
    if (kind === 'i64') this.code.i64(BigInt(address));
    else if (kind === 'i32' && window === 0) this.code.i32(address);
    else this.fail(`the address of ${name} in a register that cannot hold it`);
  }

  /** Writes what `value` pushes, of the given type, to a destination. */
  write(destination: Operand, type: string, value: () => void): this {
    const { code } = this;
    if (destination.kind === 'none') {
      value();
      code.op('drop');
      return this;
    }
    if (destination.kind !== 'register') return this.fail('a destination that is no register');
    const kind = kindOf(type);
    const width = destination.type === 'pred' ? 4 : widthOf(destination.type);
    const widened = width === 8 && kind === 'i32';
    const place = this.home(destination.name, registerKind(destination.type, kind), width === 8);
    if (place.in === 'frame') code.get(0);
    value();
    if (widened) code.op(isSigned(type) ? 'i64_extend_i32_s' : 'i64_extend_i32_u');
    if (width < 8 && (kind === 'i64' || kind === 'f64')) this.fail(`${destination.name} is too narrow`);
    if (width === 2) code.i32(0xffff).op('i32_and');
    const stored: Kind = widened ? 'i64' : kind;
    if (place.in === 'frame') {
      code.memory(`${stored}_store`, place.offset);
    } else {
      this.reinterpret(stored, place.kind);
      code.set(place.index);
    }
    return this;
  }

  op(...names: Op[]): this {
    this.code.op(...names);
    return this;
  }
  /** The operation of the type's own kind: `add` of f32 is f32_add; `div` of s32 is i32_div_s. */
  typed(type: string, name: string): this {
    const kind = kindOf(type);
    const plain = `${kind}_${name}`;
    const full = plain in OP ? plain : `${plain}_${isSigned(type) ? 's' : 'u'}`;
    if (!(full in OP)) this.fail(`no operation ${full}`);
    this.code.op(full as Op);
    return this;
  }
}

function registerKind(declared: string, used: Kind): Kind {
  if (declared === 'pred') return 'i32';
  if (widthOf(declared) === 8) return used === 'f64' ? 'f64' : 'i64';
  return used === 'f32' ? 'f32' : 'i32';
}

export type Signatures = Map<string, Signature>;
