import type { ImageTransform, VideoEncoderSpec } from '../encoders/spec.js';
import type { Tensor } from '../encoders/tensor.js';
import type { ExecOptions } from '../ops/exec.js';
import { opticalFlow } from '../ops/optical_flow.js';
import { Pace } from '../pace.js';

export interface ClipShape {
  /** Clips in the batch. */
  rows: number;
  /** Frames in each. */
  time: number;
  height: number;
  width: number;
}

/** BT.601, as Pillow turns RGB to grey. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * The second stream of a two-stream encoder: optical flow between the neighbouring frames of each clip, clipped to
 * ±bound pixels, times scale, as planes in the graph's layout.
 *
 * @param data  (rows, time, 3, height, width) as `frames` gives it under `transform`; time at least 2
 */
export async function flowPlanes(
  data: Float32Array,
  { rows, time, height, width }: ClipShape,
  { mean, std }: ImageTransform,
  { bound, scale, layout }: NonNullable<VideoEncoderSpec['flow']>,
  options: ExecOptions,
): Promise<Tensor> {
  const plane = height * width;
  const fields = time - 1;
  const planes = new Float32Array(rows * fields * 2 * plane);
  const grey = new Float32Array(time * plane);
  const pace = new Pace();
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t < time; t++) {
      if (pace.due) await pace.rest();
      const from = (row * time + t) * 3 * plane;
      const own = grey.subarray(t * plane, (t + 1) * plane);
      own.fill(255 * LUMA.reduce((sum, weight, c) => sum + weight * mean[c]!, 0));
      for (const [c, weight] of LUMA.entries()) {
        const factor = 255 * weight * std[c]!;
        const channel = data.subarray(from + c * plane, from + (c + 1) * plane);
        for (let i = 0; i < plane; i++) own[i]! += factor * channel[i]!;
      }
    }
    const flow = await opticalFlow({ frames: grey, height, width }, options);
    for (let t = 0; t < fields; t++) {
      if (pace.due) await pace.rest();
      for (const axis of [0, 1]) {
        const index = layout === 'bcthw' ? (row * 2 + axis) * fields + t : (row * fields + t) * 2 + axis;
        const to = planes.subarray(index * plane, (index + 1) * plane);
        for (let i = 0, at = 2 * t * plane + axis; i < plane; i++, at += 2) {
          to[i] = scale * Math.max(-bound, Math.min(bound, flow[at]!));
        }
      }
    }
  }
  const channels = layout === 'stacked' ? [2 * fields] : layout === 'btchw' ? [fields, 2] : [2, fields];
  return { type: 'float32', dims: [rows, ...channels, height, width], data: planes };
}
