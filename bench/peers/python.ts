/**
 * The peers written in Python: one process (python/worker.py) for a suite, that prepares the work and then takes its turns,
 * reading the clock itself. CINEFUSE_BENCH_PYTHON names the interpreter; otherwise the one that has torch.
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../lib/native.js';
import type { RemoteContender } from '../harness.js';

type Typed = Float32Array | Uint8Array | Float64Array;
export interface Shaped {
  data: Typed;
  shape: readonly number[];
}

interface Reply {
  error?: string;
  versions?: Record<string, string | null>;
  contenders?: string[];
  missing?: Record<string, string>;
  samples?: number[];
  arrays: [dtype: string, shape: number[]][];
}

const DTYPES = { Float32Array: 'float32', Uint8Array: 'uint8', Float64Array: 'float64' } as const;

function interpreter(): string | undefined {
  const asked = process.env.CINEFUSE_BENCH_PYTHON;
  const candidates = asked ? [asked] : ['python3', '/usr/bin/python3'];
  const has = (python: string, modules: string) =>
    spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0;
  return candidates.find((p) => has(p, 'numpy, torch')) ?? candidates.find((p) => has(p, 'numpy'));
}

export class PythonWorker {
  #child: ChildProcessWithoutNullStreams;
  #chunks: Buffer[] = [];
  #length = 0;
  #wake: () => void = () => undefined;
  #ended = false;
  #nextId = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** Libraries and their versions; null is missing. */
  versions: Record<string, string | null> = {};

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    child.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    child.on('error', () => undefined); // 'close' follows
    child.stdin.on('error', () => undefined);
  }

  /** @returns undefined where no interpreter has numpy */
  static async start(threads: number): Promise<PythonWorker | undefined> {
    const python = interpreter();
    if (!python) return undefined;
    const script = path.join(packageRoot(), 'bench', 'peers', 'python', 'worker.py');
    const child = spawn(python, [script, String(threads)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    }) as unknown as ChildProcessWithoutNullStreams;
    const worker = new PythonWorker(child);
    worker.versions = (await worker.#receive())[0].versions ?? {};
    return worker;
  }

  async #read(size: number): Promise<Buffer> {
    while (this.#length < size) {
      if (this.#ended) throw new Error('the Python peers ended');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(size)];
    this.#length -= size;
    return all.subarray(0, size);
  }

  async #receive(): Promise<[Reply, Typed[]]> {
    const size = (await this.#read(4)).readUInt32LE();
    const reply = JSON.parse((await this.#read(size)).toString()) as Reply;
    const arrays: Typed[] = [];
    for (const [dtype, shape] of reply.arrays) {
      const Kind = { float32: Float32Array, uint8: Uint8Array, float64: Float64Array }[dtype];
      if (!Kind) throw new Error(`a Python peer gave ${dtype}`);
      const length = shape.reduce((p, d) => p * d, 1);
      const bytes = await this.#read(length * Kind.BYTES_PER_ELEMENT);
      arrays.push(new Kind(new Uint8Array(bytes).buffer, 0, length));
    }
    if (reply.error) throw new Error(`Python: ${reply.error}`);
    return [reply, arrays];
  }

  /** One message and its reply; others wait. */
  #ask(message: Record<string, unknown>, arrays: readonly Shaped[] = []): Promise<[Reply, Typed[]]> {
    const turn = this.#queue.then(async () => {
      const described = arrays.map(({ data, shape }) => [
        DTYPES[data.constructor.name as keyof typeof DTYPES],
        shape,
      ]);
      const json = Buffer.from(JSON.stringify({ ...message, arrays: described }));
      const head = Buffer.alloc(4);
      head.writeUInt32LE(json.length);
      this.#child.stdin.write(Buffer.concat([head, json]));
      for (const { data } of arrays)
        this.#child.stdin.write(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      return this.#receive();
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Makes the Python contenders of `work` ready.
   * @returns them by name, and what the others lack
   */
  async prepare(
    work: string,
    parameters: Record<string, unknown>,
    inputs: readonly Shaped[],
  ): Promise<{ contenders: Record<string, RemoteContender>; missing: Record<string, string> }> {
    const id = this.#nextId++;
    const [{ contenders = [], missing = {} }] = await this.#ask(
      { order: 'prepare', work, parameters, id },
      inputs,
    );
    return {
      missing,
      contenders: Object.fromEntries(
        contenders.map((contender) => [
          contender,
          {
            call: async () => (await this.#ask({ order: 'call', id, contender }))[1][0],
            turn: async (seconds: number) =>
              (await this.#ask({ order: 'turn', id, contender, seconds }))[0].samples ?? [],
          },
        ]),
      ),
    };
  }

  dispose(): void {
    this.#child.stdin.end();
    this.#child.kill();
  }
}
