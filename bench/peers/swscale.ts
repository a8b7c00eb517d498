/** swscale through node-av, one context a thread, each with its share of the frames. */
import type { Contender } from '../harness.js';

interface Frame {
  data: Uint8Array;
  width: number;
  height: number;
}

/**
 * NV12 frames by its bilinear filter (which widens with the shrinking): to RGB bytes, to those and normalised in
 * JavaScript, and to planar floats.
 */
export async function swscalePeers(
  clip: readonly Frame[],
  side: number,
  threads: number,
  normalise: (rgb: Uint8Array, out: Float32Array<ArrayBuffer>, offset: number) => unknown,
): Promise<Record<string, Contender | undefined>> {
  const names = [
    'swscale bilinear to rgb24 + JavaScript',
    'swscale bilinear to rgb24',
    'swscale bilinear to planar float',
  ] as const;
  const av = await import('node-av').catch(() => undefined);
  if (!av) return Object.fromEntries(names.map((name) => [name, undefined]));
  const { width, height } = clip[0]!;
  const area = side * side;
  const contexts = (format: typeof av.AV_PIX_FMT_RGB24 | typeof av.AV_PIX_FMT_GBRPF32LE) =>
    Array.from({ length: threads }, () => {
      const context = new av.SoftwareScaleContext();
      context.getContext(width, height, av.AV_PIX_FMT_NV12, side, side, format, av.SWS_BILINEAR);
      return context;
    });
  const bytes = contexts(av.AV_PIX_FMT_RGB24);
  const floats = contexts(av.AV_PIX_FMT_GBRPF32LE);
  const planes = clip.map(({ data }) => [
    Buffer.from(data.buffer, data.byteOffset, width * height),
    Buffer.from(data.buffer, data.byteOffset + width * height, (width * height) / 2),
  ]);
  /** Every thread takes each `threads`-th frame. */
  const each = (work: (i: number, thread: number) => Promise<unknown>) =>
    Promise.all(
      Array.from({ length: threads }, async (_, thread) => {
        for (let i = thread; i < clip.length; i += threads) await work(i, thread);
      }),
    );
  const toBytes = (i: number, thread: number, rgb: Buffer) =>
    bytes[thread]!.scale(planes[i]!, [width, width], 0, height, [rgb], [side * 3]);
  const rgb = Array.from({ length: threads }, () => Buffer.alloc(area * 3));
  const all = Buffer.alloc(clip.length * area * 3);
  const planar = new Float32Array(clip.length * 3 * area);
  return {
    [names[0]]: async () => {
      const out = new Float32Array(clip.length * 3 * area);
      await each(async (i, thread) => {
        await toBytes(i, thread, rgb[thread]!);
        normalise(rgb[thread]!, out, i * 3 * area);
      });
      return out;
    },
    [names[1]]: async () => {
      await each((i, thread) => toBytes(i, thread, all.subarray(i * area * 3, (i + 1) * area * 3)));
      return all;
    },
    [names[2]]: async () => {
      await each((i, thread) => {
        // Its order is G, B, R.
        const [g, b, r] = [1, 2, 0].map((c) =>
          Buffer.from(planar.buffer, 4 * (i * 3 + c) * area, 4 * area),
        ) as [Buffer, Buffer, Buffer];
        const stride = 4 * side;
        return floats[thread]!.scale(
          planes[i]!,
          [width, width],
          0,
          height,
          [g, b, r],
          [stride, stride, stride],
        );
      });
      return planar;
    },
  };
}
