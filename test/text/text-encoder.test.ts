import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import test from 'ava';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { parseEncoderSpec, parseEncoderSpecText, type TextEncoderSpec } from '../../lib/encoders/spec.js';
import { type CinefuseError, DisposedError, InputError, ModelError } from '../../lib/errors.js';
import { packageRoot } from '../../lib/native.js';
import { TextSequenceEncoder } from '../../lib/text/text-encoder.js';
import { TextThread } from '../../lib/text/text-thread.js';
import { place, temporaryDirectory } from '../encoders/fixtures.js';
import { model, node, tensor, value } from '../onnx.js';
import { sharedPath, sharedTest } from '../shared.js';

const WORDS = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  'the',
  'film',
  'is',
  'good',
  'bad',
  '.',
  'a',
  'very',
  'long',
  'story',
];
const DIM = 3;
/** Row i of the table of embeddings: [i, i squared, 1]. */
const TABLE = Float32Array.from({ length: WORDS.length * DIM }, (_, k) => {
  const i = Math.floor(k / DIM);
  return [i, i * i, 1][k % DIM]!;
});

function tokenizerJson(): Buffer {
  return Buffer.from(
    JSON.stringify({
      version: '1.0',
      added_tokens: [0, 1, 2, 3].map((id) => ({ id, content: WORDS[id], special: true })),
      normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [
          { SpecialToken: { id: '[CLS]', type_id: 0 } },
          { Sequence: { id: 'A', type_id: 0 } },
          { SpecialToken: { id: '[SEP]', type_id: 0 } },
        ],
        pair: [],
        special_tokens: {
          '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
          '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
        },
      },
      decoder: { type: 'WordPiece', prefix: '##' },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
      },
    }),
  );
}

/** ids -> rows of the table: (batch, tokens, 3). The mask multiplies, so that a forgotten mask shows. */
function tableGraph(idType: 'int64' | 'int32' = 'int64'): Buffer {
  return model({
    nodes: [
      node('Gather', ['table', 'input_ids'], ['rows'], { axis: 0 }),
      node('Cast', ['attention_mask'], ['mask'], { to: 1 }),
      node('Unsqueeze', ['mask', 'last'], ['column']),
      node('Mul', ['rows', 'column'], ['hidden']),
    ],
    inputs: [value('input_ids', idType, ['b', 't']), value('attention_mask', idType, ['b', 't'])],
    outputs: [value('hidden', 'float', ['b', 't', DIM])],
    initializers: [
      tensor('table', 'float', [WORDS.length, DIM], TABLE),
      tensor('last', 'int64', [1], BigInt64Array.of(-1n)),
    ],
  });
}

async function tinyEncoder(change: (spec: Record<string, unknown>) => void = () => {}, graph = tableGraph()) {
  const directory = await temporaryDirectory();
  const raw: Record<string, unknown> = {
    specVersion: 1,
    name: 'tiny-text',
    version: '1',
    modality: 'text',
    ...(await place(directory, 'text/model.onnx', graph)),
    inputs: { inputIds: 'input_ids', attentionMask: 'attention_mask' },
    output: 'hidden',
    dim: DIM,
    maxBatch: 4,
    licence: 'Apache-2.0',
    source: 'made by this test',
    tokenizer: {
      ...(await place(directory, 'text/tokenizer.json', tokenizerJson())),
      maxTokens: 8,
      padId: 0,
      unknownId: 1,
      dropIds: [],
      addSpecialTokens: true,
    },
    languages: 'any',
    maxUnknownShare: 0.5,
    pooling: 'mean',
    normalize: false,
  };
  change(raw);
  const spec = parseEncoderSpec(raw) as TextEncoderSpec;
  const pool = await EncoderPool.create([{ spec, directory }]);
  const encoder = await TextSequenceEncoder.create({ spec, directory, pool });
  const end = async () => {
    await encoder.dispose();
    await pool.dispose();
  };
  return { spec, directory, pool, encoder, end };
}

/** Mean of the table's rows over [CLS] words [SEP], in double. */
function expected(words: string[]): number[] {
  const ids = ['[CLS]', ...words, '[SEP]'].map((word) => WORDS.indexOf(word));
  return [0, 1, 2].map((k) => ids.reduce((sum, id) => sum + TABLE[id * DIM + k]!, 0) / ids.length);
}

const close = (a: Float32Array, b: ArrayLike<number>, tolerance: number) =>
  a.length === b.length && a.every((x, i) => Math.abs(x - b[i]!) <= tolerance);

test('a text that fits is one vector; special tokens, mask and mean are as the spec says', async (t) => {
  const { encoder, end } = await tinyEncoder();
  const [one] = await encoder.encode(['The film is good.']);
  t.like(one, { length: 1, dim: 3, unknownShare: 0, spans: [{ start: 0, end: 17 }] });
  t.true(close(one!.data, expected(['the', 'film', 'is', 'good', '.']), 1e-5));
  await end();
});

