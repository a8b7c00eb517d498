/** Instructions that compute: numbers of all types, comparisons, bits. */
import { type Emitter, isFloat, isSigned, kindOf } from './emit.js';
import { type Instruction, type Operand, widthOf } from './parse.js';
import type { Op } from './wasm.js';

export type Translator = (e: Emitter, i: Instruction) => void;

/** The type an instruction ends in. */
export const typeOf = (i: Instruction) => i.op[i.op.length - 1]!;
/** Rounding as the host's functions number it; undefined: to nearest even. */
export function rounding(op: string[]): number | undefined {
  if (op.includes('rz')) return 0;
  if (op.includes('rm')) return -1;
  if (op.includes('rp')) return 1;
  return undefined;
}

/** Runs `emit` between the flushes that .ftz asks for: of what it reads and of what it gives. */
function read(e: Emitter, i: Instruction, operand: Operand, type: string): Emitter {
  e.read(operand, type);
  return i.op.includes('ftz') ? e.call('flush') : e;
}
function finish(e: Emitter, i: Instruction): Emitter {
  if (i.op.includes('ftz')) e.call('flush');
  if (i.op.includes('sat')) e.call('saturate');
  return e;
}

function binary(name: string): Translator {
  return (e, i) => {
    const type = typeOf(i);
    const [d, a, b] = i.operands as [Operand, Operand, Operand];
    const mode = isFloat(type) ? rounding(i.op) : undefined;
    e.write(d, type, () => {
      read(e, i, a, type);
      read(e, i, b, type);
      if (mode === undefined) e.typed(type, name);
      else if (type === 'f32' && (name === 'add' || name === 'sub')) {
        if (name === 'sub') e.op('f32_neg');
        e.code.i32(mode);
        e.call('addDirected');
      } else if (type === 'f32' && name === 'mul') {
        const [x, y] = [e.temporary('f32'), e.temporary('f32')];
        e.code
          .set(y)
          .set(x)
          .get(x)
          .op('f64_promote_f32')
          .get(y)
          .op('f64_promote_f32')
          .op('f64_mul')
          .i32(mode);
        e.call('narrowDirected');
      } else e.fail('a rounding that is not supported');
      finish(e, i);
    });
  };
}

const unary =
  (emit: (e: Emitter, type: string) => void): Translator =>
  (e, i) => {
    const type = typeOf(i);
    e.write(i.operands[0]!, type, () => {
      read(e, i, i.operands[1]!, type);
      emit(e, type);
      finish(e, i);
    });
  };

/** Products: lo, hi, wide, or of floats. */
function product(e: Emitter, i: Instruction, type: string): string {
  const [, a, b] = i.operands as [Operand, Operand, Operand];
  if (i.op.includes('wide')) {
    const result = `${type[0]}${16 * widthOf(type)}`;
    const extend = () => {
      if (kindOf(result) === 'i64') e.op(isSigned(type) ? 'i64_extend_i32_s' : 'i64_extend_i32_u');
    };
    e.read(a, type);
    extend();
    e.read(b, type);
    extend();
    e.typed(result, 'mul');
    return result;
  }
  if (i.op.includes('hi')) {
    if (widthOf(type) === 8) {
      e.read(a, type)
        .read(b, type)
        .call(isSigned(type) ? 'highSigned' : 'highUnsigned');
    } else {
      const extend: Op = isSigned(type) ? 'i64_extend_i32_s' : 'i64_extend_i32_u';
      e.read(a, type).op(extend).read(b, type).op(extend, 'i64_mul');
      e.code.i64(BigInt(8 * widthOf(type))).op('i64_shr_u', 'i32_wrap_i64');
    }
    return type;
  }
  e.read(a, type).read(b, type).typed(type, 'mul');
  return type;
}

const multiply: Translator = (e, i) => {
  const type = typeOf(i);
  if (isFloat(type)) return binary('mul')(e, i);
  const result = i.op.includes('wide') ? `${type[0]}${16 * widthOf(type)}` : type;
  e.write(i.operands[0]!, result, () => product(e, i, type));
};

const multiplyAdd: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a, b, c] = i.operands as [Operand, Operand, Operand, Operand];
  if (isFloat(type)) {
    const mode = rounding(i.op);
    e.write(d, type, () => {
      for (const operand of [a, b, c]) read(e, i, operand, type);
      if (type === 'f64') {
        if (mode !== undefined) e.fail('a rounding that is not supported');
        e.call('fma64');
      } else if (mode === undefined) e.call('fma');
      else {
        e.code.i32(mode);
        e.call('fmaDirected');
      }
      finish(e, i);
    });
    return;
  }
  const result = i.op.includes('wide') ? `${type[0]}${16 * widthOf(type)}` : type;
  e.write(d, result, () => {
    product(e, i, type);
    e.read(c, result).typed(result, 'add');
  });
};

