/** Instructions that move bits and convert types. */
import { rounding, type Translator, typeOf } from './arithmetic.js';
import { type Emitter, isFloat, isSigned, kindOf, WINDOW } from './emit.js';
import { type Instruction, type Operand, widthOf } from './parse.js';

const word = (e: Emitter, kind: 'i32' | 'i64', value: number) =>
  kind === 'i64' ? e.code.i64(BigInt(value)) : e.code.i32(value);

/** mov.b32 {lo, hi}, x and back: parts side by side in one register. */
function pack(e: Emitter, type: string, items: Operand[]) {
  const bits = (8 * widthOf(type)) / items.length;
  const kind = kindOf(type) as 'i32' | 'i64';
  items.forEach((item, n) => {
    e.read(item, `u${bits}`);
    if (kind === 'i64' && bits < 64) e.op('i64_extend_i32_u');
    if (n === 0) return;
    word(e, kind, n * bits);
    e.typed(type, 'shl').typed(type, 'or');
  });
}

const move: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a] = i.operands as [Operand, Operand];
  if (a.kind === 'vector') {
    e.write(d, type, () => pack(e, type, a.items));
    return;
  }
  if (d.kind !== 'vector') {
    e.write(d, type, () => e.read(a, type));
    return;
  }
  const bits = (8 * widthOf(type)) / d.items.length;
  const kind = kindOf(type) as 'i32' | 'i64';
  const whole = e.temporary(kind);
  e.read(a, type).code.set(whole);
  d.items.forEach((item, n) => {
    e.write(item, `u${bits}`, () => {
      e.code.get(whole);
      if (n > 0) {
        word(e, kind, n * bits);
        e.typed(`u${8 * widthOf(type)}`, 'shr');
      }
      if (kind === 'i64') e.op('i32_wrap_i64');
      if (bits < 32) e.code.i32(2 ** bits - 1).op('i32_and');
    });
  });
};

/** Between generic addresses and those of a space. */
const convertAddress: Translator = (e, i) => {
  const to = i.op[1] === 'to';
  const space = i.op[to ? 2 : 1]!.replace(/_.*$/, '');
  const [d, a] = i.operands as [Operand, Operand];
  e.write(d, 'u64', () => {
    e.read(a, 'u64');
    if (space === 'global' || space === 'const') return;
    if (!(space in WINDOW)) e.fail(`an unknown space .${space}`);
    e.code.i64(BigInt(WINDOW[space as 'shared' | 'local' | 'param']));
    e.op(to ? 'i64_sub' : 'i64_add');
  });
};

const ROUND_TO_INTEGER: Record<string, 'nearest' | 'trunc' | 'floor' | 'ceil'> = {
  rni: 'nearest',
  rzi: 'trunc',
  rmi: 'floor',
  rpi: 'ceil',
};
const HALVES = ['f16', 'bf16', 'f16x2', 'bf16x2', 'tf32'];

/** Leaves an integer of 32 bits as the narrower type has it, in the register's width. */
function narrow(e: Emitter, type: string) {
  if (type === 's8') e.op('i32_extend8_s');
  else if (type === 's16') e.op('i32_extend16_s');
  else if (/^[ub](8|16)$/.test(type)) e.code.i32(2 ** (8 * widthOf(type)) - 1).op('i32_and');
}

/** Within the bounds of a narrow type: what .sat asks for, and every conversion from floats. */
function clampTo(e: Emitter, type: string) {
  const bits = 8 * widthOf(type);
  if (bits >= 32) return;
  const [least, most] = isSigned(type) ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  const x = e.temporary('i32');
  for (const [bound, name] of [
    [least, 'i32_gt_s'],
    [most, isSigned(type) ? 'i32_lt_s' : 'i32_lt_u'],
  ] as const) {
    if (bound === 0 && name === 'i32_gt_s') continue;
    e.code.set(x).get(x).i32(bound).get(x).i32(bound).op(name, 'select');
  }
}

