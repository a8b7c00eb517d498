import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { RgbImage } from '../../lib/media/types.js';
import { throwsTyped } from '../errors.js';
import { jpegWithSize, pngWithSize } from './bombs.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-image-'));
const decoder = new MediaDecoder();
const child = new MediaDecoder({ isolation: 'process', workers: 1 });
test.after.always(async () => {
  await Promise.all([decoder.dispose(), child.dispose()]);
  rmSync(folder, { recursive: true, force: true });
});

const o = { field: 'poster' };

/** 24 x 16; red, green / blue, white quadrants. */
const CORNERS = [
  [230, 20, 20],
  [20, 200, 20],
  [20, 20, 220],
  [240, 240, 240],
] as const;

function quadrants(width = 24, height = 16): Buffer {
  const data = Buffer.alloc(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const corner = CORNERS[(y < height / 2 ? 0 : 2) + (x < width / 2 ? 0 : 1)]!;
      data.set(corner, 3 * (y * width + x));
    }
  }
  return data;
}

const raw = { raw: { width: 24, height: 16, channels: 3 as const } };
const picture = () => sharp(quadrants(), raw);

function pixel({ data, width }: RgbImage, x: number, y: number): number[] {
  return [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
}

function near(actual: readonly number[], expected: readonly number[], tolerance: number): boolean {
  return actual.every((value, i) => Math.abs(value - expected[i]!) <= tolerance);
}

/** The middle of the four quadrants: top left, top right, bottom left, bottom right. */
function corners(image: RgbImage): number[][] {
  const { width, height } = image;
  const [left, right] = [Math.floor(width / 4), Math.floor((3 * width) / 4)];
  const [top, bottom] = [Math.floor(height / 4), Math.floor((3 * height) / 4)];
  return [
    pixel(image, left, top),
    pixel(image, right, top),
    pixel(image, left, bottom),
    pixel(image, right, bottom),
  ];
}

const formats: [string, () => Promise<Buffer>, number][] = [
  ['png', () => picture().png().toBuffer(), 0],
  ['png palette', () => picture().png({ palette: true }).toBuffer(), 2],
  ['png interlaced', () => picture().png({ progressive: true }).toBuffer(), 0],
  ['tiff', () => picture().tiff({ compression: 'lzw' }).toBuffer(), 0],
  ['webp lossless', () => picture().webp({ lossless: true }).toBuffer(), 0],
  ['gif', () => picture().gif().toBuffer(), 8],
  ['avif', () => picture().avif({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(), 4],
  ['jpeg', () => picture().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(), 4],
  ['jpeg progressive', () => picture().jpeg({ quality: 100, progressive: true }).toBuffer(), 20],
];

for (const [name, make, tolerance] of formats) {
  for (const [where, use] of [
    ['thread', decoder],
    ['process', child],
  ] as const) {
    test(`${name} comes out with its colours in a ${where}, from bytes and from a path`, async (t) => {
      const bytes = await make();
      const path = join(folder, `${where} ${name} with a wrong extension.txt`);
      writeFileSync(path, bytes);
      for (const input of [bytes, { path }]) {
        const image = await use.image(input, o);
        t.deepEqual([image.width, image.height, image.data.length], [24, 16, 24 * 16 * 3]);
        for (const [i, corner] of corners(image).entries()) {
          t.true(near(corner, CORNERS[i]!, tolerance), `corner ${i}: ${corner}`);
        }
      }
    });
  }
}

// EXIF orientation 1..8: which stored corner lies at the shown top left, top right, bottom left, bottom right.
const ORIENTATIONS = [
  [0, 1, 2, 3],
  [1, 0, 3, 2],
  [3, 2, 1, 0],
  [2, 3, 0, 1],
  [0, 2, 1, 3],
  [2, 0, 3, 1],
  [3, 1, 2, 0],
  [1, 3, 0, 2],
];

for (const [i, order] of ORIENTATIONS.entries()) {
  test(`EXIF orientation ${i + 1} comes out upright`, async (t) => {
    const bytes = await picture()
      .withMetadata({ orientation: i + 1 })
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer();
    const image = await decoder.image(bytes, o);
    t.deepEqual([image.width, image.height], i < 4 ? [24, 16] : [16, 24]);
    const shown = corners(image);
    for (const [place, stored] of order.entries())
      t.true(near(shown[place]!, CORNERS[stored]!, 5), `${place}: ${shown}`);
    t.deepEqual((await decoder.probe(bytes, o)).image, { width: image.width, height: image.height });
  });
}

test('gray, gray with alpha and 16-bit gray become three equal channels', async (t) => {
  const gray = sharp({ create: { width: 5, height: 3, channels: 3, background: '#808080' } }).toColourspace(
    'b-w',
  );
  const gray16 = sharp({ create: { width: 5, height: 3, channels: 3, background: '#808080' } }).toColourspace(
    'grey16',
  );
  for (const bytes of [
    await gray.clone().png().toBuffer(),
    await gray.clone().jpeg({ quality: 100 }).toBuffer(),
    await gray.clone().ensureAlpha(1).png().toBuffer(),
    await gray16.png().toBuffer(),
  ]) {
    const image = await decoder.image(bytes, o);
    t.is(image.data.length, 45);
    t.true(
      image.data.every((value) => Math.abs(value - 128) <= 1),
      [...image.data.subarray(0, 6)].join(),
    );
  }
});

test('alpha is laid over white', async (t) => {
  const half = await sharp({
    create: { width: 4, height: 4, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0.5 } },
  })
    .png()
    .toBuffer();
  const clear = await sharp({
    create: { width: 4, height: 4, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
  })
    .webp({ lossless: true })
    .toBuffer();
  t.true(near(pixel(await decoder.image(half, o), 1, 1), [127, 127, 127], 1));
  t.deepEqual(pixel(await decoder.image(clear, o), 1, 1), [255, 255, 255]);
});

test('16-bit samples keep their values', async (t) => {
  const values = Uint16Array.from([65535, 32896, 0, 0, 65535, 25700]);
  const bytes = await sharp(values, { raw: { width: 2, height: 1, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toBuffer();
  t.is((await sharp(bytes).metadata()).depth, 'ushort');
  const image = await decoder.image(bytes, o);
  t.true(near([...image.data], [255, 128, 0, 0, 255, 100], 1), [...image.data].join());
});

test('CMYK becomes RGB', async (t) => {
  const bytes = await picture().toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
  t.is((await sharp(bytes).metadata()).space, 'cmyk');
  const image = await decoder.image(bytes, o);
  t.is(image.data.length, 24 * 16 * 3);
  const [red, green, blue, white] = corners(image) as [number[], number[], number[], number[]];
  t.true(red[0]! > red[1]! + 100 && red[0]! > red[2]! + 100, String(red));
  t.true(green[1]! > green[0]! + 50 && green[1]! > green[2]! + 50, String(green));
  t.true(blue[2]! > blue[0]! + 50 && blue[2]! > blue[1]! + 50, String(blue));
  t.true(
    white.every((value) => value > 225),
    String(white),
  );
});

test('an embedded Display P3 profile is converted to sRGB', async (t) => {
  const flat = sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 200, g: 100, b: 50 } } });
  const bytes = await flat.withIccProfile('p3').png().toBuffer();
  t.true((await sharp(bytes).metadata()).hasProfile);
  const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
  t.false(near([...stored.subarray(0, 3)], [200, 100, 50], 3), 'the stored numbers are P3 ones');
  t.true(near(pixel(await decoder.image(bytes, o), 3, 3), [200, 100, 50], 2));
});

test('an animation gives its first picture', async (t) => {
  const frames = Buffer.concat([
    Buffer.alloc(3 * 64, 250),
    Buffer.alloc(3 * 64, 10),
    Buffer.alloc(3 * 64, 120),
  ]);
  const animated = sharp(frames, { raw: { width: 8, height: 24, channels: 3, pageHeight: 8 } });
  for (const bytes of [
    await animated
      .clone()
      .gif({ delay: [50, 50, 50] })
      .toBuffer(),
    await animated
      .clone()
      .webp({ lossless: true, delay: [50, 50, 50] })
      .toBuffer(),
  ]) {
    t.is((await sharp(bytes).metadata()).pages, 3);
    const image = await decoder.image(bytes, o);
    t.deepEqual([image.width, image.height], [8, 8]);
    t.true(image.data.every((value) => Math.abs(value - 250) <= 1));
  }
});

test('a 1 x 1 image and one of a single line', async (t) => {
  for (const [width, height] of [
    [1, 1],
    [1, 301],
    [997, 1],
  ] as const) {
    const bytes = await sharp({ create: { width, height, channels: 3, background: '#0a141e' } })
      .png()
      .toBuffer();
    const image = await decoder.image(bytes, o);
    t.deepEqual([image.width, image.height, image.data.length], [width, height, 3 * width * height]);
    t.deepEqual(pixel(image, width - 1, height - 1), [10, 20, 30]);
  }
});

for (const [where, use] of [
  ['thread', decoder],
  ['process', child],
] as const) {
  test(`a ${where} refuses what is no image by its content`, async (t) => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    );
    const wav = Buffer.concat([Buffer.from('RIFF\x24\0\0\0WAVEfmt '), Buffer.alloc(40)]);
    for (const bytes of [
      svg,
      wav,
      Buffer.from('%PDF-1.4\n%'),
      Buffer.from('BM'),
      Buffer.alloc(3000, 7),
      Buffer.alloc(1),
    ]) {
      await throwsTyped(t, () => use.image(bytes, o), { code: 'ERR_MEDIA_FORMAT', field: 'poster' });
    }
    await throwsTyped(t, () => use.image(new Uint8Array(0), o), { code: 'ERR_MEDIA_EMPTY', field: 'poster' });
  });

  test(`a ${where} refuses images that are cut off or broken`, async (t) => {
    const noise = Buffer.from(Array.from({ length: 3 * 80 * 60 }, (_, i) => (i * 7919) % 251));
    const source = sharp(noise, { raw: { width: 80, height: 60, channels: 3 } });
    for (const [name, bytes] of [
      ['jpeg', await source.clone().jpeg().toBuffer()],
      ['png', await source.clone().png().toBuffer()],
      ['webp', await source.clone().webp({ lossless: true }).toBuffer()],
      ['gif', await source.clone().gif().toBuffer()],
      ['tiff', await source.clone().tiff().toBuffer()],
      ['avif', await source.clone().avif().toBuffer()],
    ] as const) {
      for (const share of [0.02, 0.5, 0.9]) {
        const cut = bytes.subarray(0, Math.max(12, Math.floor(share * bytes.length)));
        await throwsTyped(t, () => use.image(cut, o), { code: 'ERR_MEDIA_READ', field: 'poster' });
      }
      t.is((await use.image(bytes, o)).width, 80, `${name} whole, after the broken ones`);
    }
  });

  test(`a ${where} refuses an image that declares a huge size, without decoding it`, async (t) => {
    for (const bytes of [pngWithSize(50_000, 50_000), jpegWithSize(65_500, 65_500)]) {
      await throwsTyped(t, () => use.image(bytes, o), {
        code: 'ERR_MEDIA_LIMIT',
        message: /100000000 pixels \(limit maxImagePixels\) for poster, received an image of \d+ x \d+/,
      });
    }
  });
}

test('a smaller pixel limit is the one that counts', async (t) => {
  await using strict = new MediaDecoder({ limits: { maxImagePixels: 383 } });
  const bytes = await picture().png().toBuffer();
  await throwsTyped(t, () => strict.image(bytes, o), { code: 'ERR_MEDIA_LIMIT', message: /383 pixels/ });
  await using enough = new MediaDecoder({ limits: { maxImagePixels: 384 } });
  t.is((await enough.image(bytes, o)).width, 24);
});
