/** The text of PTX modules as nvcc writes them: kernels, their parameters, variables and instructions. */

/** An error in or about PTX, with the line it comes from. */
export class PtxError extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(`PTX line ${line}: ${message}`);
    this.name = 'PtxError';
  }
}

export type Operand =
  | { kind: 'register'; name: string; type: string }
  | { kind: 'special'; name: string }
  | { kind: 'integer'; value: bigint }
  | { kind: 'float'; value: number }
  | { kind: 'symbol'; name: string; offset: number }
  | { kind: 'memory'; base: Operand; offset: number }
  | { kind: 'vector'; items: Operand[] }
  /** d|p: a second destination. */
  | { kind: 'pair'; items: [Operand, Operand] }
  | { kind: 'not'; of: Operand }
  /** The arguments of a call. */
  | { kind: 'list'; items: Operand[] }
  | { kind: 'none' };

export interface Instruction {
  line: number;
  text: string;
  /** `mul.wide.u32` by its parts. */
  op: string[];
  operands: Operand[];
  guard?: { register: Operand; negated: boolean };
}

export type Statement = Instruction | { label: string; line: number };

export interface Variable {
  name: string;
  space: 'shared' | 'local' | 'global' | 'const' | 'param';
  align: number;
  size: number;
  /** undefined: without an initial value. */
  bytes?: Uint8Array;
  /** extern .shared []: the dynamic shared memory. */
  dynamic: boolean;
}

export interface Kernel {
  name: string;
  line: number;
  /** With `offset` in the parameter space. */
  parameters: (Variable & { offset: number })[];
  variables: Variable[];
  statements: Statement[];
  /** Of brx.idx, by the label of their list. */
  targets: Map<string, string[]>;
}

export interface Module {
  kernels: Map<string, Kernel>;
  variables: Map<string, Variable>;
}

const WIDTHS = new Map<string, number>([
  ['pred', 1],
  ['f16x2', 4],
  ['bf16x2', 4],
  ['tf32', 4],
  ['bf16', 2],
  ...['b', 's', 'u', 'f'].flatMap((kind) =>
    [8, 16, 32, 64, 128].map((bits): [string, number] => [`${kind}${bits}`, bits / 8]),
  ),
]);
/** Bytes of a fundamental type. */
export function widthOf(type: string): number {
  const width = WIDTHS.get(type);
  if (width === undefined) throw new Error(`a type of unknown width, .${type}`);
  return width;
}

function withoutComments(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/\/\/[^\n]*/g, '');
}

const VARIABLE =
  /^(?:\.(?:visible|weak|extern|common)\s+)*\.(shared|local|global|const|param)\s+(?:\.attribute\([^)]*\)\s+)?(?:\.align\s+(\d+)\s+)?(?:\.v([24])\s+)?\.(\w+)\s+(?:\.ptr\s+(?:\.\w+\s+)*?(?:\.align\s+\d+\s+)?)?([\w$%.]+)\s*(\[\s*\d*\s*\])?\s*(?:=\s*([\s\S]*))?$/;

function parseVariable(text: string, line: number): Variable {
  const m = VARIABLE.exec(text.trim());
  if (!m) throw new PtxError(line, `a declaration that is not understood: ${text}`);
  const [, space, align, vector, type, name, brackets, value] = m;
  const each = widthOf(type!) * Number(vector ?? 1);
  const written = brackets?.replace(/[[\]\s]/g, '');
  const values = value?.replace(/[{}\s]/g, '').split(',') ?? [];
  const dynamic = written === '' && value === undefined;
  const count = brackets === undefined ? 1 : Number(written || values.length);
  const variable: Variable = {
    name: name!,
    space: space as Variable['space'],
    align: Number(align ?? each),
    size: dynamic ? 0 : each * count,
    dynamic,
  };
  if (value !== undefined) {
    const bytes = new Uint8Array(variable.size);
    const view = new DataView(bytes.buffer);
    const width = widthOf(type!);
    values.forEach((v, i) => {
      const float = /^0[fFdD]([0-9a-fA-F]+)$/.exec(v)?.[1];
      if (!float && !/^-?(0x[\da-fA-F]+|\d+)U?$/.test(v)) {
        throw new PtxError(line, `an initial value that is not a number: ${v}`);
      }
      const bits = BigInt.asUintN(64, float ? BigInt(`0x${float}`) : integer(v));
      for (let b = 0; b < width; b++) view.setUint8(i * width + b, Number((bits >> BigInt(8 * b)) & 255n));
    });
    variable.bytes = bytes;
  }
  return variable;
}

function integer(text: string): bigint {
  const digits = text.replace(/U$/, '');
  return digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits);
}