function convertToHalf(e: Emitter, i: Instruction, to: string) {
  const d = i.operands[0]!;
  const zero = i.op.includes('rz') ? 1 : 0;
  if (i.op.includes('relu') || i.op.includes('satfinite')) e.fail('a modifier that is not supported');
  const one = (name: string, operand: Operand) => {
    e.read(operand, 'f32').code.i32(zero);
    e.call(name);
  };
  if (to === 'tf32') {
    // .rna alone rounds ties away; 0 stands for it.
    if (!i.op.includes('rna')) e.fail('a rounding that is not supported');
    e.write(d, 'b32', () => one('toTf32', i.operands[1]!));
    return;
  }
  const name = to.startsWith('bf') ? 'toBfloat' : 'toHalf';
  if (!to.endsWith('x2')) {
    e.write(d, 'b16', () => one(name, i.operands[1]!));
    return;
  }
  e.write(d, 'b32', () => {
    one(name, i.operands[1]!);
    e.code.i32(16).op('i32_shl');
    one(name, i.operands[2]!);
    e.op('i32_or');
  });
}

function convertFloats(e: Emitter, i: Instruction, to: string, from: string) {
  const [d, a] = i.operands as [Operand, Operand];
  e.write(d, to, () => {
    e.read(a, from);
    if (i.op.includes('ftz') && from === 'f32') e.call('flush');
    const whole = i.op.map((part) => ROUND_TO_INTEGER[part]).find((name) => name);
    if (whole) e.typed(from, whole);
    if (to === 'f64' && from === 'f32') e.op('f64_promote_f32');
    else if (to === 'f32' && from === 'f64') {
      const mode = rounding(i.op);
      if (mode === undefined) e.op('f32_demote_f64');
      else {
        e.code.i32(mode);
        e.call('narrowDirected');
      }
    }
    if (i.op.includes('ftz') && to === 'f32') e.call('flush');
    if (i.op.includes('sat')) e.call('saturate');
  });
}

/** cvt.pack.sat: a and b side by side, b lower, each within the bounds of a narrow type; c's lower bits above them. */
function pack2(e: Emitter, i: Instruction) {
  const [, , sat, type, from, rest] = i.op;
  const [d, a, b, c] = i.operands as [Operand, Operand, Operand, Operand | undefined];
  if (sat !== 'sat' || from !== 's32' || !/^[us](8|16)$/.test(type!))
    e.fail('a packing that is not supported');
  const bits = 8 * widthOf(type!);
  const one = (operand: Operand) => {
    const x = e.temporary('i32');
    e.read(operand, 's32').code.set(x);
    if (!isSigned(type!)) e.code.i32(0).get(x).get(x).i32(0).op('i32_lt_s', 'select');
    else e.code.get(x);
    clampTo(e, type!);
    e.code.i32(2 ** bits - 1).op('i32_and');
  };
  e.write(d, 'b32', () => {
    one(a);
    e.code.i32(bits).op('i32_shl');
    one(b);
    e.op('i32_or');
    if (rest === 'b32')
      e.read(c!, 'b32')
        .code.i32(2 * bits)
        .op('i32_shl', 'i32_or');
  });
}