const divide =
  (name: 'div' | 'rem'): Translator =>
  (e, i) => {
    const type = typeOf(i);
    const [d, a, b] = i.operands as [Operand, Operand, Operand];
    if (isFloat(type)) {
      if (rounding(i.op) !== undefined) e.fail('a rounding that is not supported');
      return binary('div')(e, i);
    }
    const kind = kindOf(type);
    const divisor = e.temporary(kind);
    e.read(b, type);
    e.code.tee(divisor);
    e.op(kind === 'i64' ? 'i64_eqz' : 'i32_eqz');
    e.code.if().i32(e.site(0));
    e.call('divideByZero').op('unreachable', 'end');
    e.write(d, type, () => {
      e.read(a, type);
      e.code.get(divisor);
      e.typed(type, name);
    });
  };

const extreme =
  (name: 'min' | 'max'): Translator =>
  (e, i) => {
    const type = typeOf(i);
    const [d, a, b] = i.operands as [Operand, Operand, Operand];
    e.write(d, type, () => {
      if (isFloat(type)) {
        if (i.operands.length !== 3) e.fail('more than two operands');
        read(e, i, a, type);
        read(e, i, b, type);
        if (i.op.includes('NaN')) e.typed(type, name);
        else if (type === 'f32') e.call(name === 'min' ? 'lesser' : 'greater');
        else e.fail('not of f64');
        finish(e, i);
        return;
      }
      const kind = kindOf(type);
      const [x, y] = [e.temporary(kind), e.temporary(kind)];
      e.read(a, type).code.tee(x);
      e.read(b, type).code.tee(y);
      e.code.get(x).get(y);
      e.typed(type, name === 'min' ? 'lt' : 'gt').op('select');
    });
  };

const absolute: Translator = (e, i) => {
  const type = typeOf(i);
  if (isFloat(type)) return unary((x) => x.typed(type, 'abs'))(e, i);
  const kind = kindOf(type);
  const x = e.temporary(kind);
  e.write(i.operands[0]!, type, () => {
    if (kind === 'i64') e.code.i64(0n);
    else e.code.i32(0);
    e.read(i.operands[1]!, type).code.tee(x);
    e.typed(type, 'sub').code.get(x);
    e.code.get(x);
    if (kind === 'i64') e.code.i64(0n);
    else e.code.i32(0);
    e.typed(type, 'lt').op('select');
  });
};

const negate = unary((e, type) => {
  if (isFloat(type)) e.typed(type, 'neg');
  else if (kindOf(type) === 'i64') e.code.i64(-1n).op('i64_mul');
  else e.code.i32(-1).op('i32_mul');
});

const bitwise =
  (name: 'and' | 'or' | 'xor'): Translator =>
  (e, i) => {
    const type = typeOf(i);
    e.write(i.operands[0]!, type, () =>
      e.read(i.operands[1]!, type).read(i.operands[2]!, type).typed(type, name),
    );
  };

const complement: Translator = (e, i) => {
  const type = typeOf(i);
  e.write(i.operands[0]!, type, () => {
    e.read(i.operands[1]!, type);
    if (type === 'pred') e.op('i32_eqz');
    else if (kindOf(type) === 'i64') e.code.i64(-1n).op('i64_xor');
    else e.code.i32(-1).op('i32_xor');
  });
};

/** Amounts beyond the width give zeros, or the sign. */
const shift =
  (left: boolean): Translator =>
  (e, i) => {
    const type = typeOf(i);
    const [d, a, by] = i.operands as [Operand, Operand, Operand];
    const kind = kindOf(type);
    const bits = 8 * widthOf(type);
    const name = left ? 'shl' : 'shr';
    const zero = () => (kind === 'i64' ? e.code.i64(0n) : e.code.i32(0));
    e.write(d, type, () => {
      if (by.kind === 'integer') {
        const amount = Number(by.value);
        const kept = !left && isSigned(type) ? Math.min(amount, bits - 1) : amount;
        if (kept >= bits) return void zero();
        e.read(a, type);
        if (kind === 'i64') e.code.i64(BigInt(kept));
        else e.code.i32(kept);
        e.typed(type, name);
        return;
      }
      const amount = e.temporary('i32');
      e.read(by, 'u32').code.set(amount);
      const push = () => {
        if (kind === 'i64') e.op('i64_extend_i32_u');
        e.typed(type, name);
      };
      const within = () => e.code.get(amount).i32(bits).op('i32_lt_u', 'select');
      e.read(a, type).code.get(amount);
      if (!left && isSigned(type)) {
        e.code.i32(bits - 1);
        within();
        push();
        return;
      }
      push();
      zero();
      within();
    });
  };

