/** What translated kernels call: arithmetic that WebAssembly lacks. Accesses and copies are run.ts's. */
import * as floats from './floats.js';

/** prmt: four bytes of {b, a} by the nibbles of `selector`; mode 0, or one of PTX's six fixed patterns. */
export function permute(a: number, b: number, selector: number, mode: number): number {
  const byte = (n: number) => ((n < 4 ? a >>> (8 * n) : b >>> (8 * (n - 4))) & 0xff) >>> 0;
  const s = selector & 3;
  let result = 0;
  for (let n = 0; n < 4; n++) {
    let value: number;
    if (mode === 0) {
      const nibble = (selector >>> (4 * n)) & 15;
      value = byte(nibble & 7);
      if (nibble & 8) value = value & 0x80 ? 0xff : 0;
    } else if (mode === 1) value = byte(s + n);
    else if (mode === 2) value = byte((8 + s - n) & 7);
    else if (mode === 3) value = byte(s);
    else if (mode === 4) value = byte(Math.max(s, n));
    else if (mode === 5) value = byte(Math.min(s, n));
    else value = byte(2 * (s & 1) + (n & 1));
    result |= value << (8 * n);
  }
  return result;
}

function reverse(x: number): number {
  let result = 0;
  for (let n = 0; n < 32; n++) if ((x >>> n) & 1) result |= 1 << (31 - n);
  return result;
}

export const ARITHMETIC_OF_HOST = {
  ...floats,
  exp2: (x: number) => 2 ** x,
  log2: Math.log2,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  permute,
  reverse,
};
