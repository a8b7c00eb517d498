/**
 * Slow, plain twin of the frames operator, from the published definitions: float64 for the float path, exact integers
 * (in float64, all below 2^53) for Pillow's. Shares nothing with lib/ or native/.
 */
export interface Picture {
  /** (height, width, 3): levels 0..255, whole or not. */
  rgb: Float64Array;
  width: number;
  height: number;
}

export type OracleFilter = 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'bilinear-noaa';

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const KERNELS: Record<Exclude<OracleFilter, 'bilinear-noaa'>, [number, (x: number) => number]> = {
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [
    2,
    (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  ],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
};

/** For each output sample the first input sample and the weights from there on. */
function taps(n: number, m: number, filter: OracleFilter): { first: number; weights: number[] }[] {
  return Array.from({ length: m }, (_, i) => {
    if (n === m) return { first: i, weights: [1] };
    if (filter === 'bilinear-noaa') {
      const at = Math.max(0, ((i + 0.5) * n) / m - 0.5);
      const first = Math.min(Math.trunc(at), n - 1);
      return first + 1 < n ? { first, weights: [1 - (at - first), at - first] } : { first, weights: [1] };
    }
    const [reach, kernel] = KERNELS[filter];
    const scale = n / m;
    const widen = Math.max(1, scale);
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach * widen + 0.5));
    const end = Math.min(n, Math.trunc(center + reach * widen + 0.5));
    const weights = Array.from({ length: end - first }, (_, t) =>
      kernel((t + first - center + 0.5) * (1 / widen)),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: sum === 0 ? weights : weights.map((w) => w / sum) };
  });
}

/** One pass along x; `pillow` rounds the weights to 22 bits and the result to a level. */
function pass({ rgb, width, height }: Picture, m: number, filter: OracleFilter, pillow: boolean): Picture {
  if (m === width) return { rgb, width, height };
  const out = new Float64Array(m * height * 3);
  const rows = taps(width, m, filter).map(({ first, weights }) => ({
    first,
    weights: pillow ? weights.map((w) => Math.trunc(w * 2 ** 22 + (w < 0 ? -0.5 : 0.5))) : weights,
  }));
  for (let y = 0; y < height; y++) {
    rows.forEach(({ first, weights }, x) => {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        weights.forEach((w, t) => {
          sum += w * rgb[(y * width + first + t) * 3 + c]!;
        });
        out[(y * m + x) * 3 + c] = pillow
          ? Math.min(255, Math.max(0, Math.floor((sum + 2 ** 21) / 2 ** 22)))
          : sum;
      }
    });
  }
  return { rgb: out, width: m, height };
}

function transpose({ rgb, width, height }: Picture): Picture {
  const out = new Float64Array(rgb.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) out[(x * height + y) * 3 + c] = rgb[(y * width + x) * 3 + c]!;
  return { rgb: out, width: height, height: width };
}

export function resizeOracle(
  picture: Picture,
  width: number,
  height: number,
  filter: OracleFilter,
  pillow: boolean,
): Picture {
  const across = pass(picture, width, filter, pillow);
  return transpose(pass(transpose(across), height, filter, pillow));
}

/** torchvision's Resize: n is the short side. */
export function resizedSize(
  { width, height }: { width: number; height: number },
  resize: number | readonly [number, number] | undefined,
): [width: number, height: number] {
  if (resize === undefined) return [width, height];
  if (typeof resize !== 'number') return [resize[1], resize[0]];
  const long = Math.trunc((resize * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? [resize, long] : [long, resize];
}

/** torchvision's CenterCrop: pads with 0 where the crop is larger, rounds the offset's halves to even. */
export function cropOracle(picture: Picture, [h, w]: readonly [number, number]): Picture {
  const offset = (size: number, crop: number) => {
    if (crop > size) return -Math.floor((crop - size) / 2);
    const half = (size - crop) / 2;
    const low = Math.floor(half);
    return half - low === 0.5 ? low + (low % 2) : half;
  };
  const top = offset(picture.height, h);
  const left = offset(picture.width, w);
  const out = new Float64Array(h * w * 3);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const sy = y + top;
      const sx = x + left;
      if (sy < 0 || sx < 0 || sy >= picture.height || sx >= picture.width) continue;
      for (let c = 0; c < 3; c++) out[(y * w + x) * 3 + c] = picture.rgb[(sy * picture.width + sx) * 3 + c]!;
    }
  }
  return { rgb: out, width: w, height: h };
}

/** YUV 4:2:0 planes without padding to RGB on 0..255, clamped, not rounded. */
export function yuvOracle(
  planes: { y: Uint8Array; u: Uint8Array; v: Uint8Array; width: number; height: number },
  matrix: 'bt601' | 'bt709',
  range: 'limited' | 'full',
  siting: 'nearest' | 'bilinear-left' | 'bilinear-center',
): Picture {
  const { y: luma, u, v, width, height } = planes;
  const cw = Math.ceil(width / 2);
  const ch = Math.ceil(height / 2);
  const [kr, kb] = matrix === 'bt601' ? [0.299, 0.114] : [0.2126, 0.0722];
  const kg = 1 - kr - kb;
  const sample = (plane: Uint8Array, x: number, y: number): number => {
    if (siting === 'nearest') return plane[(y >> 1) * cw + (x >> 1)]!;
    const clamp = (p: number, n: number) => Math.min(n - 1, Math.max(0, p));
    const py = clamp((y + 0.5) / 2 - 0.5, ch);
    const px = clamp(siting === 'bilinear-left' ? x / 2 : (x + 0.5) / 2 - 0.5, cw);
    const [y0, x0] = [Math.floor(py), Math.floor(px)];
    const [y1, x1] = [Math.min(y0 + 1, ch - 1), Math.min(x0 + 1, cw - 1)];
    const row = (r: number) => plane[r * cw + x0]! * (1 - px + x0) + plane[r * cw + x1]! * (px - x0);
    return row(y0) * (1 - py + y0) + row(y1) * (py - y0);
  };
  const rgb = new Float64Array(width * height * 3);
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const l = luma[i * width + j]!;
      const limited = range === 'limited';
      const bright = limited ? (l - 16) / 219 : l / 255;
      const cb = (sample(u, j, i) - 128) / (limited ? 224 : 255);
      const cr = (sample(v, j, i) - 128) / (limited ? 224 : 255);
      const levels = [
        bright + 2 * (1 - kr) * cr,
        bright - ((2 * kr * (1 - kr)) / kg) * cr - ((2 * kb * (1 - kb)) / kg) * cb,
        bright + 2 * (1 - kb) * cb,
      ];
      levels.forEach((level, c) => {
        rgb[(i * width + j) * 3 + c] = 255 * Math.min(1, Math.max(0, level));
      });
    }
  }
  return { rgb, width, height };
}

/** The value of IEEE half-precision bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
