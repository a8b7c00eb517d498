// Writes schemas/fuse.schema.json from lib/train/config.ts, built before. A test holds the two together.
import { writeFileSync } from 'node:fs';
import { fuseConfigJsonSchema } from '../dist/lib/train/config.js';

const target = new URL('../schemas/fuse.schema.json', import.meta.url);
writeFileSync(target, `${JSON.stringify(fuseConfigJsonSchema(), null, 2)}\n`);