for (const idType of ['int64', 'int32'] as const) {
  test(`ids are fed in the graph's own type: ${idType}`, async (t) => {
    const { encoder, end } = await tinyEncoder(undefined, tableGraph(idType));
    const [one] = await encoder.encode(['the film']);
    t.true(close(one!.data, expected(['the', 'film']), 1e-5));
    await end();
  });
}

test('pooling cls and L2 normalisation', async (t) => {
  const { encoder, end } = await tinyEncoder((spec) => {
    spec.pooling = 'cls';
    spec.normalize = true;
  });
  const [one] = await encoder.encode(['the film']);
  t.true(close(one!.data, [2 / 21 ** 0.5, 4 / 21 ** 0.5, 1 / 21 ** 0.5], 1e-6));
  await end();
});

test('a long text is a sequence of whole sentences, each chunk as if alone', async (t) => {
  const { encoder, end } = await tinyEncoder();
  const text = 'The film is good. A bad film. The story is very long.';
  const [sequence] = await encoder.encode([text]);
  const parts = sequence!.spans.map(({ start, end: stop }) => text.slice(start, stop));
  t.deepEqual(parts, ['The film is good.', 'A bad film.', 'The story is very long.']);
  const alone = await encoder.encode(parts);
  t.deepEqual(sequence!.data, Float32Array.from(alone.flatMap(({ data }) => [...data])));
  await end();
});

test('batches across texts give what single texts give', async (t) => {
  const { encoder, end } = await tinyEncoder();
  const texts = Array.from({ length: 23 }, (_, i) =>
    ['the', 'film', 'is', 'very', 'good', '.']
      .slice(0, 1 + (i % 6))
      .join(' ')
      .repeat(1 + (i % 3)),
  );
  const progress: number[][] = [];
  const together = await encoder.encode(texts, { onProgress: (...counts) => progress.push(counts) });
  for (const [i, text] of texts.entries()) {
    const [single] = await encoder.encode([text]);
    t.true(close(together[i]!.data, single!.data, 1e-6), text);
  }
  const total = together.reduce((sum, { length }) => sum + length, 0);
  t.deepEqual(progress.at(-1), [total, total]);
  t.true(progress.length < total, 'several chunks a run');
  await end();
});

test('texts that cannot be encoded give typed errors by field, and the others come back', async (t) => {
  const { encoder, end } = await tinyEncoder((spec) => {
    spec.languages = ['en'];
  });
  const texts = [
    'the film',
    '',
    ' \n ',
    'zzz qqq xxx www the',
    '守塔人在瓶子里发现了一封信。',
    7 as unknown as string,
    'a story',
  ];
  const fields = texts.map((_, i) => `films[${i}].synopsis`);
  const results = await encoder.encodeEach(texts, { fields });
  const codes = results.map((result) => (result as CinefuseError).code as string | undefined);
  t.deepEqual(codes, [
    undefined,
    'ERR_INPUT_EMPTY',
    'ERR_INPUT_EMPTY',
    'ERR_INPUT_LANGUAGE',
    'ERR_INPUT_LANGUAGE',
    'ERR_INPUT_TYPE',
    undefined,
  ]);
  t.regex((results[3] as Error).message, /at least 50 %.*films\[3\]\.synopsis.*does not know 80 %/);
  t.regex((results[4] as Error).message, /text in en.*films\[4\]\.synopsis.*Han script, language zh/);
  await t.throwsAsync(encoder.encode(texts, { fields }), { instanceOf: InputError, code: 'ERR_INPUT_EMPTY' });
  t.deepEqual(await encoder.encode([]), []);
  await end();
});

test('ids in dropIds never reach the graph; a text of nothing else is refused', async (t) => {
  const { encoder, end } = await tinyEncoder((spec) => {
    Object.assign(spec.tokenizer as object, { dropIds: [1], addSpecialTokens: false });
    spec.maxUnknownShare = 1;
  });
  const [a, b] = await encoder.encode(['the zzz film', 'the film']);
  t.deepEqual(a!.data, b!.data);
  t.is(a!.unknownShare, 3 / 10);
  await t.throwsAsync(encoder.encode(['zzz']), { code: 'ERR_INPUT_LANGUAGE' });
  await end();
});

test('half a surrogate pair, control characters and a megabyte of blanks do no harm', async (t) => {
  const { encoder, end } = await tinyEncoder((spec) => {
    spec.maxUnknownShare = 1;
  });
  const texts = ['the film \uD800', '\u0000the\u0007 film', `${' '.repeat(1e6)}the film`];
  t.is((await encoder.encode(texts)).length, 3);
  await end();
});

