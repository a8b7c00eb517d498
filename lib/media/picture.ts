import type { FilterContext, FilterGraph, Frame } from 'node-av/lib';
import type { Track } from './container.js';
import { damaged } from './container.js';
import type { Subject } from './limits.js';
import type { Av } from './runtime.js';
import type { VideoFrame } from './types.js';

export type Picture = Omit<VideoFrame, 'timestampMs'>;

/** How a stored picture becomes an upright one: at most a mirroring, then a turn clockwise. */
export interface Orientation {
  mirrored: boolean;
  quarterTurns: 0 | 1 | 2 | 3;
}

/**
 * Reads a display matrix (nine 32-bit numbers, row-major: `a b u; c d v; x y w`), to the nearest quarter turn.
 * A picture's point (x, y) is shown at (a·x + c·y, b·x + d·y).
 */
export function orientationOf(matrix: Buffer | null): Orientation {
  if (!matrix || matrix.length < 36) return { mirrored: false, quarterTurns: 0 };
  const at = (i: number) => matrix.readInt32LE(4 * i) / 65536;
  let [a, b] = [at(0), at(1)];
  const [c, d] = [at(3), at(4)];
  const mirrored = a * d - b * c < 0;
  if (mirrored) [a, b] = [-a, -b]; // taking the mirroring (x -> -x) out leaves a turn
  const turns = Math.round(Math.atan2(b, a) / (Math.PI / 2));
  return { mirrored, quarterTurns: (((turns % 4) + 4) % 4) as Orientation['quarterTurns'] };
}

/** Size in which pictures come out: upright, the longer side at most `maxSide`. */
export function uprightSize(
  width: number,
  height: number,
  { quarterTurns }: Orientation,
  maxSide: number | undefined,
): { width: number; height: number } {
  const scale = maxSide === undefined ? 1 : Math.min(1, maxSide / Math.max(width, height));
  const size = [width, height].map((side) => Math.max(1, Math.round(side * scale))) as [number, number];
  if (quarterTurns % 2 === 1) size.reverse();
  return { width: size[0], height: size[1] };
}

/** Scaling as exact as FFmpeg has it, for pictures that an encoder sees. */
const EXACT = 'bicubic+accurate_rnd+full_chroma_int';

/** Decoded frame -> packed upright 8-bit picture. Keeps one filter graph while frames stay of one kind. */
export class PictureConverter implements Disposable {
  private graph: { graph: FilterGraph; source: FilterContext; sink: FilterContext; key: string } | undefined;

  constructor(
    private readonly av: Av,
    private readonly track: Track,
    private readonly orientation: Orientation,
    private readonly maxSide: number | undefined,
    private readonly subject: Subject,
    /** Flags of FFmpeg's scaler. */
    private readonly scaler: string = EXACT,
  ) {}

  [Symbol.dispose](): void {
    this.graph?.graph.free();
    this.graph = undefined;
  }

  convert(frame: Frame): Picture {
    const plan = this.plan(frame);
    if (plan.filters === '') return this.pack(frame, plan);
    const { source, sink } = this.graphFor(frame, plan.filters);
    using converted = new this.av.Frame();
    converted.alloc();
    this.must(source.buffersrcAddFrameSync(frame, this.av.C.AV_BUFFERSRC_FLAG_KEEP_REF));
    this.must(sink.buffersinkGetFrameSync(converted));
    return this.pack(converted, plan);
  }

