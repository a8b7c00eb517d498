/** Instructions that reach memory: every access is checked for its bounds and its alignment. */
import { type Translator, typeOf } from './arithmetic.js';
import { type Emitter, isSigned, kindOf, PARAMETERS, WINDOW } from './emit.js';
import { type Instruction, type Operand, widthOf } from './parse.js';
import type { MemoryOp } from './wasm.js';

type Space = 'global' | 'shared' | 'local' | 'param' | 'const' | 'generic';

function spaceOf(i: Instruction): Space {
  for (const part of i.op) {
    const name = part.replace(/_cta$/, '');
    if (['global', 'shared', 'local', 'param', 'const'].includes(name)) return name as Space;
  }
  return 'generic';
}

/** Pushes where in our memory `bytes` at the operand's address lie. */
function address(e: Emitter, operand: Operand, space: Space, bytes: number) {
  if (operand.kind !== 'memory') return e.fail('no address');
  const { base, offset } = operand;
  const { code } = e;
  if (space === 'param' && base.kind === 'symbol') {
    const parameter = e.spaces.offsets.get(base.name);
    if (parameter?.space !== 'param') return e.fail(`an unknown parameter ${base.name}`);
    code.i32(PARAMETERS + parameter.offset + base.offset + offset);
    return;
  }
  const site = e.site(bytes);
  const narrow = base.kind === 'symbol' || (base.kind === 'register' && widthOf(base.type) === 4);
  if (space === 'shared' && narrow) {
    e.read(base, 'u32').code.i32(offset).op('i32_add').i32(bytes).i32(site);
    e.call('sharedAt');
    return;
  }
  e.read(base, 'u64');
  const window = space === 'shared' || space === 'param' ? WINDOW[space] : 0;
  if (window + offset !== 0) code.i64(BigInt(window + offset)).op('i64_add');
  if (space === 'local') {
    code.get(0).i32(bytes).i32(site);
    e.call('localAt');
  } else {
    code.i32(e.siteAddress(site));
    e.call('at');
  }
}

function loadOp(type: string): MemoryOp {
  const kind = kindOf(type);
  const bytes = widthOf(type);
  if (bytes >= 4) return `${kind}_load`;
  return `i32_load${bytes === 1 ? '8' : '16'}_${isSigned(type) ? 's' : 'u'}`;
}
function storeOp(type: string): MemoryOp {
  const bytes = widthOf(type);
  return bytes >= 4 ? `${kindOf(type)}_store` : bytes === 1 ? 'i32_store8' : 'i32_store16';
}

const parts = (operand: Operand): Operand[] => (operand.kind === 'vector' ? operand.items : [operand]);

const load: Translator = (e, i) => {
  const type = typeOf(i);
  const [d, from] = i.operands as [Operand, Operand];
  const items = parts(d);
  const at = e.temporary('i32');
  address(e, from, spaceOf(i), items.length * widthOf(type));
  e.code.set(at);
  items.forEach((item, n) => {
    e.write(item, type, () => e.code.get(at).memory(loadOp(type), n * widthOf(type)));
  });
};

const store: Translator = (e, i) => {
  const type = typeOf(i);
  const [to, value] = i.operands as [Operand, Operand];
  const items = parts(value);
  const at = e.temporary('i32');
  const space = spaceOf(i);
  if (space === 'param' || space === 'const') e.fail('a store to what cannot be written');
  address(e, to, space, items.length * widthOf(type));
  e.code.set(at);
  items.forEach((item, n) => {
    e.code.get(at);
    e.read(item, type).code.memory(storeOp(type), n * widthOf(type));
  });
};

/** atom and red: one thread at a time runs, so that plain accesses are atomic. */
const atomic: Translator = (e, i) => {
  const type = typeOf(i);
  const returns = i.op[0] === 'atom';
  const [d, to, b, c] = (returns ? i.operands : [{ kind: 'none' } as Operand, ...i.operands]) as [
    Operand,
    Operand,
    Operand,
    Operand | undefined,
  ];
  const name = ['add', 'and', 'or', 'xor', 'min', 'max', 'exch', 'cas', 'inc', 'dec'].find((op) =>
    i.op.includes(op),
  );
  if (widthOf(type) < 4 || (/f16/.test(type) && name !== 'exch')) e.fail('a type that is not supported');
  const kind = kindOf(type);
  const [at, old, value] = [e.temporary('i32'), e.temporary(kind), e.temporary(kind)];
  address(e, to, spaceOf(i), widthOf(type));
  e.code.tee(at).memory(loadOp(type)).set(old);
  e.read(b, type).code.set(value);
  e.code.get(at);
  const { code } = e;
  switch (name) {
    case 'add':
    case 'and':
    case 'or':
    case 'xor':
      code.get(old).get(value);
      e.typed(type, name);
      break;
    case 'min':
    case 'max':
      if (kind[0] === 'f') e.fail('of floats');
      code.get(old).get(value).get(old).get(value);
      e.typed(type, name === 'min' ? 'lt' : 'gt').op('select');
      break;
    case 'exch':
      code.get(value);
      break;
    case 'cas':
      e.read(c!, type).code.get(old).get(old).get(value);
      e.typed(type, 'eq').op('select');
      break;
    case 'inc': // old >= value ? 0 : old + 1
      code.i32(0).get(old).i32(1).op('i32_add').get(old).get(value).op('i32_ge_u', 'select');
      break;
    case 'dec': // old == 0 || old > value ? value : old - 1
      code.get(value).get(old).i32(1).op('i32_sub');
      code.get(old).op('i32_eqz').get(old).get(value).op('i32_gt_u', 'i32_or', 'select');
      break;
    default:
      e.fail('an operation that is not supported');
  }
  code.memory(storeOp(type));
  e.write(d, type, () => code.get(old));
};

/** cp.async: remembered, and done when it is waited for. */
const copy: Translator = (e, i) => {
  const { code } = e;
  if (i.op.includes('commit_group')) {
    e.call('copyCommit');
    return;
  }
  if (i.op.includes('wait_all')) {
    e.call('copyCommit'); // the open group too
    code.i32(0);
    e.call('copyWait');
    return;
  }
  if (i.op.includes('wait_group')) {
    e.read(i.operands[0]!, 'u32').call('copyWait');
    return;
  }
  const [to, from, size, sourceSize] = i.operands as [Operand, Operand, Operand, Operand | undefined];
  if (i.op[1] !== 'async' || size?.kind !== 'integer' || i.op.includes('bulk'))
    return e.fail('not supported');
  const bytes = Number(size.value);
  const [target, source, n] = [e.temporary('i32'), e.temporary('i32'), e.temporary('i32')];
  address(e, to, 'shared', bytes);
  code.set(target);
  if (sourceSize) e.read(sourceSize, 'u32').code.set(n);
  else code.i32(bytes).set(n);
  code.i32(0).set(source).get(n).if();
  address(e, from, 'global', bytes);
  code.set(source).op('end');
  code.get(target).get(source).i32(bytes).get(n);
  e.call('copyAsync');
};

const nothing: Translator = () => {};

export const ACCESS: Record<string, Translator> = {
  ld: load,
  ldu: load,
  st: store,
  atom: atomic,
  red: atomic,
  cp: copy,
  prefetch: nothing,
  prefetchu: nothing,
  membar: nothing,
  fence: nothing,
  griddepcontrol: nothing,
  nanosleep: nothing,
};
