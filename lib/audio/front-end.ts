import { setImmediate } from 'node:timers/promises';
import type { AudioFrontEnd } from '../encoders/spec.js';
import { InputError, throwIfCancelled } from '../errors.js';
import type { ExecOptions } from '../ops/exec.js';
import { Spectrogram } from '../ops/mel.js';
import type { SpectrogramSpec } from '../ops/spectrogram-spec.js';

type MelFrontEnd = Extract<AudioFrontEnd, { kind: 'mel' }>;

/** Samples looked at before the event loop gets a turn: about a millisecond's worth. */
const SAMPLES_PER_TURN = 1 << 19;

/** What a clip became before the graph: rows of `rowLength` values, of which every window takes `windowRows`. */
export interface Features {
  /** (rows, rowLength): mel frames, or samples with rowLength 1. */
  data: Float32Array;
  windows: number;
}

/** Samples -> windows of what the graph takes. Windows and filterbank are prepared once. */
export class FrontEnd {
  readonly #spec: AudioFrontEnd;
  readonly #spectrogram: Spectrogram | undefined;
  readonly #exec: Omit<ExecOptions, 'signal'>;

  private constructor(
    spec: AudioFrontEnd,
    spectrogram: Spectrogram | undefined,
    exec: Omit<ExecOptions, 'signal'>,
  ) {
    this.#spec = spec;
    this.#spectrogram = spectrogram;
    this.#exec = exec;
  }

  static async create(spec: AudioFrontEnd, exec: Omit<ExecOptions, 'signal'>): Promise<FrontEnd> {
    const spectrogram =
      spec.kind === 'mel' ? await Spectrogram.create(spectrogramSpec(spec), exec) : undefined;
    return new FrontEnd(spec, spectrogram, exec);
  }

  /** Rows (mel frames or samples) in a window, from one window to the next, and values in a row. */
  get shape(): { windowRows: number; hopRows: number; rowLength: number } {
    const spec = this.#spec;
    return spec.kind === 'mel'
      ? { windowRows: spec.windowFrames, hopRows: spec.hopFrames, rowLength: spec.mel.nMels }
      : { windowRows: spec.windowSamples, hopRows: spec.hopSamples, rowLength: 1 };
  }

  /** The samples that a window stands on: [start, end). */
  span(window: number): { start: number; end: number } {
    const { windowRows, hopRows } = this.shape;
    const first = window * hopRows;
    if (this.#spec.kind === 'waveform') return { start: first, end: first + windowRows };
    const { hop, length, before } = frameGeometry(this.#spec);
    const start = first * hop - before;
    return { start: Math.max(0, start), end: start + (windowRows - 1) * hop + length };
  }

  /** @throws InputError ERR_INPUT_VALUE  a sample that is not finite */
  async features(samples: Float32Array, field: string, signal: AbortSignal | undefined): Promise<Features> {
    const spec = this.#spec;
    const { windowRows, hopRows } = this.shape;
    const rows = this.#rowsOf(samples.length);
    const whole = rows < windowRows ? 0 : 1 + Math.floor((rows - windowRows) / hopRows);
    const rest = whole === 0 || (whole - 1) * hopRows + windowRows < rows;
    const windows = whole + (rest && (whole === 0 || spec.tail === 'pad') ? 1 : 0);
    const neededRows = (windows - 1) * hopRows + windowRows;
    const scaled = new Float32Array(Math.max(samples.length, this.#samplesFor(neededRows)));
    for (let i = 0; i < samples.length; i++) {
      if (i % SAMPLES_PER_TURN === SAMPLES_PER_TURN - 1) {
        await setImmediate();
        throwIfCancelled(signal);
      }
      const value = samples[i]! * spec.sampleScale;
      if (!Number.isFinite(value)) {
        throw new InputError('ERR_INPUT_VALUE', {
          field: `${field}.samples[${i}]`,
          expected: 'a finite number',
          got: String(samples[i]),
        });
      }
      scaled[i] = value;
    }
    if (spec.kind === 'waveform') return { data: scaled, windows };
    const { data } = await this.#spectrogram!.run(scaled, { ...this.#exec, signal });
    const { featureScale, featureOffset } = spec;
    if (featureScale !== 1 || featureOffset !== 0) {
      for (let i = 0; i < data.length; i++) data[i] = data[i]! * featureScale + featureOffset;
    }
    return { data, windows };
  }

  #rowsOf(samples: number): number {
    if (this.#spec.kind === 'waveform') return samples;
    const { hop, length, before, after } = frameGeometry(this.#spec);
    const padded = samples + before + after;
    return padded < length ? 0 : 1 + Math.floor((padded - length) / hop);
  }

  #samplesFor(rows: number): number {
    if (this.#spec.kind === 'waveform') return rows;
    const { hop, length, before, after } = frameGeometry(this.#spec);
    return (rows - 1) * hop + length - before - after;
  }

  dispose(): void {
    this.#spectrogram?.dispose();
  }
}

/** Samples of a frame, from frame to frame, and of the padding at both ends. */
function frameGeometry({ mel, sampleRate }: MelFrontEnd): {
  length: number;
  hop: number;
  before: number;
  after: number;
} {
  if (mel.convention === 'kaldi') {
    // 25 ms every 10 ms, as the operator's defaults are.
    return {
      length: Math.floor(sampleRate * 0.025),
      hop: Math.floor(sampleRate * 0.01),
      before: 0,
      after: 0,
    };
  }
  const pad = mel.padMode === 'none' ? 0 : Math.floor(mel.nFft / 2);
  return { length: mel.nFft, hop: mel.hopLength, before: pad, after: pad };
}

function spectrogramSpec({ mel, sampleRate }: MelFrontEnd): SpectrogramSpec {
  const { nMels, fMin, fMax, window } = mel;
  if (mel.convention === 'kaldi') {
    return { kind: 'kaldi', sampleRate, nMels, fMin, fMax, window, layout: 'frames-bands' };
  }
  const { nFft, winLength, hopLength, padMode, power, melScale, norm, scaling } = mel;
  const framing = padMode === 'none' ? ({ center: false } as const) : ({ center: true, padMode } as const);
  return {
    kind: 'mel',
    layout: 'frames-bands',
    ...{ sampleRate, nFft, winLength, hopLength, window, power, nMels, fMin, fMax, melScale, norm, scaling },
    ...framing,
  };
}
