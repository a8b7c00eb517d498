/** What is particular to the frames kernels: tiles, stretches of columns, batches of many kinds; against the CPU twin. */
import test, { type ExecutionContext } from 'ava';
import {
  type ChromaSiting,
  type FrameFilter,
  type FrameInput,
  type FrameTransform,
  frames,
  resize,
} from '../../lib/ops/index.js';
import { random, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';

type Layout = 'rgb24' | 'rgba' | 'gray' | 'nv12' | 'i420';
const LAYOUTS: Layout[] = ['rgb24', 'rgba', 'gray', 'nv12', 'i420'];
const SITINGS: ChromaSiting[] = ['nearest', 'bilinear-left', 'bilinear-center'];
const FILTERS: FrameFilter[] = ['bilinear', 'bicubic', 'lanczos', 'box', 'bilinear-noaa'];
const NORM = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] } as const;

/** Random levels, with stretches of black and white, where filters overshoot. */
function picture(
  seed: number,
  layout: Layout,
  width: number,
  height: number,
  chroma: ChromaSiting,
): FrameInput {
  const next = random(seed);
  const half = Math.ceil(width / 2) * Math.ceil(height / 2);
  const channels = { rgb24: 3, rgba: 4, gray: 1, nv12: 1, i420: 1 }[layout];
  const yuv = layout === 'nv12' || layout === 'i420';
  const data = new Uint8Array(width * height * channels + (yuv ? 2 * half : 0));
  let level = 0;
  for (let i = 0; i < data.length; i++) {
    if (next() < 0.5) level = Math.min(255, Math.max(0, Math.floor(next() * 400 - 70)));
    data[i] = level;
  }
  if (layout === 'rgba') return { data, width, height, format: layout, background: [9, 99, 199] };
  if (!yuv) return { data, width, height, format: layout } as FrameInput;
  const matrix = seed % 2 ? 'bt601' : 'bt709';
  return { data, width, height, format: layout, matrix, range: seed % 3 ? 'limited' : 'full', chroma };
}

const CPU = { backend: 'cpu', threads: 1 } as const;
const worst = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

