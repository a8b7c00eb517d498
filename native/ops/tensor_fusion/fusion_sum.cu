#include "fusion_sum.cuh"

namespace cinefuse::gpu {

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
  if (there && group == 0) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      v[i] =
          activate(p.activation, p.slope, v[i] + (p.bias && column + i < p.out ? p.bias[column + i] : 0.f));
    }
    float* const to = p.y + row * p.out + column;
    if (p.vectors) {
      if (column < p.out) store4(to, make_float4(v[0], v[1], v[2], v[3]));
    } else {
      for (int i = 0; i < 4 && column + i < p.out; ++i) to[i] = v[i];
    }
  }
  __syncthreads();
  for (int i = 0; i < rows_here; ++i) {
    if (!spoilt[i]) continue;
    fusion_plain(p.plain, row0 + i, column0, plain);
    __syncthreads();
    const int n = column0 + static_cast<int>(threadIdx.x);
    if (threadIdx.x < kFusionSumColumns && n < p.out) {
      float sum = 0.f;
      for (int w = 0; w < kFusionSumThreads / 32; ++w) sum += plain[w * kFusionSumColumns + threadIdx.x];
      p.y[(row0 + i) * p.out + n] = activate(p.activation, p.slope, sum + (p.bias ? p.bias[n] : 0.f));
    }
    __syncthreads();
  }
}

}  // namespace cinefuse::gpu
