#include "../activation/activation_math.cuh"
#include "fusion_sum.cuh"

namespace cinefuse::gpu {

constexpr int kFusionSumThreads = 256;
constexpr int kFusionSumColumns = 32;  // of a block
constexpr int kFusionSumGroups = kFusionSumThreads / (kFusionSumColumns / 4);

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

// y[row][n] = f(bias[n] + the sums of all splits in a fixed order). sums: (splits, rows, columns), y: (rows,
// out). A block has 32 columns of some rows. A row that comes out NaN or infinite is summed anew.
__global__ void __launch_bounds__(kFusionSumThreads) tensor_fusion_sum_kernel(FusionSumArgs p) {
  constexpr int kStride = kFusionSumColumns + 4;
  CINEFUSE_SHARED(float, part, [kFusionSumGroups * kStride]);
  CINEFUSE_SHARED(float, plain, [kFusionSumThreads / 32 * kFusionSumColumns]);
  CINEFUSE_SHARED(int, spoilt, [kFusionSumGroups]);
  const int lane = threadIdx.x & 31;
  const int across = (p.plain.columns + kFusionSumColumns - 1) / kFusionSumColumns;
  const int column0 = static_cast<int>(blockIdx.x) % across * kFusionSumColumns;
  const int rows_here = kFusionSumGroups / p.groups;
  const int64_t row0 = int64_t{blockIdx.x / static_cast<unsigned>(across)} * rows_here;
  const int each = static_cast<int>(threadIdx.x) >> 3, group = each % p.groups, local = each / p.groups;
  const int column = column0 + 4 * (static_cast<int>(threadIdx.x) & 7);
  const int64_t row = row0 + local;
  const bool there = row < p.plain.rows && column < p.plain.columns;

  float v[4] = {};
  if (there) {
    const float* const from = p.plain.sums + row * p.plain.columns + column;
#pragma unroll 4
    for (int s = group; s < p.plain.splits; s += p.groups) {
      const float4 x = load4(from + s * p.plain.slice);
      v[0] += x.x;
      v[1] += x.y;
      v[2] += x.z;
      v[3] += x.w;
    }
  }
  float* const mine = part + each * kStride + (column - column0);
  if (p.groups > 1) {
    store4(mine, make_float4(v[0], v[1], v[2], v[3]));
    __syncthreads();
  }
  bool bad = false;
  if (there && group == 0) {
    for (int i = 1; i < p.groups; ++i) {
      const float4 x = load4(mine + i * kStride);
      v[0] += x.x;
      v[1] += x.y;
      v[2] += x.z;
      v[3] += x.w;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) bad |= column + i < p.out && !(fabsf(v[i]) < INFINITY);
  }
  const unsigned votes = __ballot_sync(kWholeWarp, bad);
  if ((threadIdx.x & 7) == 0 && group == 0) spoilt[local] = (votes >> (lane & 24) & 0xffu) != 0;
  __syncthreads();
  for (int i = 0; i < rows_here; ++i) {
    if (!spoilt[i]) continue;
    fusion_plain(p.plain, row0 + i, column0, plain);
    __syncthreads();
    if (local == i && group == 0) {
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        v[n] = 0.f;
        for (int w = 0; w < kFusionSumThreads / 32; ++w) {
          v[n] += plain[w * kFusionSumColumns + column - column0 + n];
        }
      }
    }
    __syncthreads();
  }
  if (!there || group > 0) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[i] = activate(p.activation, p.slope, v[i] + (p.bias && column + i < p.out ? p.bias[column + i] : 0.f));
  }
  float* const to = p.y + row * p.out + column;
  if (p.vectors) {
    if (column < p.out) store4(to, make_float4(v[0], v[1], v[2], v[3]));
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i < p.out) to[i] = v[i];
    }
  }
}

void fusion_sum_launch(Call& call, FusionSumArgs p) {
  p.groups = 1;
  while (p.groups < kFusionSumGroups && p.groups * 4 < p.plain.splits) p.groups *= 2;
  const int64_t blocks =
      blocks_of(p.plain.rows, kFusionSumGroups / p.groups) * blocks_of(p.plain.columns, kFusionSumColumns);
  CINEFUSE_LAUNCH(call.stream(), tensor_fusion_sum_kernel, static_cast<unsigned>(blocks), kFusionSumThreads,
                  0, p);
}

}  // namespace cinefuse::gpu
