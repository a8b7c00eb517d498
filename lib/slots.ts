import { CancelledError, type DisposedError } from './errors.js';

interface Waiter {
  grant(): void;
  refuse(error: Error): void;
}

/** So many calls at a time, the others in order of arrival. */
export class Slots {
  private free: number;
  private readonly waiting: Waiter[] = [];

  constructor(count: number) {
    this.free = count;
  }

  /** @throws CancelledError when the signal fires while waiting; DisposedError when the queue is closed */
  acquire(signal: AbortSignal | undefined): Promise<void> {
    if (this.free > 0) {
      this.free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.waiting.splice(this.waiting.indexOf(waiter), 1);
        reject(new CancelledError({ cause: signal?.reason }));
      };
      const waiter: Waiter = {
        grant: () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', leave);
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.waiting.push(waiter);
    });
  }

  release(): void {
    const first = this.waiting.shift();
    if (first) first.grant();
    else this.free++;
  }

  refuseAll(error: DisposedError): void {
    for (const waiter of this.waiting.splice(0)) waiter.refuse(error);
  }
}
