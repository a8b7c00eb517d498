/** Kernels written by hand, for the tests of the interpreter itself. */
import type { ExecutionContext } from 'ava';
import { parseModule } from './parse.js';
import { type Launch, run, type Triple } from './run.js';
import { packParameters } from './trace.js';
import { translate } from './translate.js';

const REGISTERS = `.reg .pred %p<9>; .reg .b16 %h<9>; .reg .f32 %f<40>; .reg .f64 %d<9>; .reg .b32 %r<40>; .reg .b64 %l<20>;`;

export function program(body: string, parameters = 2, head = '') {
  const list = Array.from({ length: parameters }, (_, n) => `.param .u64 p${n}`).join(', ');
  const text = `.version 9.0\n.target sm_80\n.address_size 64\n${head}\n.visible .entry k(${list})\n{\n${REGISTERS}\n${body}\nret;\n}\n`;
  const module = parseModule(text);
  return translate(module, module.kernels.get('k')!);
}

export interface Shape {
  grid?: Triple;
  block?: Triple;
  dynamicShared?: number;
}

/** Runs a kernel of pointers on copies of arrays, which it changes. */
export function launch(
  body: string,
  arrays: (Uint8Array | Uint32Array)[],
  shape: Shape = {},
  head = '',
): Uint8Array[] {
  const memory = arrays.map((array, n) => ({
    address: 0x7f0000000000 + n * 0x100000,
    bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice(),
  }));
  const parameters = packParameters(
    memory.map((b) => ({ align: 8, bytes: new Uint8Array(BigUint64Array.of(BigInt(b.address)).buffer) })),
  );
  const what: Launch = { grid: [1, 1, 1], block: [1, 1, 1], dynamicShared: 0, ...shape, parameters, memory };
  run(program(body, arrays.length, head), what);
  return memory.map((b) => b.bytes);
}

export const words = (bytes: Uint8Array) => new Uint32Array(bytes.buffer);
export const longs = (bytes: Uint8Array) => new BigUint64Array(bytes.buffer);
export const bitsOf = (...floats: number[]) => new Uint32Array(Float32Array.from(floats).buffer);
export const floatsOf = (bytes: Uint8Array) => new Float32Array(bytes.buffer);
export const TID = `ld.param.u64 %l0, [p0]; ld.param.u64 %l1, [p1]; mov.u32 %r0, %tid.x; mul.wide.u32 %l2, %r0, 4; mul.wide.u32 %l3, %r0, 8; mul.wide.u32 %l4, %r0, 16;
  add.s64 %l5, %l0, %l2; add.s64 %l6, %l1, %l2; add.s64 %l7, %l0, %l3; add.s64 %l8, %l1, %l3; add.s64 %l9, %l0, %l4; add.s64 %l10, %l1, %l4;`;

/** One thread each computes %r4 of %r1, %r2 and %r3. */
export function compute(instruction: string, inputs: readonly (readonly number[])[]): Uint32Array {
  const flat = Uint32Array.from(inputs.flatMap((i) => [i[0] ?? 0, i[1] ?? 0, i[2] ?? 0, 0]));
  const body = `${TID} ld.global.v4.u32 {%r1, %r2, %r3, %r5}, [%l9]; ${instruction} st.global.u32 [%l6], %r4;`;
  const [, out] = launch(body, [flat, new Uint32Array(inputs.length)], { block: [inputs.length, 1, 1] });
  return words(out!);
}

const EDGES = [
  0, 1, 2, 3, 5, 31, 32, 33, 0x7f, 0x80, 0xffff, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff,
];
export const PAIRS = EDGES.flatMap((a) => EDGES.map((b) => [a, b, (a ^ (b >>> 3)) >>> 0] as const));

export function checkWords(
  t: ExecutionContext,
  instruction: string,
  expected: (a: bigint, b: bigint, c: bigint) => bigint,
  inputs = PAIRS,
) {
  const got = compute(instruction, inputs);
  const signed = /\.s\d+ %r4/.test(instruction);
  const big = (x: number) => (signed ? BigInt(x | 0) : BigInt(x));
  inputs.forEach(([a, b, c], n) => {
    const want = Number(BigInt.asUintN(32, expected(big(a), big(b), big(c))));
    if (got[n] !== want) t.is(got[n], want, `${instruction} of ${[a, b, c]}`);
  });
  t.pass();
}
