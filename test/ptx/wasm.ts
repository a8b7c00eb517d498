/** WebAssembly modules, byte by byte: just what translated kernels need. */

export type Value = 'i32' | 'i64' | 'f32' | 'f64';
const VALUE: Record<Value, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c };

// Instructions without immediate operands; names as in the specification with _ for the dot.
export const OP = {
  unreachable: 0x00,
  else: 0x05,
  end: 0x0b,
  return: 0x0f,
  drop: 0x1a,
  select: 0x1b,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_gt_s: 0x4a,
  i32_gt_u: 0x4b,
  i32_le_s: 0x4c,
  i32_le_u: 0x4d,
  i32_ge_s: 0x4e,
  i32_ge_u: 0x4f,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_gt_s: 0x55,
  i64_gt_u: 0x56,
  i64_le_s: 0x57,
  i64_le_u: 0x58,
  i64_ge_s: 0x59,
  i64_ge_u: 0x5a,
  f32_eq: 0x5b,
  f32_ne: 0x5c,
  f32_lt: 0x5d,
  f32_gt: 0x5e,
  f32_le: 0x5f,
  f32_ge: 0x60,
  f64_eq: 0x61,
  f64_ne: 0x62,
  f64_lt: 0x63,
  f64_gt: 0x64,
  f64_le: 0x65,
  f64_ge: 0x66,
  i32_clz: 0x67,
  i32_ctz: 0x68,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_div_s: 0x6d,
  i32_div_u: 0x6e,
  i32_rem_s: 0x6f,
  i32_rem_u: 0x70,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_s: 0x75,
  i32_shr_u: 0x76,
  i32_rotl: 0x77,
  i32_rotr: 0x78,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_popcnt: 0x7b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  f32_abs: 0x8b,
  f32_neg: 0x8c,
  f32_ceil: 0x8d,
  f32_floor: 0x8e,
  f32_trunc: 0x8f,
  f32_nearest: 0x90,
  f32_sqrt: 0x91,
  f32_add: 0x92,
  f32_sub: 0x93,
  f32_mul: 0x94,
  f32_div: 0x95,
  f32_min: 0x96,
  f32_max: 0x97,
  f32_copysign: 0x98,
  f64_abs: 0x99,
  f64_neg: 0x9a,
  f64_ceil: 0x9b,
  f64_floor: 0x9c,
  f64_trunc: 0x9d,
  f64_nearest: 0x9e,
  f64_sqrt: 0x9f,
  f64_add: 0xa0,
  f64_sub: 0xa1,
  f64_mul: 0xa2,
  f64_div: 0xa3,
  f64_min: 0xa4,
  f64_max: 0xa5,
  f64_copysign: 0xa6,
  i32_wrap_i64: 0xa7,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  f32_convert_i32_s: 0xb2,
  f32_convert_i32_u: 0xb3,
  f32_convert_i64_s: 0xb4,
  f32_convert_i64_u: 0xb5,
  f32_demote_f64: 0xb6,
  f64_convert_i32_s: 0xb7,
  f64_convert_i32_u: 0xb8,
  f64_convert_i64_s: 0xb9,
  f64_convert_i64_u: 0xba,
  f64_promote_f32: 0xbb,
  i32_reinterpret_f32: 0xbc,
  i64_reinterpret_f64: 0xbd,
  f32_reinterpret_i32: 0xbe,
  f64_reinterpret_i64: 0xbf,
  i32_extend8_s: 0xc0,
  i32_extend16_s: 0xc1,
} as const;
export type Op = keyof typeof OP;

// Accesses of memory, with the logarithm of their width.
const MEMORY = {
  i32_load: [0x28, 2],
  i64_load: [0x29, 3],
  f32_load: [0x2a, 2],
  f64_load: [0x2b, 3],
  i32_load8_s: [0x2c, 0],
  i32_load8_u: [0x2d, 0],
  i32_load16_s: [0x2e, 1],
  i32_load16_u: [0x2f, 1],
  i32_store: [0x36, 2],
  i64_store: [0x37, 3],
  f32_store: [0x38, 2],
  f64_store: [0x39, 3],
  i32_store8: [0x3a, 0],
  i32_store16: [0x3b, 1],
} as const;
export type MemoryOp = keyof typeof MEMORY;

