/** Entry of a decoding worker thread or child process: takes one job at a time, blocks on it, replies. */

import { Socket } from 'node:net';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { decodeAudio } from './audio.js';
import { decodeImage, probeImage } from './image.js';
import {
  type Checkpoint,
  type Job,
  type JobResult,
  type ProgressMessage,
  type Reply,
  type Report,
  Stopped,
  samplesOf,
  toErrorData,
  withSamples,
} from './job.js';
import { limitError } from './limits.js';
import { measureLoudness } from './loudness.js';
import { probeContainer } from './probe.js';
import { loadAv } from './runtime.js';
import { scanVideo } from './scan.js';
import { sniffImage } from './sniff.js';
import { readBytes, readHead } from './source.js';
import { IDLE, STATE, STOP } from './thread-lane.js';
import { decodeVideo } from './video.js';

async function runJob(job: Job, checkpoint: Checkpoint, report: Report): Promise<JobResult> {
  const { subject, limits } = job;
  if (job.kind === 'image' || (job.kind === 'probe' && sniffImage(await readHead(job.path, subject)))) {
    const bytes = await readBytes(
      { kind: 'path', path: job.path },
      {
        subject,
        limit: 'maxImageBytes',
        maxBytes: limits.maxImageBytes,
        signal: new AbortController().signal,
      },
    );
    return job.kind === 'image' ? decodeImage(bytes, subject, limits) : probeImage(bytes, subject, limits);
  }
  const av = await loadAv(subject);
  checkpoint();
  switch (job.kind) {
    case 'video':
      return decodeVideo(av, job, checkpoint);
    case 'audio':
      return decodeAudio(av, job, checkpoint);
    case 'scan':
      return scanVideo(av, job, checkpoint, report);
    case 'loudness':
      return measureLoudness(av, job, checkpoint, report);
    case 'probe':
      return probeContainer(av, job);
  }
}

/** Messages no more often than every so many ms: each wakes the caller. */
const REPORT_MS = 100;

function reporter(post: (message: ProgressMessage) => void): Report {
  let last = performance.now();
  return (done) => {
    if (performance.now() - last < REPORT_MS) return;
    last = performance.now();
    post({ done });
  };
}

async function reply(job: Job, checkpoint: Checkpoint, report: Report): Promise<Reply> {
  try {
    return { ok: true, result: await runJob(job, checkpoint, report) };
  } catch (error) {
    return { ok: false, error: toErrorData(error, job.subject) };
  }
}

function serveThread(): void {
  const control = (workerData as { control: Int32Array }).control;
  const checkpoint = () => {
    if (Atomics.load(control, STOP) === 1) throw new Stopped();
  };
  parentPort!.on('message', async (job: Job) => {
    const answer = await reply(
      job,
      checkpoint,
      reporter((message) => parentPort!.postMessage(message)),
    );
    const buffers = answer.ok ? samplesOf(answer.result).map(({ buffer }) => buffer as ArrayBuffer) : [];
    parentPort!.postMessage(answer, buffers);
    // From here on the thread is in no native call: it may be ended.
    Atomics.store(control, STATE, IDLE);
    Atomics.notify(control, STATE);
  });
}

/** Samples go through a pipe of their own: as messages they would be copied thrice and hold up the receiver. */
const SAMPLE_FD = 3;

function serveProcess(): void {
  const pipe = new Socket({ fd: SAMPLE_FD, readable: false, writable: true });
  process.on('disconnect', () => process.exit());
  process.on('message', async (job: Job) => {
    const answer = await reply(
      job,
      memoryCheckpoint(job),
      reporter((message) => process.send!(message)),
    );
    if (!answer.ok) {
      process.send!(answer);
      return;
    }
    const samples = samplesOf(answer.result);
    const shells = samples.map(() => new ArrayBuffer(0));
    process.send!({
      ok: true,
      result: withSamples(answer.result, shells),
      sizes: samples.map(({ byteLength }) => byteLength),
    });
    for (const { buffer, byteOffset, byteLength } of samples) {
      if (byteLength > 0) pipe.write(new Uint8Array(buffer, byteOffset, byteLength));
    }
  });
}

/** The parent watches too, where it can; this names the limit before the system has to kill. */
function memoryCheckpoint({ subject, limits }: Job): Checkpoint {
  let calls = 0;
  return () => {
    if (calls++ % 16 !== 0) return;
    const used = process.memoryUsage.rss();
    if (used > limits.maxProcessBytes) {
      throw limitError(subject, 'maxProcessBytes', limits.maxProcessBytes, `${used} bytes`);
    }
  };
}

if (isMainThread) serveProcess();
else serveThread();
