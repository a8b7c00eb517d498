// The end of a tensor fusion: the sums of all splits, bias and activation.
#pragma once
#include "../activation/activation_math.cuh"
#include "fusion_order.cuh"

namespace cinefuse::gpu {

constexpr int kFusionSumThreads = 256;
constexpr int kFusionSumColumns = 32;  // of a block
constexpr int kFusionSumGroups = kFusionSumThreads / (kFusionSumColumns / 4);

struct FusionSumArgs {
  FusionArgs plain;   // with the float32 weights
  const float* bias;  // or null
  float* y;           // (rows, out)
  int64_t out;
  int32_t activation;
  float slope;
  int32_t groups;   // that share the splits of a row, a power of two
  int32_t vectors;  // rows of y begin at multiples of 16 bytes
};

// One row's products with the weights of 32 columns, on the plain cores, by the whole block: of numbers that
// the matrix units cannot hold, infinity among them, this makes what float32 makes of them. The sums of warp
// w's steps go to sums[w][32].
__device__ __forceinline__ void fusion_plain(const FusionArgs& p, int64_t row, int column, float* sums) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const int all = p.order.all_stages(), steps = p.order.stage_steps;
  const uint32_t* w[2];
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int unit = min(column / 16 + u, p.columns / 16 - 1);
    w[u] = p.w_plain + (int64_t{unit / p.units} * all * steps * p.units + unit % p.units) * 128 + lane * 4;
  }
  float sum[2][2] = {};
  for (int stage = 0; stage < all; ++stage) {
    const FusionWindow win = fusion_window(p.order, stage);
    const FusionSegment& segment = win.segment ? p.order.segment[1] : p.order.segment[0];
    for (int i = warp; i < steps; i += kFusionSumThreads / 32) {
      const int step = (stage - win.first_stage) * steps + i;
      if (step >= win.steps) break;
      const int s = step % win.s_count, chunk = step / win.s_count % win.chunks,
                r = step / win.s_count / win.chunks;
      const int r0 = r / segment.count[3], r1 = r % segment.count[3];
      float z[2];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int f = chunk * 8 + 2 * t + e;
        z[e] = 0.f;
        if (f >= win.f_count) continue;
        const FusionRole* const role = win.segment ? p.role[1] : p.role[0];
        z[e] = fusion_value(role[2], row, r0) * fusion_value(role[3], row, r1) *
               fusion_value(role[0], row, win.f0 + f) * fusion_value(role[1], row, win.s0 + s);
      }
#pragma unroll
      for (int u = 0; u < 2; ++u) {
        const uint4 b = load4(w[u] + (int64_t{stage} * steps + i) * p.units * 128);
        sum[u][0] += z[0] * bits_to_float(b.x);
        sum[u][0] += z[1] * bits_to_float(b.y);
        sum[u][1] += z[0] * bits_to_float(b.z);
        sum[u][1] += z[1] * bits_to_float(b.w);
      }
    }
  }
#pragma unroll
  for (int u = 0; u < 2; ++u) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      float v = sum[u][n];
      v += __shfl_xor_sync(kWholeWarp, v, 1);
      v += __shfl_xor_sync(kWholeWarp, v, 2);
      if (t == 0) sums[warp * kFusionSumColumns + u * 16 + n * 8 + g] = v;
    }
  }
}

}  // namespace cinefuse::gpu
