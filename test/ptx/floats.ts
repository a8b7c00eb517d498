/** Float arithmetic that neither JavaScript nor WebAssembly has: other roundings, other widths. */

const f64 = new Float64Array(1);
const u64 = new BigUint64Array(f64.buffer);
const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The error of a + b as a double sum, exactly. */
function sumError(a: number, b: number, sum: number): number {
  const bb = sum - a;
  return a - (sum - bb) + (b - bb);
}

/** The double beside x, up or down. */
function beside(x: number, up: boolean): number {
  if (x === 0) return up ? Number.MIN_VALUE : -Number.MIN_VALUE;
  f64[0] = x;
  u64[0] = u64[0]! + (x > 0 === up ? 1n : -1n);
  return f64[0];
}

/** x + error, |error| at most half a unit of x, rounded to odd: rounding that again to fewer bits is exact. */
function toOdd(x: number, error: number): number {
  if (error === 0 || !Number.isFinite(x)) return x;
  f64[0] = x;
  return u64[0]! & 1n ? x : beside(x, error > 0);
}

function float32Beside(x: number, up: boolean): number {
  if (x === 0) {
    u32[0] = up ? 1 : 0x80000001;
  } else {
    f32[0] = x;
    u32[0] = u32[0]! + (x > 0 === up ? 1 : -1);
  }
  return f32[0]!;
}

/** x + error as a float: mode -1 down, 1 up, 0 towards zero. */
function directed(x: number, error: number, mode: number): number {
  const y = Math.fround(x);
  if (!Number.isFinite(x)) return y;
  const up = mode === 1 || (mode === 0 && (x < 0 || (x === 0 && error < 0)));
  if (!Number.isFinite(y)) return up === y > 0 ? y : float32Beside(y, up);
  const below = y < x || (y === x && error > 0);
  const above = y > x || (y === x && error < 0);
  if (up && below) return float32Beside(y, true);
  if (!up && above) return float32Beside(y, false);
  return y;
}

/** a b + c of floats, rounded once. */
export function fmaExact(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  return Math.fround(toOdd(sum, sumError(product, c, sum)));
}
export function fmaDirected(a: number, b: number, c: number, mode: number): number {
  const product = a * b;
  const sum = product + c;
  return directed(sum, Number.isFinite(sum) ? sumError(product, c, sum) : 0, mode);
}
export function addDirected(a: number, b: number, mode: number): number {
  const sum = a + b;
  return directed(sum, Number.isFinite(sum) ? sumError(a, b, sum) : 0, mode);
}
export const narrowDirected = (x: number, mode: number) => directed(x, 0, mode);

/** The error of a b as a double product, where nothing under- or overflows. */
function productError(a: number, b: number, product: number): number {
  const split = (x: number): [number, number] => {
    const c = 134217729 * x;
    const high = c - (c - x);
    return [high, x - high];
  };
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  return al * bl - (product - ah * bh - al * bh - ah * bl);
}

/** a b + c of doubles, rounded once (Boldo and Melquiond), away from the ends of their range. */
export function fma64(a: number, b: number, c: number): number {
  const product = a * b;
  const plain = product + c;
  if (!Number.isFinite(plain) || product === 0 || c === 0) return plain;
  const low = productError(a, b, product);
  const u = c + low;
  const v = sumError(c, low, u);
  const t = product + u;
  const w = sumError(product, u, t);
  const rest = w + v;
  return t + toOdd(rest, sumError(w, v, rest));
}

/** IEEE half-precision bits: to nearest even, or towards zero. */
export function toHalf(x: number, towardsZero: number): number {
  if (Number.isNaN(x)) return 0x7fff;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  // In units of the last place, exact in double.
  const units = size * 2 ** (10 - exponent);
  const whole = Math.floor(units);
  const rest = units - whole;
  const up = !towardsZero && (rest > 0.5 || (rest === 0.5 && whole % 2 === 1));
  const bits = (exponent + 14) * 1024 + whole + (up ? 1 : 0);
  if (bits >= 0x7c00) return sign | (towardsZero ? 0x7bff : 0x7c00);
  return sign | bits;
}
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

export function toBfloat(x: number, towardsZero: number): number {
  if (Number.isNaN(x)) return 0x7fff;
  f32[0] = x;
  const bits = u32[0]!;
  return (towardsZero ? bits : bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** 19 bits in a word, to nearest, ties away. */
export function toTf32(x: number): number {
  f32[0] = x;
  const bits = u32[0]!;
  return (bits & 0x7f800000) === 0x7f800000 ? bits : (bits + 0x1000) & 0xffffe000;
}
