/**
 * Runs translated kernels: blocks one after the other, a block's threads in turn until each waits or ends. Device
 * memory keeps its 64-bit addresses; whatever an access finds outside of it, or misaligned, ends the launch.
 */
import { type Block, collect } from './collectives.js';
import { BLOCK, FRAME, PARAMETERS, SITE, type Site, WINDOW } from './emit.js';
import { ARITHMETIC_OF_HOST } from './host.js';
import type { Program } from './translate.js';

export type Triple = readonly [number, number, number];

/** A live block of device memory; its bytes are replaced by what the launch leaves. */
export interface DeviceBlock {
  /** A multiple of 256, as cudaMalloc gives. */
  address: number;
  bytes: Uint8Array;
}

export interface Launch {
  grid: Triple;
  block: Triple;
  dynamicShared: number;
  /** As the kernel's parameter space holds them. */
  parameters: Uint8Array;
  memory: DeviceBlock[];
}

/** A kernel did what a GPU would not forgive. */
export class KernelError extends Error {
  constructor(kernel: string, site: Site | undefined, message: string) {
    super(`${kernel}: ${message}${site ? ` (PTX line ${site.line}: ${site.text})` : ''}`);
    this.name = 'KernelError';
  }
}

interface Copy {
  to: number;
  from: number;
  bytes: number;
  valid: number;
}

const memory = new WebAssembly.Memory({ initial: 64 });
const PAGE = 65536;
const round = (n: number, to: number) => Math.ceil(n / to) * to;

interface Placed {
  address: number;
  size: number;
  at: number;
  bytes?: Uint8Array;
}

/** One launch under way. */
class Run {
  private readonly placed: Placed[] = [];
  private readonly copies = new Map<number, Copy[][]>();
  private readonly thread: (frame: number) => number;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly n: number;
  private readonly sharedBytes: number;
  private frame = 0;

  constructor(
    private readonly program: Program,
    private readonly launch: Launch,
  ) {
    const { layout } = program;
    this.n = launch.block[0] * launch.block[1] * launch.block[2];
    this.sharedBytes = program.sharedBytes + launch.dynamicShared;
    if (launch.parameters.length < program.parameterBytes)
      this.fail(undefined, 'fewer bytes of parameters than it has');
    let end = round(layout.frames + this.n * this.stride, 256);
    for (const { address, bytes } of launch.memory) {
      if (address % 256) this.fail(undefined, 'device memory that is not aligned to 256 bytes');
      this.placed.push({ address, size: bytes.length, at: end, bytes });
      end = round(end + bytes.length, 256);
    }
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    this.words = new Int32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    for (const { at, bytes } of this.placed) this.bytes.set(bytes!, at);
    this.placed.push({ address: WINDOW.shared, size: this.sharedBytes, at: layout.shared });
    this.placed.push({ address: WINDOW.variables, size: program.variables.length, at: layout.variables });
    this.placed.push({ address: WINDOW.param, size: program.parameterBytes, at: PARAMETERS });
    this.bytes.fill(0, 0, layout.frames);
    this.bytes.set(launch.parameters.subarray(0, program.parameterBytes), PARAMETERS);
    this.bytes.set(program.variables, layout.variables);
    const { thread } = new WebAssembly.Instance(program.module, { host: this.host() }).exports;
    this.thread = thread as (frame: number) => number;
  }

  private get stride(): number {
    return round(this.program.frameBytes, 256);
  }

  private where(): string {
    const { words } = this;
    const tid = [0, 1, 2].map((axis) => words[(this.frame + FRAME.tid) / 4 + axis]);
    const ctaid = [0, 1, 2].map((axis) => words[BLOCK.ctaid / 4 + axis]);
    return `thread (${tid}) of block (${ctaid})`;
  }
  private fail(site: Site | undefined, message: string): never {
    throw new KernelError(this.program.kernel.name, site, message);
  }
  private siteOf(address: number): Site {
    return this.program.sites[(address - this.program.layout.sites) / SITE.bytes]!;
  }

  // ---- what the kernel calls

  private host(): WebAssembly.ModuleImports {
    const { sites } = this.program;
    return {
      memory,
      ...ARITHMETIC_OF_HOST,
      resolve: (low: number, high: number, site: number) => this.resolve(low, high, site),
      misaligned: (low: number, high: number, site: number) => {
        const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
        this.fail(this.siteOf(site), `misaligned address 0x${address.toString(16)}, ${this.where()}`);
      },
      outside: (offset: number, site: number) => {
        const { bytes } = sites[site]!;
        this.fail(
          sites[site],
          offset % bytes
            ? `misaligned offset ${offset >>> 0}, ${this.where()}`
            : `${bytes} bytes at offset ${offset >>> 0} are outside, ${this.where()}`,
        );
      },
      divideByZero: (site: number) => this.fail(sites[site], `division by zero, ${this.where()}`),
      copyAsync: (to: number, from: number, bytes: number, valid: number) => {
        this.open().push({ to, from, bytes, valid });
      },
      copyCommit: () => {
        this.open();
        this.copies.get(this.frame)!.push([]);
      },
      copyWait: (left: number) => this.waitForCopies(left),
    };
  }

