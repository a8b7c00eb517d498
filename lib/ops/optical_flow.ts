import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';

export interface OpticalFlowInput {
  /** (n, height, width) grey levels, row-major: bytes, or floats of about 0..255 (at most ±65535). */
  frames: Uint8Array | Float32Array;
  height: number;
  width: number;
}

export interface OpticalFlowOptions extends ExecOptions {
  /** Most levels of the pyramid, 1..12. Default: the shorter side is halved while 16 pixels or more remain. */
  levels?: number | undefined;
  /** Of each level, 1..100. Default 3. */
  iterations?: number | undefined;
  /** Standard deviation of the window in pixels, 0.5..6. More is smoother and bears more noise. Default 2.5. */
  window?: number | undefined;
  /** How much texture a window needs to move otherwise than its surroundings, 1e-5..1000. Default 0.001. */
  regularization?: number | undefined;
  /** Written instead of a new array: (n - 1, height, width, 2). */
  out?: Float32Array | undefined;
}

/**
 * Dense motion from each frame to the next: where every pixel went, coarse to fine.
 *
 * Of every level of a frame's pyramid the local contrast C is taken, which a fade or another exposure leaves as it is;
 * from the coarsest level, some times a level, with a Gaussian window G:
 *
 *   W(x) = C₂(x + u),   r = W - C₁,   g = ∇(C₁ + W) / 2,   w = inside / (1 + (r / 0.3)²)
 *   (G * w g gᵀ + λ I) u' = G * (w g (g · u - r) + λ u)
 *
 * and after the last a median of 3 x 3 pixels. A flat area takes the motion around it; where a thing covers another, some
 * pixels on either side of the edge are blends of both motions. What moves by more than about 3 pixels at the coarsest
 * level (24 of 320 x 180) is not followed.
 *
 * @returns (n - 1, height, width, 2): dx, dy in pixels; empty for one frame
 * @throws ShapeError ERR_SHAPE        frames of another length than n · height · width, n < 1; a side over 16384
 * @throws InputError ERR_INPUT_VALUE  an option out of range; a level that is not finite or beyond ±65535
 *
 * On all backends within 2e-4 of float64 on the golden frames. Memory beside the result: some 20 floats a pixel and
 * thread. Source: Lucas and Kanade 1981; Bouguet 2001 (pyramid); Simoncelli 1991 (prior); Sun, Roth and Black 2010
 * (median).
 */
export async function opticalFlow(
  input: OpticalFlowInput,
  options: OpticalFlowOptions = {},
): Promise<Float32Array> {
  const { frames, height, width } = input;
  const bytes = frames instanceof Uint8Array ? frames : undefined;
  const floats = frames instanceof Float32Array ? frames : undefined;
  if (!bytes && !floats) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'frames',
      expected: 'a Uint8Array or Float32Array',
      got: describeValue(frames),
    });
  }
  return execute(options, (addon, exec, cancel) =>
    addon.opticalFlow(
      exec,
      cancel,
      height * width > 0 ? Math.floor(frames.length / (height * width)) : 0,
      height,
      width,
      options.levels ?? 0,
      options.iterations ?? 3,
      options.window ?? 2.5,
      options.regularization ?? 1e-3,
      bytes,
      floats,
      options.out,
    ),
  );
}
