/**
 * A peer written in Python: a process that is started once, says `ready`, and then does the work once for every line it
 * reads, answering with a line of JSON. There where `python3` has what the script imports.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../lib/native.js';

/** Interpreters that may have PyTorch: the one asked for, the first on PATH, the system's. */
const PYTHONS = [process.env.CINEFUSE_BENCH_PYTHON, 'python3', '/usr/bin/python3'];

export class PythonPeer {
  #process: ChildProcessWithoutNullStreams;
  #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>) {
    this.#process = child;
    this.#lines = lines;
  }

  /**
   * @param script  a file of bench/train
   * @returns undefined where no interpreter can run it
   */
  static async start(script: string, args: readonly string[] = []): Promise<PythonPeer | undefined> {
    const file = path.join(packageRoot(), 'bench', 'train', script);
    for (const python of PYTHONS) {
      if (!python) continue;
      const child = spawn(python, [file, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
      child.on('error', () => undefined); // no such interpreter: its output ends
      child.stdin.on('error', () => undefined);
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const first = await lines.next();
      if (!first.done && first.value === 'ready') return new PythonPeer(child, lines);
      child.kill();
    }
    return undefined;
  }

  /** One turn of the work. */
  async run(): Promise<unknown> {
    this.#process.stdin.write('run\n');
    const line = await this.#lines.next();
    if (line.done) throw new Error('the Python peer ended');
    return JSON.parse(line.value);
  }

  dispose(): void {
    this.#process.stdin.end();
    this.#process.kill();
  }
}
