import type { Job, JobResult, Report } from './job.js';

/** One worker thread or child process: runs one job at a time, starts its worker on the first. */
export interface Lane {
  /** @throws the job's own error; MediaError ERR_MEDIA_PROCESS when the worker died */
  run(job: Job, report: Report): Promise<JobResult>;
  /** Makes a running job's promise settle soon. */
  stop(): void;
  /** Ends the worker. No job may be running. */
  dispose(): Promise<void>;
}

export const WORKER_FILE = new URL('./worker.js', import.meta.url);
