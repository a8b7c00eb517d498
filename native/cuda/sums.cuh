// Sums in float64 and a fixed order, whatever the grid.
#pragma once
#include "portable.h"

namespace cinefuse::gpu {

constexpr int kSumsThreads = 256;
constexpr int64_t kSumsStretch = 4096;  // numbers of a block

// Over a block of kSumsThreads; in thread 0 alone. shared: of no other use since the last barrier.
__device__ __forceinline__ double block_sum64(double x, double* shared) {
  shared[threadIdx.x] = x;
  __syncthreads();
  for (int half = kSumsThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

}  // namespace cinefuse::gpu
