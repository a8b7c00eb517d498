import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { type ImageEncoderSpec, parseEncoderSpecText } from '../../lib/encoders/spec.js';
import { type CinefuseError, ModelError, ShapeError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { RgbImage } from '../../lib/media/types.js';
import { packageRoot } from '../../lib/native.js';
import { frames } from '../../lib/ops/frames.js';
import { PosterEncoder } from '../../lib/poster/poster-encoder.js';
import { imageModel, temporaryDirectory } from '../encoders/fixtures.js';
import { model, node, value } from '../onnx.js';
import { sharedPath, sharedTest } from '../shared.js';

function picture(width: number, height: number, seed = 1): RgbImage {
  let state = seed;
  const data = Uint8Array.from({ length: 3 * width * height }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state >> 16;
  });
  return { data, width, height };
}

// biome-ignore lint/suspicious/noExplicitAny: changes to an unparsed spec
async function tiny(change?: (spec: any) => void, graph?: Buffer) {
  const described = await imageModel(await temporaryDirectory(), {
    ...(change !== undefined && { change }),
    ...(graph !== undefined && { graph }),
  });
  const pool = await EncoderPool.create([described]);
  const spec = described.spec as ImageEncoderSpec;
  return { pool, spec, encoder: new PosterEncoder({ spec, pool }) };
}

test('a poster goes through the transform of its spec and the graph', async (t) => {
  const { pool, encoder } = await tiny((spec) => {
    Object.assign(spec.transform, {
      filter: 'bicubic',
      rounding: 'uint8',
      mean: [0.5, 0.4, 0.3],
      std: [0.2, 0.3, 0.4],
    });
  });
  const image = picture(17, 9);
  const input = await frames([image], {
    resize: [2, 2],
    filter: 'bicubic',
    rounding: 'uint8',
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.3, 0.4],
  });
  const [embedding] = await encoder.encode([image]);
  t.deepEqual(embedding, { data: input.map((x) => 2 * x), length: 1, dim: 12 });
  await pool.dispose();
});

test('batches across films give what single posters give, in order', async (t) => {
  const { pool, encoder } = await tiny();
  const images = Array.from({ length: 11 }, (_, i) => picture(3 + i, 20 - i, i + 1));
  const progress: number[] = [];
  const together = await encoder.encode(images, { onProgress: (done) => progress.push(done) });
  for (const [i, image] of images.entries()) t.deepEqual(together[i], (await encoder.encode([image]))[0]);
  t.is(progress.length, 3, 'three runs of at most four');
  t.deepEqual(await encoder.encode([]), []);
  await pool.dispose();
});

test('posters that keep their aspect are batched by size', async (t) => {
  const graph = model({
    nodes: [
      node('GlobalAveragePool', ['image'], ['mean'], {}),
      node('Flatten', ['mean'], ['features'], { axis: 1 }),
    ],
    inputs: [value('image', 'float', ['b', 3, 'h', 'w'])],
    outputs: [value('features', 'float', ['b', 3])],
  });
  const { pool, encoder } = await tiny((spec) => {
    spec.dim = 3;
    spec.transform.resize = 4;
  }, graph);
  const images = [picture(8, 8), picture(16, 8), picture(8, 16), picture(40, 20), picture(9, 9)];
  const together = await encoder.encode(images);
  for (const [i, image] of images.entries()) t.deepEqual(together[i], (await encoder.encode([image]))[0]);
  await pool.dispose();
});

for (const [pooling, output, expected] of [
  ['mean-spatial', ['b', 3, 2, 2], [[1.5, 5.5, 9.5]]],
  ['cls', ['b', 3, 4], [[0, 1, 2, 3]]],
  ['mean-tokens', ['b', 3, 4], [[4, 5, 6, 7]]],
] as const) {
  test(`pooling ${pooling}`, async (t) => {
    const shape = output.length === 3 ? ['b', 3, 4] : ['b', 3, 2, 2];
    const nodes =
      output.length === 3
        ? [node('Identity', ['image'], ['copy']), node('Reshape', ['copy', 'shape'], ['features'])]
        : [node('Identity', ['image'], ['features'])];
    const { tensor } = await import('../onnx.js');
    const graph = model({
      nodes,
      inputs: [value('image', 'float', ['b', 3, 2, 2])],
      outputs: [value('features', 'float', shape)],
      initializers: output.length === 3 ? [tensor('shape', 'int64', [3], BigInt64Array.of(-1n, 3n, 4n))] : [],
    });
    const { pool, encoder } = await tiny((spec) => {
      spec.pooling = pooling;
      spec.dim = pooling === 'mean-spatial' ? 3 : 4;
      spec.transform.mean = [0, 0, 0];
    }, graph);
    // Channel c, place p of the graph's input is 4 c + p, as levels of 255.
    const data = new Uint8Array(12);
    for (let p = 0; p < 4; p++) for (let c = 0; c < 3; c++) data[3 * p + c] = 4 * c + p;
    const [embedding] = await encoder.encode([{ data, width: 2, height: 2 }]);
    const levels = Array.from(embedding!.data, (x) => Math.round(x * 255 * 1000) / 1000);
    t.deepEqual(levels, [...expected[0]]);
    await pool.dispose();
  });
}