/** Pushes 1 where the comparison holds. */
function compare(e: Emitter, how: string, type: string, a: Operand, b: Operand, ftz: boolean) {
  const both = () => {
    e.read(a, type);
    if (ftz) e.call('flush');
    e.read(b, type);
    if (ftz) e.call('flush');
  };
  if (!isFloat(type)) {
    const name = { lo: 'lt', ls: 'le', hi: 'gt', hs: 'ge' }[how] ?? how;
    both();
    e.typed(type, name);
    return;
  }
  const opposite: Record<string, string> = { ltu: 'ge', leu: 'gt', gtu: 'le', geu: 'lt' };
  if (['eq', 'lt', 'le', 'gt', 'ge'].includes(how)) {
    both();
    e.typed(type, how);
  } else if (how in opposite) {
    both();
    e.typed(type, opposite[how]!).op('i32_eqz');
  } else if (how === 'neu') {
    both();
    e.typed(type, 'ne');
  } else if (how === 'ne' || how === 'equ') {
    both();
    e.typed(type, 'lt');
    both();
    e.typed(type, 'gt').op('i32_or');
    if (how === 'equ') e.op('i32_eqz');
  } else if (how === 'num' || how === 'nan') {
    e.read(a, type).read(a, type).typed(type, 'eq');
    e.read(b, type).read(b, type).typed(type, 'eq').op('i32_and');
    if (how === 'nan') e.op('i32_eqz');
  } else e.fail(`an unknown comparison .${how}`);
}

const setPredicate: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a, b, c] = i.operands as [Operand, Operand, Operand, Operand | undefined];
  const logic = i.op.find((part) => part === 'and' || part === 'or' || part === 'xor');
  const result = e.temporary('i32');
  compare(e, i.op[1]!, type, a, b, i.op.includes('ftz'));
  e.code.set(result);
  const put = (destination: Operand, negated: boolean) =>
    e.write(destination, 'pred', () => {
      e.code.get(result);
      if (negated) e.op('i32_eqz');
      if (logic) e.read(c!, 'pred').op(logic === 'and' ? 'i32_and' : logic === 'or' ? 'i32_or' : 'i32_xor');
    });
  if (d.kind !== 'pair') return void put(d, false);
  if (logic) e.fail('two results of a combined comparison');
  put(d.items[0], false);
  put(d.items[1], true);
};

/** set.CMP.dtype.stype: all ones or 1.0, else 0. */
const setValue: Translator = (e, i) => {
  const type = typeOf(i);
  const result = i.op[i.op.length - 2]!;
  const [d, a, b] = i.operands as [Operand, Operand, Operand];
  if (i.operands.length !== 3) e.fail('a combined comparison');
  e.write(d, result, () => {
    if (result === 'f32') e.code.f32(1).f32(0);
    else e.code.i32(-1).i32(0);
    compare(e, i.op[1]!, type, a, b, i.op.includes('ftz'));
    e.op('select');
  });
};

const selectByPredicate: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, a, b, p] = i.operands as [Operand, Operand, Operand, Operand];
  e.write(d, type, () => e.read(a, type).read(b, type).read(p, 'pred').op('select'));
};

const root = (name: 'sqrt' | 'rsqrt' | 'rcp'): Translator =>
  unary((e, type) => {
    if (name === 'sqrt') e.typed(type, 'sqrt');
    else {
      const x = e.temporary(kindOf(type));
      if (name === 'rsqrt') e.typed(type, 'sqrt');
      e.code.set(x);
      if (type === 'f64') e.code.f64(1);
      else e.code.f32(1);
      e.code.get(x);
      e.typed(type, 'div');
    }
  });

const approximate = (name: 'exp2' | 'log2' | 'sin' | 'cos' | 'tanh'): Translator =>
  unary((e, type) => {
    if (type !== 'f32') e.fail('of another type than f32');
    e.call(name);
  });

const copySign: Translator = (e, i) => {
  const type = typeOf(i);
  // copysign d, a, b: the sign of a, the magnitude of b
  e.write(i.operands[0]!, type, () =>
    e.read(i.operands[2]!, type).read(i.operands[1]!, type).typed(type, 'copysign'),
  );
};

export const ARITHMETIC: Record<string, Translator> = {
  add: binary('add'),
  sub: binary('sub'),
  mul: multiply,
  mad: multiplyAdd,
  fma: multiplyAdd,
  div: divide('div'),
  rem: divide('rem'),
  min: extreme('min'),
  max: extreme('max'),
  abs: absolute,
  neg: negate,
  and: bitwise('and'),
  or: bitwise('or'),
  xor: bitwise('xor'),
  not: complement,
  shl: shift(true),
  shr: shift(false),
  setp: setPredicate,
  set: setValue,
  selp: selectByPredicate,
  sqrt: root('sqrt'),
  rsqrt: root('rsqrt'),
  rcp: root('rcp'),
  ex2: approximate('exp2'),
  lg2: approximate('log2'),
  sin: approximate('sin'),
  cos: approximate('cos'),
  tanh: approximate('tanh'),
  copysign: copySign,
};