const convert: Translator = (e, i) => {
  if (i.op[1] === 'pack') return pack2(e, i);
  const [d, a] = i.operands as [Operand, Operand];
  const from = typeOf(i);
  const to = i.op[i.op.length - 2]!;
  if (HALVES.includes(to)) {
    if (from !== 'f32') e.fail('a conversion that is not supported');
    return convertToHalf(e, i, to);
  }
  if (from === 'f16' || from === 'bf16') {
    if (to !== 'f32') e.fail('a conversion that is not supported');
    e.write(d, 'f32', () => {
      e.read(a, 'b16');
      if (from === 'f16') e.call('fromHalf');
      else e.code.i32(16).op('i32_shl', 'f32_reinterpret_i32');
    });
    return;
  }
  if (isFloat(from) && isFloat(to)) return convertFloats(e, i, to, from);
  if (isFloat(from)) {
    const way = i.op.map((part) => ROUND_TO_INTEGER[part]).find((name) => name);
    if (!way) e.fail('a conversion to integers without rounding');
    e.write(d, to, () => {
      e.read(a, from);
      if (i.op.includes('ftz')) e.call('flush');
      e.typed(from, way!);
      e.code.truncate(kindOf(to) as 'i32' | 'i64', from as 'f32' | 'f64', isSigned(to));
      clampTo(e, to);
      narrow(e, to);
    });
    return;
  }
  if (isFloat(to)) {
    const mode = rounding(i.op);
    const suffix = isSigned(from) ? 's' : 'u';
    e.write(d, to, () => {
      e.read(a, from);
      if (mode === undefined || to === 'f64') {
        if (mode !== undefined) e.fail('a rounding that is not supported');
        e.op(`${to as 'f32'}_convert_${kindOf(from) as 'i32'}_${suffix}`);
      } else {
        if (kindOf(from) === 'i64') e.fail('a rounding that is not supported');
        e.op(`f64_convert_i32_${suffix}`).code.i32(mode);
        e.call('narrowDirected');
      }
      if (i.op.includes('sat')) e.call('saturate');
    });
    return;
  }
  e.write(d, to, () => {
    e.read(a, from);
    const [wide, source] = [kindOf(to), kindOf(from)];
    if (i.op.includes('sat')) {
      if (wide === 'i64' || source === 'i64' || !isSigned(from)) e.fail('a saturation that is not supported');
      const x = e.temporary('i32');
      if (!isSigned(to)) e.code.set(x).i32(0).get(x).get(x).i32(0).op('i32_lt_s', 'select');
      clampTo(e, to);
    }
    if (wide === 'i64' && source === 'i32') e.op(isSigned(from) ? 'i64_extend_i32_s' : 'i64_extend_i32_u');
    if (wide === 'i32' && source === 'i64') e.op('i32_wrap_i64');
    if (wide === 'i32') narrow(e, to);
  });
};

/** d = bits [position, position + length) of a, signed ones extended. */
const extractBits: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a, position, length] = i.operands as [Operand, Operand, Operand, Operand];
  if (kindOf(type) === 'i64') e.fail('of 64 bits');
  const [at, n, x] = [e.temporary('i32'), e.temporary('i32'), e.temporary('i64')];
  // In 64 bits, so that no amount is out of range: position <= 255 is cut to 32, length to 32.
  const cut = (operand: Operand, local: number) => {
    e.read(operand, 'u32').code.i32(255).op('i32_and').set(local);
    e.code.get(local).i32(32).get(local).i32(32).op('i32_lt_u', 'select').set(local);
  };
  cut(position, at);
  cut(length, n);
  e.write(d, type, () => {
    e.read(a, type).op(isSigned(type) ? 'i64_extend_i32_s' : 'i64_extend_i32_u');
    e.code
      .get(at)
      .op('i64_extend_i32_u')
      .op(isSigned(type) ? 'i64_shr_s' : 'i64_shr_u')
      .set(x);
    // x's low n bits: up and down again
    const amount = () => e.code.i32(64).get(n).op('i32_sub', 'i64_extend_i32_u');
    e.code.i64(0n).get(x);
    amount();
    e.op('i64_shl');
    amount();
    e.op(isSigned(type) ? 'i64_shr_s' : 'i64_shr_u');
    e.code.get(n).op('i32_eqz').op('select').op('i32_wrap_i64');
  });
};