test('a bad poster gives its error, the others come back', async (t) => {
  const { pool, encoder } = await tiny();
  const good = picture(5, 5);
  const results = await encoder.encodeEach(
    [good, { ...good, width: 6 }, { ...good, data: new Uint8Array(0), width: 0 }, good],
    { fields: ['films[0].poster', 'films[1].poster', 'films[2].poster', 'films[3].poster'] },
  );
  t.deepEqual(
    results.map((result) => (result as CinefuseError).code as string | undefined),
    [undefined, 'ERR_SHAPE', 'ERR_SHAPE', undefined],
  );
  t.regex((results[1] as Error).message, /90 bytes of rgb24 for 6 x 5 for films\[1\]\.poster, received 75/);
  await t.throwsAsync(encoder.encode([{ ...good, width: 6 }]), { instanceOf: ShapeError });
  await pool.dispose();
});

test('a strip of pixels is refused where the aspect is kept', async (t) => {
  const graph = model({
    nodes: [
      node('GlobalAveragePool', ['image'], ['mean']),
      node('Flatten', ['mean'], ['features'], { axis: 1 }),
    ],
    inputs: [value('image', 'float', ['b', 3, 'h', 'w'])],
    outputs: [value('features', 'float', ['b', 3])],
  });
  const { pool, encoder } = await tiny((spec) => {
    spec.dim = 3;
    spec.transform.resize = 224;
  }, graph);
  const error = await t.throwsAsync(encoder.encode([picture(1, 5000)]));
  t.is((error as CinefuseError).code, 'ERR_INPUT_VALUE');
  await pool.dispose();
});

test('an embedding that is not finite is an error', async (t) => {
  const graph = model({
    nodes: [node('Log', ['image'], ['log']), node('Flatten', ['log'], ['features'], { axis: 1 })],
    inputs: [value('image', 'float', ['batch', 3, 2, 2])],
    outputs: [value('features', 'float', ['batch', 12])],
  });
  const { pool, encoder } = await tiny(undefined, graph);
  const black = { data: new Uint8Array(12), width: 2, height: 2 };
  const error = await t.throwsAsync(encoder.encode([black]), { instanceOf: ModelError });
  t.is(error.code, 'ERR_MODEL_RUN');
  t.regex(error.message, /finite/);
  await pool.dispose();
});

test('an encoder that the pool does not hold is an error at once; cancelling works', async (t) => {
  const { pool, spec, encoder } = await tiny();
  t.throws(() => new PosterEncoder({ spec: { ...spec, name: 'other' }, pool }), {
    code: 'ERR_MODEL_NOT_FOUND',
  });
  await t.throwsAsync(encoder.encode([picture(3, 3)], { signal: AbortSignal.abort() }), {
    name: 'AbortError',
  });
  await pool.dispose();
});

const MID = 'models/image/nsfwjs-mobilenetv2-mid';

sharedTest('MobileNetV2-mid: content probabilities and features are the reference ones', [MID], async (t) => {
  const file = join(packageRoot(), 'training/specs/image.json');
  const features = parseEncoderSpecText(await readFile(file, 'utf8'), file) as ImageEncoderSpec;
  const probabilities: ImageEncoderSpec = { ...features, name: 'content', output: 'content_probs', dim: 5 };
  const directory = sharedPath(MID);
  const golden = JSON.parse(await readFile(sharedPath('models/golden.json'), 'utf8')) as {
    image: { items: { file: string; nsfwjs_content_probs: number[]; nsfwjs_features_head: number[] }[] };
  };
  const models = [features, probabilities].map((spec) => ({ spec, directory }));
  await using pool = await EncoderPool.create(models);
  await using decoder = new MediaDecoder();
  const images: RgbImage[] = [];
  for (const { file: path } of golden.image.items) {
    images.push(await decoder.image({ path: sharedPath('models', path) }, { field: path }));
  }
  const vectors = await new PosterEncoder({ spec: features, pool }).encode(images);
  const probs = await new PosterEncoder({ spec: probabilities, pool }).encode(images);
  const worst = { probability: 0, feature: 0 };
  golden.image.items.forEach((item, i) => {
    item.nsfwjs_content_probs.forEach((p, k) => {
      worst.probability = Math.max(worst.probability, Math.abs(p - probs[i]!.data[k]!));
    });
    item.nsfwjs_features_head.forEach((x, k) => {
      worst.feature = Math.max(worst.feature, Math.abs(x - vectors[i]!.data[k]!));
    });
  });
  t.log(worst);
  // The reference was made with another decoder and resizer; its note allows a few percent.
  t.true(worst.probability < 0.05, `${worst.probability}`);
  t.true(worst.feature < 0.25, `${worst.feature}`);
});