test('a missing, changed or broken tokenizer is a typed error', async (t) => {
  const changed = await tinyEncoder();
  await writeFile(join(changed.directory, 'text/tokenizer.json'), '{}');
  await t.throwsAsync(changed.encoder.encode(['the film']), {
    instanceOf: ModelError,
    code: 'ERR_MODEL_CHECKSUM',
  });
  await changed.end();

  for (const content of ['not JSON', '{}', '{"model":{"type":"Quantum"}}']) {
    const directory = await temporaryDirectory();
    const broken = await place(directory, 'tokenizer.json', Buffer.from(content));
    const whole = await tinyEncoder();
    const spec = { ...whole.spec, tokenizer: { ...whole.spec.tokenizer, ...broken } };
    const encoder = await TextSequenceEncoder.create({ spec, directory, pool: whole.pool });
    await t.throwsAsync(
      encoder.encode(['the film']),
      { instanceOf: ModelError, code: 'ERR_MODEL_LOAD' },
      content,
    );
    await encoder.dispose();
    await whole.end();
  }
});

test('cancelling and disposing end a call', async (t) => {
  const { encoder, pool, end } = await tinyEncoder();
  await t.throwsAsync(encoder.encode(['the film'], { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  const controller = new AbortController();
  const running = encoder.encode(Array(50).fill('the film is good. a bad film. '.repeat(20)), {
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(), 5);
  await t.throwsAsync(running, { name: 'AbortError' });
  t.is((await encoder.encode(['the film'])).length, 1, 'the encoder lives on');
  t.deepEqual(warnings, [], 'no warning of leaking listeners');
  await pool.dispose();
  await t.throwsAsync(encoder.encode(['the film']), { instanceOf: DisposedError });
  await end();
});

const USE_LITE = 'models/text/use-lite-en';

interface TextGolden {
  items: { text: string; input_ids: number[]; reference_embedding: number[] }[];
}

async function useLite() {
  const file = join(packageRoot(), 'training/specs/text-en.json');
  const spec = parseEncoderSpecText(await readFile(file, 'utf8'), file) as TextEncoderSpec;
  const directory = sharedPath(USE_LITE);
  const pool = await EncoderPool.create([{ spec, directory }]);
  const encoder = await TextSequenceEncoder.create({ spec, directory, pool });
  const end = async () => {
    await encoder.dispose();
    await pool.dispose();
  };
  return { spec, directory, encoder, end };
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}

sharedTest(
  'USE-Lite: ids are the reference ones and vectors those of the original model',
  [USE_LITE],
  async (t) => {
    const golden = JSON.parse(await readFile(sharedPath('models/golden.json'), 'utf8')) as {
      text: TextGolden;
    };
    const { items } = golden.text;
    const { spec, directory, encoder, end } = await useLite();
    await using thread = new TextThread();
    const { tokenizer } = spec;
    const path = join(directory, tokenizer.file);
    for (const item of items) {
      const files = {
        key: 'use-lite',
        tokenizer: { path, sha256: tokenizer.sha256, bytes: tokenizer.bytes, field: 'tokenizer' },
        config: undefined,
        settings: tokenizer,
      };
      t.deepEqual([...(await thread.prepare(item.text, files)).ids], item.input_ids);
    }
    const vectors = await encoder.encode(items.map(({ text }) => text));
    items.forEach((item, i) => {
      t.is(vectors[i]!.length, 1);
      const similarity = cosine(vectors[i]!.data, item.reference_embedding);
      t.true(similarity >= 0.999, `${similarity} for ${item.text}`);
    });
    const [alone] = await encoder.encode([items[1]!.text]);
    t.true(close(alone!.data, vectors[1]!.data, 1e-6), 'batch and padding change nothing');
    await end();
  },
);

sharedTest(
  'USE-Lite refuses Chinese and German, and reads a 120-page script with the event loop free',
  [USE_LITE],
  async (t) => {
    const { encoder, end } = await useLite();
    const [chinese, german] = await encoder.encodeEach([
      '守塔人在瓶子里发现了一封信，于是跨海追寻。',
      'Ein Leuchtturmwärter findet eine Flaschenpost und folgt ihr über das Meer.',
    ]);
    t.is((chinese as CinefuseError).code, 'ERR_INPUT_LANGUAGE');
    t.is((german as CinefuseError).code, 'ERR_INPUT_LANGUAGE');

    const page = `INT. LIGHTHOUSE - NIGHT\n\nThe keeper climbs the stairs. The lamp is out.\n\nKEEPER\nWho is there? ${'The sea answers with a long low sound. '.repeat(30)}\n\n`;
    const script = page.repeat(120);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const [sequence] = await encoder.encode([script]);
    delay.disable();
    t.true(sequence!.length > 200, `${sequence!.length} chunks`);
    t.is(sequence!.data.length, sequence!.length * 512);
    t.true(sequence!.data.every(Number.isFinite));
    t.log(
      `${script.length} characters, ${sequence!.length} chunks, event loop p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
    );
    await end();
  },
);