  /** Which filters a frame needs and what comes out of them. */
  private plan(frame: Frame): { filters: string } & Pick<Picture, 'format' | 'matrix' | 'range'> {
    const { C } = this.av;
    const name = this.av.avGetPixFmtName(frame.format as Parameters<Av['avGetPixFmtName']>[0]) ?? '';
    const hdr = frame.colorTrc === C.AVCOL_TRC_SMPTE2084 || frame.colorTrc === C.AVCOL_TRC_ARIB_STD_B67;
    const wide = frame.colorSpace === C.AVCOL_SPC_BT2020_NCL || frame.colorSpace === C.AVCOL_SPC_BT2020_CL;
    // Colours without Y'CbCr, and rare Y'CbCr that neither of our two matrices describes, become RGB.
    const rgb = /^(rgb|bgr|gbr|argb|abgr|0rgb|0bgr|x2|pal8|mono|gray|ya|bayer)/.test(name);
    const full = frame.colorRange === C.AVCOL_RANGE_JPEG || name.startsWith('yuvj');
    const { mirrored, quarterTurns } = this.orientation;
    const turned = mirrored || quarterTurns !== 0;
    // Turning 4:2:0 of odd size would move the colours by half a pixel.
    const exact = turned && (frame.width % 2 === 1 || frame.height % 2 === 1);
    const matrix = wide || hdr ? 'bt709' : this.matrixOf(frame);
    const format = rgb || exact ? 'rgb24' : 'i420';

    const filters: string[] = [];
    const scaled = uprightSize(frame.width, frame.height, { mirrored, quarterTurns: 0 }, this.maxSide);
    const resized = scaled.width !== frame.width || scaled.height !== frame.height;
    if (hdr && !rgb)
      filters.push('tonemapx=tonemap=bt2390:desat=0:p=bt709:t=bt709:m=bt709:r=tv:format=yuv420p');
    const target = format === 'rgb24' ? 'rgb24' : 'yuv420p';
    const isTarget = name === target || (hdr && !rgb && target === 'yuv420p') || name === 'yuvj420p';
    if (resized || (wide && !hdr) || !isTarget || (exact && !rgb)) {
      const from = wide ? (hdr ? 'bt709' : 'bt2020') : matrix;
      filters.push(
        `scale=w=${scaled.width}:h=${scaled.height}:flags=${this.scaler}:` +
          (rgb ? '' : `in_color_matrix=${from}:out_color_matrix=${matrix}:`) +
          (rgb ? '' : `in_range=${full ? 'full' : 'limited'}:`) +
          `out_range=${format === 'rgb24' || (full && !hdr) ? 'full' : 'limited'}`,
        `format=${target}`,
      );
    }
    if (mirrored) filters.push('hflip');
    filters.push(
      ...['transpose=clock', 'hflip,vflip', 'transpose=cclock'].slice(quarterTurns - 1, quarterTurns),
    );
    return {
      filters: filters.join(','),
      format,
      matrix,
      range: format === 'rgb24' || (full && !hdr) ? 'full' : 'limited',
    };
  }

  /** As the file says; where it does not, by the custom that standard definition is BT.601 and above it BT.709. */
  private matrixOf(frame: Frame): Picture['matrix'] {
    const { C } = this.av;
    switch (frame.colorSpace) {
      case C.AVCOL_SPC_BT709:
      case C.AVCOL_SPC_SMPTE240M: // within 2 % of BT.709
        return 'bt709';
      case C.AVCOL_SPC_BT470BG:
      case C.AVCOL_SPC_SMPTE170M:
      case C.AVCOL_SPC_FCC:
        return 'bt601';
      default:
        return frame.height < 720 ? 'bt601' : 'bt709';
    }
  }

  private graphFor(frame: Frame, filters: string): { source: FilterContext; sink: FilterContext } {
    const { av } = this;
    const key = `${frame.width} ${frame.height} ${frame.format} ${frame.colorSpace} ${frame.colorRange} ${filters}`;
    if (this.graph?.key === key) return this.graph;
    this[Symbol.dispose]();
    const graph = new av.FilterGraph();
    graph.alloc();
    graph.nbThreads = 1;
    const { num, den } = this.track.stream.timeBase;
    const source = graph.createFilter(
      av.Filter.getByName('buffer')!,
      'in',
      `video_size=${frame.width}x${frame.height}:pix_fmt=${frame.format}:time_base=${num}/${den}:` +
        `colorspace=${frame.colorSpace}:range=${frame.colorRange}`,
    );
    const sink = graph.createFilter(av.Filter.getByName('buffersink')!, 'out', null);
    if (!source || !sink) throw damaged(this.subject, 'a picture that cannot be converted');
    this.graph = { graph, source, sink, key };
    using inputs = new av.FilterInOut();
    using outputs = new av.FilterInOut();
    this.connect(outputs, 'in', source);
    this.connect(inputs, 'out', sink);
    this.must(graph.parsePtr(filters, inputs, outputs));
    this.must(graph.configSync());
    return this.graph;
  }

  private connect(end: InstanceType<Av['FilterInOut']>, name: string, filter: FilterContext): void {
    end.alloc();
    end.name = name;
    end.filterCtx = filter;
    end.padIdx = 0;
  }

  private pack(
    frame: Frame,
    { format, matrix, range }: Pick<Picture, 'format' | 'matrix' | 'range'>,
  ): Picture {
    const { width, height } = frame;
    const packed = frame.toBuffer();
    // Memory of our own: the result is transferred to another thread, a Buffer's cannot be.
    return { data: new Uint8Array(packed), format, width, height, matrix, range };
  }

  private must(status: number): void {
    if (status < 0)
      throw damaged(
        this.subject,
        `a picture that cannot be converted: ${this.av.FFmpegError.strerror(status)}`,
      );
  }
}