/** At commas outside brackets. */
function split(text: string, at = ','): string[] {
  if (!text.includes(at)) return text === '' ? [] : [text.trim()];
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if ('{[('.includes(c)) depth++;
    else if ('}])'.includes(c)) depth--;
    else if (c === at && depth === 0) {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  const last = text.slice(from).trim();
  return last || parts.length > 0 ? [...parts, last] : [];
}

/** Names of registers, inner blocks hiding outer ones. */
class Scope {
  private readonly names = new Map<string, string>();
  private readonly families = new Map<string, [string, number]>();
  private readonly found = new Map<string, Operand>();

  constructor(
    private readonly outer: Scope | undefined,
    private readonly suffix: string,
  ) {}

  /** What follows `.reg`: `.b32 %r<9>`, `.pred p, q`. */
  declare(text: string, line: number) {
    const m = /^\.(\w+)\s+([\s\S]+)$/.exec(text.trim());
    if (!m) throw new PtxError(line, `registers that are not understood: ${text}`);
    for (const name of split(m[2]!)) {
      const family = /^([\w$%.]+)<(\d+)>$/.exec(name);
      if (family) this.families.set(family[1]!, [m[1]!, Number(family[2])]);
      else this.names.set(name, m[1]!);
    }
  }

  find(name: string): Operand | undefined {
    const known = this.found.get(name);
    if (known) return known;
    let stem = name.length;
    while (stem > 0 && name.charCodeAt(stem - 1) >= 48 && name.charCodeAt(stem - 1) <= 57) stem--;
    const family = this.families.get(name.slice(0, stem));
    const member = family && Number(name.slice(stem)) < family[1] ? family[0] : undefined;
    const type = this.names.get(name) ?? member;
    if (!type) return this.outer?.find(name);
    const register: Operand = { kind: 'register', name: name + this.suffix, type };
    this.found.set(name, register);
    return register;
  }
}

function float32(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0]!;
}

function parseOperand(text: string, scope: Scope, line: number): Operand {
  const inner = () => split(text.slice(1, -1)).map((part) => parseOperand(part, scope, line));
  if (text === '_') return { kind: 'none' };
  if (text.startsWith('{')) return { kind: 'vector', items: inner() };
  if (text.startsWith('(')) return { kind: 'list', items: inner() };
  if (text.startsWith('!')) return { kind: 'not', of: parseOperand(text.slice(1).trim(), scope, line) };
  if (text.startsWith('[')) {
    const m = /^\[\s*([\w$%.]+?)\s*(?:\+\s*(-?(?:0x[\da-fA-F]+|\d+))\s*)?\]$/.exec(text);
    if (!m) throw new PtxError(line, `an address that is not understood: ${text}`);
    return {
      kind: 'memory',
      base: parseOperand(m[1]!, scope, line),
      offset: m[2] ? Number(integer(m[2])) : 0,
    };
  }
  const register = scope.find(text);
  if (register) return register;
  const pair = split(text, '|');
  if (pair.length === 2)
    return {
      kind: 'pair',
      items: [parseOperand(pair[0]!, scope, line), parseOperand(pair[1]!, scope, line)],
    };
  if (text === 'WARP_SZ') return { kind: 'integer', value: 32n };
  if (/^-?(0x[\da-fA-F]+|\d+)U?$/.test(text)) return { kind: 'integer', value: integer(text) };
  const single = /^0[fF]([\da-fA-F]{8})$/.exec(text);
  if (single) return { kind: 'float', value: float32(Number.parseInt(single[1]!, 16)) };
  const double = /^0[dD]([\da-fA-F]{16})$/.exec(text);
  if (double) {
    const value = new Float64Array(BigUint64Array.of(BigInt(`0x${double[1]}`)).buffer)[0]!;
    return { kind: 'float', value };
  }
  if (/^%[a-z]\w*(\.[xyz])?$/.test(text)) return { kind: 'special', name: text.slice(1) };
  const symbol = /^([a-zA-Z_$][\w$.]*)(?:\s*\+\s*(-?\d+))?$/.exec(text);
  if (symbol) return { kind: 'symbol', name: symbol[1]!, offset: Number(symbol[2] ?? 0) };
  throw new PtxError(line, `an operand that is not understood: ${text}`);
}

function parseInstruction(text: string, scope: Scope, line: number): Instruction {
  const m = /^(?:@(!?)\s*([\w$%.]+)\s+)?([a-z][\w.:]*)\s*([\s\S]*)$/.exec(text);
  if (!m) throw new PtxError(line, `a statement that is not understood: ${text}`);
  const [, not, guard, op, rest] = m;
  const instruction: Instruction = {
    line,
    text,
    op: op!.replaceAll('::', '_').split('.'),
    operands: split(rest!).map((part) => parseOperand(part, scope, line)),
  };
  if (guard) {
    const register = scope.find(guard);
    if (!register) throw new PtxError(line, `an unknown guard ${guard}`);
    instruction.guard = { register, negated: not === '!' };
  }
  return instruction;
}