for (const { label, exec } of ways().filter(({ exec }) => exec.backend !== 'cpu')) {
  const agree = async (
    t: ExecutionContext,
    images: FrameInput[],
    transform: Omit<FrameTransform, 'mean' | 'std'>,
    what: string,
  ) => {
    const full = { ...NORM, ...transform };
    const exact = { ...full, rounding: 'uint8' } as const;
    t.deepEqual(await frames(images, exact, exec), await frames(images, exact, CPU), `${what}: uint8`);
    const float = { ...full, rounding: 'float' } as const;
    const off = worst(await frames(images, float, exec), await frames(images, float, CPU));
    t.true(off < 1e-5, `${what}: float off by ${off}`);
    if (images.length > 1) return;
    t.deepEqual(await resize(images[0]!, transform, exec), await resize(images[0]!, transform, CPU), what);
  };

  test(`sizes about the tiles ${label}`, async (t) => {
    const sizes: [number, number][] = [
      [1, 1],
      [15, 63],
      [16, 64],
      [17, 65],
      [33, 129],
      [130, 31],
    ];
    for (const [i, [h, w]] of sizes.entries()) {
      const image = picture(i, LAYOUTS[i % 5]!, 41 + 9 * i, 67 - 3 * i, 'nearest');
      await agree(t, [image], { resize: [h, w], filter: FILTERS[i % 4]! }, `${h} x ${w}`);
      await agree(t, [image], { crop: [h, w] }, `crop ${h} x ${w}`);
    }
  });

  test(`every layout, siting and parity ${label}`, async (t) => {
    let seed = 100;
    for (const layout of LAYOUTS) {
      const sitings = layout === 'nv12' || layout === 'i420' ? SITINGS : SITINGS.slice(0, 1);
      for (const chroma of sitings) {
        for (const [width, height] of [
          [1, 1],
          [2, 3],
          [37, 20],
          [40, 21],
          [49, 34],
        ] as const) {
          const image = picture(++seed, layout, width, height, chroma);
          const what = `${layout} ${chroma} ${width} x ${height}`;
          await agree(t, [image], {}, what);
          await agree(t, [image], { resize: [18, 11], crop: [9, 14], filter: FILTERS[seed % 5]! }, what);
        }
      }
    }
  });

  test(`crops from large pictures, at every offset ${label}`, async (t) => {
    for (let shift = 0; shift < 6; shift++) {
      const layout = LAYOUTS[shift % 5]!;
      const image = picture(shift, layout, 170 + shift, 131 - shift, SITINGS[shift % 3]!);
      await agree(t, [image], { crop: [7, 21 + shift] }, `${layout} ${shift}`);
      await agree(
        t,
        [image],
        { resize: 90 + shift, crop: 12, filter: 'bicubic' },
        `${layout} resized ${shift}`,
      );
    }
  });

  test(`ratios beyond what a block holds ${label}`, async (t) => {
    const shapes: [number, number, [number, number], FrameFilter][] = [
      [4100, 3, [2, 2], 'bilinear'], // several stretches of columns
      [2600, 18, [17, 3], 'lanczos'],
      [1500, 4, [4, 40], 'box'],
      [3, 2500, [3, 2], 'bicubic'], // bands of rows that do not follow each other
      [5, 900, [40, 5], 'lanczos'],
      [6, 700, [20, 6], 'bilinear-noaa'], // rows that nobody needs
      [700, 6, [6, 20], 'bilinear-noaa'],
      [3, 2, [150, 140], 'bicubic'],
    ];
    for (const [i, [width, height, size, filter]] of shapes.entries()) {
      const image = picture(i, LAYOUTS[(i + 3) % 5]!, width, height, SITINGS[i % 3]!);
      await agree(t, [image], { resize: size, filter }, `${width} x ${height} to ${size} ${filter}`);
    }
  });

  test(`one batch of many sizes and layouts keeps its order ${label}`, async (t) => {
    const next = random(8);
    const images = Array.from({ length: 17 }, (_, i) =>
      picture(
        i,
        LAYOUTS[Math.floor(next() * 5)]!,
        1 + Math.floor(next() * (i % 4 ? 60 : 500)),
        1 + Math.floor(next() * 60),
        SITINGS[i % 3]!,
      ),
    );
    for (const filter of ['bilinear', 'bicubic'] as const)
      await agree(t, images, { resize: [19, 30], crop: [24, 26], filter }, filter);
    const half = { ...NORM, resize: [19, 30], rounding: 'uint8' } as const;
    t.deepEqual(
      await frames(images, half, { ...exec, dtype: 'float16' }),
      await frames(images, half, { ...CPU, dtype: 'float16' }),
    );
  });

  test(`errors are the CPU's, and a signal cancels ${label}`, async (t) => {
    const image = picture(1, 'nv12', 8, 6, 'nearest');
    const bad: [FrameInput[], object, { code: string; field: string }][] = [
      [[{ ...image, data: image.data.subarray(1) }], {}, { code: 'ERR_SHAPE', field: 'images[0].data' }],
      [
        [image, picture(1, 'gray', 5, 5, 'nearest')],
        { resize: 4 },
        { code: 'ERR_SHAPE', field: 'images[1]' },
      ],
      [[image], { std: [1, 0, 1] }, { code: 'ERR_INPUT_VALUE', field: 'std' }],
      [[], {}, { code: 'ERR_INPUT_EMPTY', field: 'images' }],
    ];
    for (const options of [exec, CPU])
      for (const [images, transform, expected] of bad)
        await throwsTyped(t, () => frames(images, { ...NORM, ...transform }, options), expected as never);
    await t.throwsAsync(frames([image], NORM, { ...exec, signal: AbortSignal.abort() }), {
      code: 'ERR_CANCELLED',
    });
  });
}
