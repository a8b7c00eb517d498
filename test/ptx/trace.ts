/** Launches that the emulator recorded (native/cuda/emulator/trace.h). */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { DeviceBlock, Launch, Triple } from './run.js';

export interface TracedLaunch {
  /** The kernel's mangled name. */
  kernel: string;
  /** What it was given, with memory as it was before. */
  launch: Launch;
  /** The sizes of its parameters, in order. */
  parameterSizes: number[];
  after: DeviceBlock[];
}

interface Line {
  library: string;
  kernel: number;
  grid: Triple;
  block: Triple;
  dynamic: number;
  parameters: { align: number; bytes: string }[];
  memory: { address: number; size: number; before: number; after: number }[];
}

/** Names of the functions of a 64-bit ELF library by their address in it. */
export function functionsOf(library: string): Map<number, string> {
  const file = readFileSync(library);
  const names = new Map<number, string>();
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2)
    throw new Error(`${library} is no 64-bit ELF file`);
  const long = (at: number) => Number(file.readBigUInt64LE(at));
  const sections = long(40);
  const size = file.readUInt16LE(58);
  for (let n = 0; n < file.readUInt16LE(60); n++) {
    const section = sections + n * size;
    if (file.readUInt32LE(section + 4) !== 2) continue; // SHT_SYMTAB
    const strings = long(sections + file.readUInt32LE(section + 40) * size + 24);
    const start = long(section + 24);
    for (let at = start; at < start + long(section + 32); at += 24) {
      if ((file[at + 4]! & 15) !== 2) continue; // STT_FUNC
      const name = strings + file.readUInt32LE(at);
      names.set(long(at + 8), file.toString('latin1', name, file.indexOf(0, name)));
    }
  }
  return names;
}

/** Side by side, each at its own alignment: CUDA's parameter space. */
export function packParameters(parameters: { align: number; bytes: Uint8Array }[]): Uint8Array {
  const packed = new Uint8Array(4096 + parameters.length * 256);
  let end = 0;
  for (const { align, bytes } of parameters) {
    end = Math.ceil(end / align) * align;
    packed.set(bytes, end);
    end += bytes.length;
  }
  return packed.slice(0, end);
}

/** All launches in a folder of traces. */
export function readTraces(folder: string): TracedLaunch[] {
  const libraries = new Map<string, Map<number, string>>();
  const launches: TracedLaunch[] = [];
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.jsonl'))) {
    const contents = readFileSync(path.join(folder, name.replace(/jsonl$/, 'bin')));
    for (const text of readFileSync(path.join(folder, name), 'utf8').trimEnd().split('\n')) {
      const line = JSON.parse(text) as Line;
      const names = libraries.get(line.library) ?? functionsOf(line.library);
      libraries.set(line.library, names);
      const kernel = names.get(line.kernel);
      if (!kernel) throw new Error(`a launch of no known function, at ${line.kernel} of ${line.library}`);
      const blocks = (when: 'before' | 'after') =>
        line.memory.map((m) => ({
          address: m.address,
          bytes: new Uint8Array(contents.buffer, contents.byteOffset + m[when], m.size),
        }));
      const parameters = line.parameters.map((p) => ({ align: p.align, bytes: Buffer.from(p.bytes, 'hex') }));
      launches.push({
        kernel,
        launch: {
          grid: line.grid,
          block: line.block,
          dynamicShared: line.dynamic,
          parameters: packParameters(parameters),
          memory: blocks('before'),
        },
        parameterSizes: parameters.map((p) => p.bytes.length),
        after: blocks('after'),
      });
    }
  }
  return launches;
}