const LABEL = /([\w$%]+)\s*:(?!:)/y;

function parseBody(body: string, firstLine: number, kernel: Kernel) {
  let scope = new Scope(undefined, '');
  const outer: Scope[] = [];
  let line = firstLine;
  let scopes = 0;
  for (let i = 0; i < body.length; ) {
    const c = body[i]!;
    if (c === '\n') line++;
    if (/\s|;/.test(c)) {
      i++;
    } else if (c === '{') {
      outer.push(scope);
      scope = new Scope(scope, `@${++scopes}`);
      i++;
    } else if (c === '}') {
      scope = outer.pop()!;
      i++;
    } else {
      LABEL.lastIndex = i;
      const label = LABEL.exec(body);
      const end = label ? i + label[0].length : body.indexOf(';', i);
      if (end < 0) throw new PtxError(line, 'a statement without its end');
      const text = body.slice(i, end).trim();
      if (!label) parseStatement(text.replace(/\s+/g, ' '), scope, line, kernel);
      else if (/^\s*\.branchtargets\b/.test(body.slice(end, end + 100))) {
        const listEnd = body.indexOf(';', end);
        const list = body.slice(end, listEnd).trim().slice('.branchtargets'.length);
        kernel.targets.set(label[1]!, split(list));
        line += body.slice(end, listEnd).split('\n').length - 1;
        i = listEnd;
        continue;
      } else kernel.statements.push({ label: label[1]!, line });
      line += text.split('\n').length - 1;
      i = end;
      if (label) continue;
    }
  }
}

function parseStatement(text: string, scope: Scope, line: number, kernel: Kernel) {
  if (/^\.(loc|file|pragma|section|callprototype)\b/.test(text)) return;
  if (text.startsWith('.reg')) scope.declare(text.slice(4), line);
  else if (text.startsWith('.')) kernel.variables.push(parseVariable(text, line));
  else kernel.statements.push(parseInstruction(text, scope, line));
}

/** @throws PtxError  naming the line that is not understood */
export function parseModule(source: string): Module {
  const text = withoutComments(source);
  let [counted, lines] = [0, 1];
  /** Offsets grow from call to call. */
  const lineAt = (offset: number) => {
    for (; counted < offset; counted++) if (text.charCodeAt(counted) === 10) lines++;
    return lines;
  };
  const module: Module = { kernels: new Map(), variables: new Map() };
  const item =
    /(?:^|\n)[ \t]*((?:\.(?:visible|weak|extern|common)\s+)*)\.(entry|func|shared|global|const)\b/g;
  for (let m = item.exec(text); m; m = item.exec(text)) {
    const start = m.index + (m[0].startsWith('\n') ? 1 : 0);
    const line = lineAt(start);
    if (m[2] === 'entry' || m[2] === 'func') {
      const open = text.indexOf('{', start);
      const semicolon = text.indexOf(';', start);
      if (m[2] === 'func' && semicolon >= 0 && (semicolon < open || open < 0)) {
        item.lastIndex = semicolon;
        continue; // a declaration
      }
      let depth = 1;
      let end = open + 1;
      for (; depth > 0; end++) depth += text[end] === '{' ? 1 : text[end] === '}' ? -1 : 0;
      item.lastIndex = end;
      if (m[2] === 'func') continue; // a call of it is refused where it is translated
      const head = /\.entry\s+([\w$]+)\s*(?:\(([\s\S]*?)\)\s*)?(?:\.|$)/.exec(
        `${text.slice(start, open).trim()}`,
      );
      if (!head) throw new PtxError(line, 'a kernel whose head is not understood');
      const kernel: Kernel = {
        name: head[1]!,
        line,
        parameters: [],
        variables: [],
        statements: [],
        targets: new Map(),
      };
      let offset = 0;
      for (const parameter of split(head[2] ?? '')) {
        const variable = parseVariable(parameter, line);
        offset = Math.ceil(offset / variable.align) * variable.align;
        kernel.parameters.push({ ...variable, offset });
        offset += variable.size;
      }
      parseBody(text.slice(open + 1, end - 1), lineAt(open + 1), kernel);
      module.kernels.set(kernel.name, kernel);
    } else {
      const end = text.indexOf(';', start);
      const variable = parseVariable(text.slice(start, end), line);
      module.variables.set(variable.name, variable);
      item.lastIndex = end;
    }
  }
  return module;
}