function unsigned(n: number): number[] {
  const bytes: number[] = [];
  let rest = n;
  do {
    bytes.push((rest % 128) | (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return bytes;
}

function signed(n: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = n; ; ) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    if ((rest === 0n && low < 64) || (rest === -1n && low >= 64)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 128);
  }
}

/** The instructions of one function. */
export class Code {
  private bytes = new Uint8Array(1 << 12);
  private length = 0;
  private readonly locals: Value[] = [];

  constructor(readonly parameters: Value[]) {}

  /** A new local of the function, by its number. */
  local(type: Value): number {
    return this.parameters.length + this.locals.push(type) - 1;
  }

  private push(...added: number[]): this {
    if (this.length + added.length > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length + added.length);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    for (const byte of added) this.bytes[this.length++] = byte;
    return this;
  }

  op(...names: Op[]): this {
    for (const name of names) this.push(OP[name]);
    return this;
  }
  get(local: number): this {
    return this.push(0x20, ...unsigned(local));
  }
  set(local: number): this {
    return this.push(0x21, ...unsigned(local));
  }
  tee(local: number): this {
    return this.push(0x22, ...unsigned(local));
  }
  i32(value: number): this {
    return this.push(0x41, ...signed(BigInt(value | 0)));
  }
  i64(value: bigint): this {
    return this.push(0x42, ...signed(BigInt.asIntN(64, value)));
  }
  f32(value: number): this {
    return this.push(0x43, ...new Uint8Array(Float32Array.of(value).buffer));
  }
  f64(value: number): this {
    return this.push(0x44, ...new Uint8Array(Float64Array.of(value).buffer));
  }
  memory(name: MemoryOp, offset = 0): this {
    const [opcode, align] = MEMORY[name];
    return this.push(opcode, align, ...unsigned(offset));
  }
  call(index: number): this {
    return this.push(0x10, ...unsigned(index));
  }
  block(): this {
    return this.push(0x02, 0x40);
  }
  loop(): this {
    return this.push(0x03, 0x40);
  }
  /** Without a result, or with one. */
  if(result?: Value): this {
    return this.push(0x04, result ? VALUE[result] : 0x40);
  }
  br(depth: number): this {
    return this.push(0x0c, ...unsigned(depth));
  }
  brIf(depth: number): this {
    return this.push(0x0d, ...unsigned(depth));
  }
  brTable(depths: number[], otherwise: number): this {
    return this.push(0x0e, ...unsigned(depths.length), ...depths.flatMap(unsigned), ...unsigned(otherwise));
  }
  /** Float to integer, out of range to the nearest bound, NaN to 0: as PTX has it. */
  truncate(to: 'i32' | 'i64', from: 'f32' | 'f64', isSigned: boolean): this {
    return this.push(0xfc, (to === 'i64' ? 4 : 0) + (from === 'f64' ? 2 : 0) + (isSigned ? 0 : 1));
  }

  /** As the code section holds it. */
  body(): Uint8Array {
    const declared = [...unsigned(this.locals.length), ...this.locals.flatMap((type) => [1, VALUE[type]])];
    const size = unsigned(declared.length + this.length + 1);
    return Uint8Array.from([...size, ...declared, ...this.bytes.subarray(0, this.length), OP.end]);
  }
}

export interface Signature {
  parameters: Value[];
  result?: Value | undefined;
}
export interface Import extends Signature {
  name: string;
}
export interface Func extends Signature {
  code: Code;
  /** Exported under this name. */
  name?: string;
}

const text = (s: string) => [...unsigned(s.length), ...Buffer.from(s, 'latin1')];

/**
 * A module whose functions import `host.memory` and the given functions of `host`. Functions are numbered imports
 * first, in the given order.
 */
export function assemble(imports: Import[], functions: Func[]): Uint8Array<ArrayBuffer> {
  const types: string[] = [];
  const typeBytes: number[] = [];
  const typeOf = ({ parameters, result }: Signature) => {
    const key = `${parameters} ${result}`;
    const known = types.indexOf(key);
    if (known >= 0) return known;
    typeBytes.push(0x60, ...unsigned(parameters.length), ...parameters.map((p) => VALUE[p]));
    typeBytes.push(...(result ? [1, VALUE[result]] : [0]));
    return types.push(key) - 1;
  };
  const importBytes = imports.flatMap((f) => [...text('host'), ...text(f.name), 0, ...unsigned(typeOf(f))]);
  const memory = [...text('host'), ...text('memory'), 2, 0, 1];
  const functionTypes = functions.flatMap((f) => unsigned(typeOf(f)));
  const exported = functions.flatMap((f, i) =>
    f.name ? [...text(f.name), 0, ...unsigned(imports.length + i)] : [],
  );
  const bodies = functions.map((f) => f.code.body());
  const parts: Uint8Array[] = [Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)];
  const section = (id: number, count: number, ...contents: (number[] | Uint8Array)[]) => {
    const head = unsigned(count);
    const size = contents.reduce((sum, c) => sum + c.length, head.length);
    parts.push(Uint8Array.from([id, ...unsigned(size), ...head]), ...contents.map((c) => Uint8Array.from(c)));
  };
  section(1, types.length, typeBytes);
  section(2, imports.length + 1, importBytes, memory);
  section(3, functions.length, functionTypes);
  section(7, functions.filter((f) => f.name).length, exported);
  section(10, functions.length, ...bodies);
  return new Uint8Array(Buffer.concat(parts));
}