/** d = b with a's low bits at [position, position + length). */
const insertBits: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a, b, position, length] = i.operands as [Operand, Operand, Operand, Operand, Operand];
  if (kindOf(type) === 'i64') e.fail('of 64 bits');
  const [at, n, mask] = [e.temporary('i64'), e.temporary('i64'), e.temporary('i64')];
  const cut = (operand: Operand, local: number) => {
    e.read(operand, 'u32').code.i32(255).op('i32_and', 'i64_extend_i32_u').set(local);
    e.code.get(local).i64(32n).get(local).i64(32n).op('i64_lt_u', 'select').set(local);
  };
  cut(position, at);
  cut(length, n);
  e.code.i64(1n).get(n).op('i64_shl').i64(1n).op('i64_sub').get(at).op('i64_shl').set(mask);
  e.write(d, type, () => {
    e.read(a, type).op('i64_extend_i32_u').code.get(at).op('i64_shl').get(mask).op('i64_and');
    e.read(b, type).op('i64_extend_i32_u').code.get(mask).i64(-1n).op('i64_xor', 'i64_and');
    e.op('i64_or', 'i32_wrap_i64');
  });
};

const count =
  (name: 'clz' | 'popcnt'): Translator =>
  (e, i) => {
    const type = typeOf(i);
    e.write(i.operands[0]!, 'u32', () => {
      e.read(i.operands[1]!, type).typed(type, name);
      if (kindOf(type) === 'i64') e.op('i32_wrap_i64');
    });
  };

/** d = for every bit position, the bit of `table` that a, b and c choose. */
const logic3: Translator = (e, i) => {
  const [d, a, b, c, table] = i.operands as [Operand, Operand, Operand, Operand, Operand];
  if (table.kind !== 'integer') e.fail('a table that is no number');
  const bits = table.kind === 'integer' ? Number(table.value) : 0;
  const inputs = [a, b, c].map((operand) => {
    const local = e.temporary('i32');
    e.read(operand, 'b32').code.set(local);
    return local;
  });
  e.write(d, 'b32', () => {
    e.code.i32(0);
    for (let row = 0; row < 8; row++) {
      if (!((bits >> row) & 1)) continue;
      inputs.forEach((local, n) => {
        e.code.get(local);
        if (!((row >> (2 - n)) & 1)) e.code.i32(-1).op('i32_xor');
        if (n > 0) e.op('i32_and');
      });
      e.op('i32_or');
    }
  });
};

/** shf.l and shf.r: 32 bits of {high, low} moved by an amount. */
const funnel: Translator = (e, i) => {
  const [d, low, high, by] = i.operands as [Operand, Operand, Operand, Operand];
  const left = i.op[1] === 'l';
  const amount = e.temporary('i64');
  e.read(by, 'u32');
  if (i.op.includes('wrap')) e.code.i32(31).op('i32_and', 'i64_extend_i32_u').set(amount);
  else {
    e.op('i64_extend_i32_u').code.set(amount);
    e.code.get(amount).i64(32n).get(amount).i64(32n).op('i64_lt_u', 'select').set(amount);
  }
  e.write(d, 'b32', () => {
    e.read(high, 'b32').op('i64_extend_i32_u').code.i64(32n).op('i64_shl');
    e.read(low, 'b32').op('i64_extend_i32_u', 'i64_or').code.get(amount);
    e.op(left ? 'i64_shl' : 'i64_shr_u');
    if (left) e.code.i64(32n).op('i64_shr_u');
    e.op('i32_wrap_i64');
  });
};

const permute: Translator = (e, i) => {
  const modes = ['f4e', 'b4e', 'rc8', 'ecl', 'ecr', 'rc16'];
  const mode = modes.findIndex((name) => i.op.includes(name)) + 1;
  e.write(i.operands[0]!, 'b32', () => {
    for (const operand of i.operands.slice(1)) e.read(operand, 'b32');
    e.code.i32(mode);
    e.call('permute');
  });
};

const reverse: Translator = (e, i) => {
  if (widthOf(typeOf(i)) !== 4) e.fail('of 64 bits');
  e.write(i.operands[0]!, 'b32', () => e.read(i.operands[1]!, 'b32').call('reverse'));
};

export const BITS: Record<string, Translator> = {
  mov: move,
  cvta: convertAddress,
  cvt: convert,
  bfe: extractBits,
  bfi: insertBits,
  clz: count('clz'),
  popc: count('popcnt'),
  lop3: logic3,
  shf: funnel,
  prmt: permute,
  brev: reverse,
};
