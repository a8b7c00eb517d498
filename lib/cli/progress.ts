import cliProgress from 'cli-progress';

const FILMS = '{bar} {percentage} %  {films} films  {duration_formatted}, {eta_formatted} to go';

/** A bar on stderr while many films are predicted; on anything but a terminal it does nothing. */
export class Progress {
  #bar: cliProgress.SingleBar | undefined;
  #films = 0;
  readonly #stream: NodeJS.WriteStream;

  /** @param total  units of `advance` that make up the whole */
  constructor(total: number, stream: NodeJS.WriteStream = process.stderr, format = FILMS) {
    this.#stream = stream;
    if (!stream.isTTY || total === 0) return;
    this.#bar = new cliProgress.SingleBar({
      stream,
      format,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 28,
      hideCursor: true,
      clearOnComplete: true,
      etaBuffer: 50,
      gracefulExit: false,
    });
    this.#bar.start(total, 0, { films: 0 });
  }

  advance(units: number): void {
    this.#bar?.increment(units, { films: this.#films });
  }

  filmDone(): void {
    this.#films++;
    this.#bar?.update({ films: this.#films });
  }

  /** Writes to a terminal that also shows the bar: the bar makes room and comes back. */
  async around(write: () => Promise<void>): Promise<void> {
    if (this.#bar) this.#stream.write('\r\u001b[K');
    await write();
    this.#bar?.render();
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
