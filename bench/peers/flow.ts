/** Dense optical flow between two frames, against OpenCV's. How near each comes to the truth: python/flow_accuracy.py. */
import { opticalFlow } from '../../lib/ops/index.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { FLOW_MOTION, FLOW_SIZES, movingFrames } from '../ops/optical_flow.bench.js';
import { endPeers, pythonPeers, shaped } from './peers.js';

/** Mean distance from the motion that the frames were drawn with. */
function endPointError(flow: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < flow.length; i += 2) {
    sum += Math.hypot((flow[i] as number) - FLOW_MOTION[0], (flow[i + 1] as number) - FLOW_MOTION[1]);
  }
  return (2 * sum) / flow.length;
}

export default defineSuite('flow', {
  cases: async (): Promise<BenchCase[]> => {
    const list: BenchCase[] = [];
    for (const [width, height] of FLOW_SIZES) {
      const frames = movingFrames(2, width, height);
      const out = new Float32Array(2 * width * height);
      list.push({
        name: `${width} x ${height}`,
        bytes: frames.length + out.byteLength,
        items: 1,
        contenders: {
          cinefuse: () => opticalFlow({ frames, width, height }, { out }),
          ...(await pythonPeers('flow', {}, shaped(frames, 2, height, width))),
        },
        check: (results) => {
          for (const [name, flow] of Object.entries(results)) {
            const error = endPointError(flow as Float32Array);
            if (!(error < 0.5)) throw new Error(`${name} is ${error} pixels from the motion`);
          }
        },
      });
    }
    return list;
  },
  dispose: endPeers,
});