  private resolve(low: number, high: number, siteAddress: number): number {
    const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
    const site = this.siteOf(siteAddress);
    if (address >= WINDOW.local && address < WINDOW.local + 2 ** 32) {
      const offset = address - WINDOW.local;
      if (offset + site.bytes > this.program.frameBytes - this.program.localAt) this.outside(address, site);
      return this.frame + this.program.localAt + offset;
    }
    const found = this.placed.find((p) => address >= p.address && address + site.bytes <= p.address + p.size);
    if (!found) return this.outside(address, site);
    if (address % site.bytes)
      this.fail(site, `misaligned address 0x${address.toString(16)}, ${this.where()}`);
    const { view } = this;
    view.setBigUint64(siteAddress + SITE.base, BigInt(found.address), true);
    view.setBigUint64(siteAddress + SITE.limit, BigInt(found.size - site.bytes + 1), true);
    view.setInt32(siteAddress + SITE.delta, found.at, true);
    view.setInt32(siteAddress + SITE.mask, site.bytes - 1, true);
    return found.at + (address - found.address);
  }

  private outside(address: number, site: Site): never {
    const near = this.placed.find(
      (p) => address + site.bytes > p.address - 4096 && address < p.address + p.size + 4096,
    );
    const beside = near
      ? `; near the block of ${near.size} bytes at 0x${near.address.toString(16)}, ${address - near.address} from its start`
      : '';
    return this.fail(
      site,
      `${site.bytes} bytes at 0x${address.toString(16)} are in no live block of memory${beside}, ${this.where()}`,
    );
  }

  /** The group of copies that the running thread has not committed yet. */
  private open(): Copy[] {
    let groups = this.copies.get(this.frame);
    if (!groups) {
      groups = [[]];
      this.copies.set(this.frame, groups);
    }
    return groups[groups.length - 1]!;
  }
  private waitForCopies(left: number) {
    const groups = this.copies.get(this.frame);
    while (groups && groups.length > left + 1) {
      for (const { to, from, bytes, valid } of groups.shift()!) {
        this.bytes.fill(0, to, to + bytes);
        if (valid > 0) this.bytes.copyWithin(to, from, from + Math.min(valid, bytes));
      }
    }
  }

  // ---- blocks and threads

  /** The thread-instructions that were run. */
  run(): number {
    const { grid, block } = this.launch;
    const { words, program } = this;
    [...block, ...grid].forEach((n, at) => {
      words[BLOCK.ntid / 4 + at] = n;
    });
    words[BLOCK.sharedBytes / 4] = this.sharedBytes;
    const index = [0, 0, 0];
    for (index[2] = 0; index[2] < grid[2]; index[2]++) {
      for (index[1] = 0; index[1] < grid[1]; index[1]++) {
        for (index[0] = 0; index[0] < grid[0]; index[0]++) {
          index.forEach((n, at) => {
            words[BLOCK.ctaid / 4 + at] = n;
          });
          const { shared } = program.layout;
          this.bytes.fill(0xff, shared, shared + this.sharedBytes);
          this.block();
        }
      }
    }
    for (const { at, size, bytes } of this.placed) bytes?.set(this.bytes.subarray(at, at + size));
    return Number(this.view.getBigUint64(BLOCK.executed, true));
  }

  private block() {
    const { words, n, stride, program } = this;
    const [nx, ny] = this.launch.block;
    const frames = new Array<number>(n);
    this.copies.clear();
    for (let t = 0; t < n; t++) {
      const frame = program.layout.frames + t * stride;
      frames[t] = frame;
      words.set([0, t % nx, Math.floor(t / nx) % ny, Math.floor(t / (nx * ny)), t & 31, t >> 5], frame / 4);
      this.bytes.fill(0xff, frame + program.localAt, frame + program.frameBytes);
    }
    const block: Block = {
      frames,
      words,
      floats: new Float32Array(memory.buffer),
      waits: program.waits,
      /** Of every thread: -1 ready, -2 ended, else the number of what it waits for. */
      states: new Int32Array(n).fill(-1),
      ended: 0,
      fail: (site, message) =>
        this.fail(site, `${message}, in block (${[0, 1, 2].map((axis) => words[BLOCK.ctaid / 4 + axis])})`),
    };
    const { states } = block;
    while (block.ended < n) {
      for (let t = 0; t < n; t++) {
        if (states[t] !== -1) continue;
        this.frame = frames[t]!;
        const waits = this.thread(this.frame);
        states[t] = waits === 0 ? -2 : waits - 1;
        if (waits === 0) block.ended++;
      }
      if (block.ended < n) collect(block);
    }
  }
}

/** @returns the number of instructions that its threads ran. @throws KernelError */
export function run(program: Program, launch: Launch): number {
  return new Run(program, launch).run();
}
