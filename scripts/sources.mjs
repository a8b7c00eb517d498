// Prints one list of native/sources.json, for binding.gyp: `node scripts/sources.mjs simd`, `... flags.avx2`.
import { readFileSync } from 'node:fs';

const lists = JSON.parse(readFileSync(new URL('../native/sources.json', import.meta.url), 'utf8'));
const list = process.argv[2].split('.').reduce((value, key) => value[key], lists);
if (!Array.isArray(list)) throw new Error(`native/sources.json has no list ${process.argv[2]}`);
console.log(list.join('\n'));
