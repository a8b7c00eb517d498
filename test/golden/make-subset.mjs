// Picks from a full set of golden vectors what the repository keeps beside this script: every family that operators
// use, the small cases, and of every kind of case at least the smallest one; gradients of the smaller of them.
//
//   python3 test/golden/generate.py --out FOLDER && node test/golden/make-subset.mjs FOLDER
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** Bytes that the tensors of a case may take, by family. */
const MOST_BYTES = {
  mel: 60_000,
  image: 83_000,
  fusion: 200_000,
  attention: 200_000,
  layers: 200_000,
  losses: 3_000,
  optim: 60_000,
};
/** Bytes of a case with its gradients, up to which these are kept too. */
const MOST_GRADIENT_BYTES = { layers: 8_000, losses: 3_000, attention: 10_400, fusion: 9_000 };
/** The folder also holds scripts, the networks and this text: 4 MB in all. */
const MOST_BYTES_IN_ALL = 3_000_000;
/** Families whose tensors shrink when they are packed. */
const GZIPPED = new Set(['mel', 'image']);

const here = path.dirname(fileURLToPath(import.meta.url));
const from = process.argv[2];
if (!from) {
  console.error('usage: node test/golden/make-subset.mjs FOLDER   (a folder that generate.py has filled)');
  process.exit(2);
}

function readSafetensors(file) {
  const raw = readFileSync(file);
  const headerLength = Number(raw.readBigUInt64LE(0));
  const header = JSON.parse(raw.toString('utf8', 8, 8 + headerLength));
  const data = raw.subarray(8 + headerLength);
  return new Map(
    Object.entries(header).map(
      ([
        key,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => [key, { dtype, shape, bytes: data.subarray(begin, end) }],
    ),
  );
}

/** Tensors in the order given: generate.py has them by falling element size, which keeps each aligned. */
function writeSafetensors(file, tensors) {
  const header = {};
  let offset = 0;
  for (const [key, { dtype, shape, bytes }] of tensors) {
    header[key] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (text.length % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const plain = Buffer.concat([length, Buffer.from(text), ...tensors.map(([, { bytes }]) => bytes)]);
  const all = file.endsWith('.gz') ? gzipSync(plain, { level: 9 }) : plain;
  writeFileSync(file, all);
  return all.length;
}

const isForward = ([field]) => !/^(d|grad)_/.test(field);

let total = 0;
for (const [family, most] of Object.entries(MOST_BYTES)) {
  const doc = JSON.parse(readFileSync(path.join(from, `${family}.json`), 'utf8'));
  const tensors = readSafetensors(path.join(from, doc.data));
  const size = (c) => Object.values(c.tensors).reduce((sum, key) => sum + tensors.get(key).bytes.length, 0);
  const cases = doc.cases.map((c) => {
    if (size(c) <= (MOST_GRADIENT_BYTES[family] ?? 0)) return c;
    return {
      ...c,
      tensors: Object.fromEntries(Object.entries(c.tensors).filter(isForward)),
      ...(c.tol && { tol: Object.fromEntries(Object.entries(c.tol).filter(isForward)) }),
    };
  });
  const smallest = new Map();
  for (const c of cases) {
    const best = smallest.get(c.config.kind);
    if (!best || size(c) < size(best)) smallest.set(c.config.kind, c);
  }
  const kept = cases.filter((c) => size(c) <= most || smallest.get(c.config.kind) === c);
  const used = new Set(kept.flatMap((c) => Object.values(c.tensors)));
  const data = GZIPPED.has(family) ? `${doc.data}.gz` : doc.data;
  const bytes = writeSafetensors(
    path.join(here, data),
    [...tensors].filter(([key]) => used.has(key)),
  );
  const head = JSON.stringify({ ...doc, data, cases: undefined }, null, 1).slice(0, -2);
  const text = `${head},\n "cases": [\n  ${kept.map((c) => JSON.stringify(c)).join(',\n  ')}\n ]\n}\n`;
  writeFileSync(path.join(here, `${family}.json`), text);
  console.log(`${family.padEnd(10)} ${kept.length} of ${cases.length} cases, ${bytes + text.length} bytes`);
  total += bytes + text.length;
}
// Numbers only: whole.
for (const family of ['metrics']) {
  const text = readFileSync(path.join(from, `${family}.json`), 'utf8');
  writeFileSync(path.join(here, `${family}.json`), text);
  total += text.length;
}
console.log(`${total} bytes in all`);
if (total > MOST_BYTES_IN_ALL) {
  console.error(`That is more than the ${MOST_BYTES_IN_ALL} bytes the repository may hold.`);
  process.exit(1);
}
