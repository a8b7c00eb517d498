import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { MediaError } from '../errors.js';
import { atExit } from '../exit.js';
import {
  fromErrorData,
  type Job,
  type JobResult,
  type ProgressMessage,
  type Reply,
  type Report,
  withSamples,
} from './job.js';
import { type Lane, WORKER_FILE } from './lane.js';
import { limitError } from './limits.js';

type ChildReply = Extract<Reply, { ok: false }> | (Extract<Reply, { ok: true }> & { sizes: number[] });

const MEMORY_CHECK_MS = 50;
/** JavaScript heap of the child; samples lie outside it. */
const CHILD_HEAP_MIB = 256;
/** What a child sees of our environment: decoding untrusted files, it gets no secrets. */
const CHILD_ENVIRONMENT = ['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'TMPDIR', 'LANG'];

/** A child process: may be killed at any moment, and its crash costs the one job only. */
export class ProcessLane implements Lane {
  private child: ChildProcess | undefined;

  async run(job: Job, report: Report): Promise<JobResult> {
    const child = this.start();
    const pipe = child.stdio[3] as Readable & { ref(): void; unref(): void };
    let overMemory = 0;
    const watch = setInterval(async () => {
      const used = await residentBytes(child.pid);
      if (used <= job.limits.maxProcessBytes) return;
      overMemory = used;
      child.kill('SIGKILL');
    }, MEMORY_CHECK_MS);
    const forget = atExit(() => child.kill('SIGKILL'));
    refer(child, 'ref');
    let detach = () => {};
    try {
      return await new Promise<JobResult>((resolve, reject) => {
        const onEnd = (code: number | null, signal: string | null) =>
          reject(
            overMemory > 0
              ? limitError(job.subject, 'maxProcessBytes', job.limits.maxProcessBytes, `${overMemory} bytes`)
              : deathError(job, signal ? `signal ${signal}` : `exit code ${code}`),
          );
        const onError = (cause: Error) => reject(deathError(job, cause.message, cause));
        const onMessage = (reply: ChildReply | ProgressMessage) => {
          if ('done' in reply) report(reply.done);
          else if (!reply.ok) {
            // A child that went over a limit is not used again: its memory stays large.
            if (reply.error.code === 'ERR_MEDIA_LIMIT') child.kill('SIGKILL');
            reject(fromErrorData(reply.error));
          } else {
            receiveSamples(pipe, reply.sizes).then(
              (buffers) => resolve(withSamples(reply.result, buffers)),
              reject,
            );
          }
        };
        child.on('message', onMessage).on('exit', onEnd).on('error', onError);
        detach = () => child.off('message', onMessage).off('exit', onEnd).off('error', onError);
        child.send(job, (error) => error && reject(deathError(job, error.message, error)));
      });
    } finally {
      clearInterval(watch);
      forget();
      detach();
      refer(child, 'unref');
      if (child.killed && this.child === child) this.child = undefined;
    }
  }

  stop(): void {
    this.child?.kill('SIGKILL');
  }

  async dispose(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    refer(child, 'ref');
    child.kill('SIGKILL');
    await ended;
  }

  private start(): ChildProcess {
    if (this.child) return this.child;
    const child = fork(fileURLToPath(WORKER_FILE), [], {
      execArgv: [`--max-old-space-size=${CHILD_HEAP_MIB}`],
      env: Object.fromEntries(CHILD_ENVIRONMENT.map((name) => [name, process.env[name]])),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'ipc'],
    });
    const lost = () => {
      if (this.child === child) this.child = undefined;
    };
    child.on('exit', lost).on('error', lost).on('disconnect', lost);
    (child.stdio[3] as Readable).on('error', () => {}); // told by 'exit'
    refer(child, 'unref');
    this.child = child;
    return child;
  }
}

/** Whether the child and its pipes keep this process alive: only while it works. */
function refer(child: ChildProcess, how: 'ref' | 'unref'): void {
  child[how]();
  child.channel?.[how]();
  (child.stdio[3] as unknown as { ref(): void; unref(): void })[how]();
}

/** Reads exactly the announced bytes, a piece at a time. */
function receiveSamples(pipe: Readable, sizes: readonly number[]): Promise<ArrayBuffer[]> {
  const buffers = sizes.map((size) => new ArrayBuffer(size));
  let index = 0;
  let filled = 0;
  return new Promise((resolve) => {
    const skipFull = () => {
      while (index < buffers.length && filled === buffers[index]!.byteLength) {
        index++;
        filled = 0;
      }
      return index === buffers.length;
    };
    if (skipFull()) {
      resolve(buffers);
      return;
    }
    const onData = (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; skipFull()) {
        const target = new Uint8Array(buffers[index]!, filled);
        const piece = chunk.subarray(at, at + target.length);
        target.set(piece);
        filled += piece.length;
        at += piece.length;
      }
      if (index < buffers.length) return;
      pipe.off('data', onData);
      pipe.pause();
      resolve(buffers);
    };
    pipe.on('data', onData);
    pipe.resume();
  });
}

/** 0 where the system has no /proc: the child then checks itself alone. */
async function residentBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
}

function deathError({ subject }: Job, how: string, cause?: unknown): MediaError {
  return new MediaError('ERR_MEDIA_PROCESS', {
    ...subject,
    expected: 'a decoding process that lives',
    got: `its end by ${how}`,
    cause,
  });
}
