/** Optical flow of a pair of frames, and of many, where each thread has pairs of its own. */
import { opticalFlow } from '../../lib/ops/index.js';
import { random } from '../../test/backends.js';
import { type BenchCase, defineSuite } from '../harness.js';

export const FLOW_SIZES = [
  [160, 90],
  [320, 180],
  [640, 360],
] as const;
/** Pixels from frame to frame. */
export const FLOW_MOTION = [2.25, -1.25] as const;

/** (n, height, width) bytes of a scene of waves that moves, with some noise. */
export function movingFrames(n: number, width: number, height: number): Uint8Array {
  const next = random(7);
  const waves = Array.from({ length: 16 }, () => {
    const length = 8 * 6 ** next();
    const angle = 2 * Math.PI * next();
    const k = (2 * Math.PI) / length;
    return [k * Math.cos(angle), k * Math.sin(angle), 2 * Math.PI * next(), 3 * Math.sqrt(length)] as const;
  });
  const frames = new Uint8Array(n * width * height);
  for (let i = 0, at = 0; i < n; i++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [p, q] = [x - i * FLOW_MOTION[0], y - i * FLOW_MOTION[1]];
        const level = waves.reduce((sum, [a, b, c, s]) => sum + s * Math.sin(a * p + b * q + c), 128);
        frames[at++] = Math.max(0, Math.min(255, Math.round(level + 4 * (next() - 0.5))));
      }
    }
  }
  return frames;
}

function caseOf(n: number, width: number, height: number): BenchCase {
  const frames = movingFrames(n, width, height);
  const out = new Float32Array(2 * (n - 1) * width * height);
  return {
    name: `${n - 1} ${n === 2 ? 'pair' : 'pairs'} of ${width} x ${height}`,
    bytes: frames.length + out.byteLength,
    items: n - 1,
    contenders: { cinefuse: () => opticalFlow({ frames, width, height }, { out }) },
    check: () => {
      let sum = 0;
      for (let i = 0; i < out.length; i++)
        sum += Math.abs((out[i] as number) - FLOW_MOTION[(i % 2) as 0 | 1]);
      const error = sum / out.length;
      if (!(error < 0.3)) throw new Error(`${error} pixels from the motion`);
    },
  };
}

export default defineSuite('optical_flow', {
  cases: async () => [...FLOW_SIZES.map(([width, height]) => caseOf(2, width, height)), caseOf(33, 160, 90)],
});
