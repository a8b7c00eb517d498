/** What the commands of training have in common: their options, a bar, numbers as text. */
import cliProgress from 'cli-progress';
import { Option } from 'commander';
import type { ParsedFuseConfig } from '../train/config.js';
import type { FitProgress } from '../train/fit-types.js';
import { wholeNumber } from './context.js';
import { padStart } from './terminal.js';

export interface TrainingFlags {
  config?: string;
  threads?: number;
  cache?: string | false;
}

export const configOption = () =>
  new Option('--config <file>', 'what to train and how: fuse.json').default('fuse.json');

export const encodingOptions = () => [
  new Option('--threads <n>', 'threads to compute with (default: the cores of this process)').argParser(
    wholeNumber,
  ),
  new Option('--cache <folder>', 'where embeddings are kept, so that the next run encodes nothing'),
  new Option('--no-cache', 'keep no embeddings'),
];

/** Where embeddings are kept, as the library takes it. */
export function encodingOf({ cache }: TrainingFlags) {
  if (cache === false) return { cache: false as const };
  return typeof cache === 'string' ? { cache: { directory: cache } } : {};
}

/** @throws TrainError ERR_TRAIN_CONFIG */
export async function loadConfig({ config = 'fuse.json' }: TrainingFlags): Promise<ParsedFuseConfig> {
  const { readFuseConfig } = await import('../train/config-file.js');
  return readFuseConfig(config);
}

const STAGES: Record<FitProgress['stage'], string> = {
  encode: 'encoding',
  prepare: 'scaling',
  train: 'training',
  calibrate: 'calibrating',
  save: 'saving',
};

/** A bar on stderr with what goes on; on anything but a terminal it does nothing. */
export class TrainingBar {
  #bar: cliProgress.SingleBar | undefined;
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** @param note  beside the bar, e.g. the loss */
  show(what: string, done: number, total: number, note = ''): void {
    if (!this.#stream.isTTY || total === 0) return;
    if (!this.#bar) {
      this.#bar = new cliProgress.SingleBar({
        stream: this.#stream,
        format: '{what} {bar} {percentage} %  {note}  {duration_formatted}, {eta_formatted} to go',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: 28,
        hideCursor: true,
        clearOnComplete: true,
        etaBuffer: 50,
        gracefulExit: false,
      });
      this.#bar.start(total, done, { what, note });
    }
    if (this.#bar.getTotal() !== total) this.#bar.setTotal(total);
    this.#bar.update(done, { what: what.padEnd(11), note });
  }

  fit({ stage, member, members, epoch, epochs, done, total, loss }: FitProgress): void {
    const which = members > 1 ? `network ${member} of ${members}, ` : '';
    const note =
      stage === 'train'
        ? `${which}epoch ${epoch} of ${epochs}${loss === undefined ? '' : `, loss ${loss.toFixed(4)}`}`
        : '';
    this.show(STAGES[stage], done, total, note);
  }

  /** Writes a line above the bar. */
  line(text: string): void {
    if (this.#bar) this.#stream.write('\r\u001b[K');
    this.#stream.write(`${text}\n`);
    this.#bar?.render();
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

/** 0.123456 -> "0.1235": four significant digits. */
export function figureOf(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '-';
  return String(Number(value.toPrecision(4)));
}

/** Rows of cells in columns as wide as their widest; the first column to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>((all, row) => {
    for (const [i, cell] of row.entries()) all[i] = Math.max(all[i] ?? 0, cell.length);
    return all;
  }, []);
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[0]!) : padStart(cell, widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
