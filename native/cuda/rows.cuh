// Rows of a matrix in the registers of a group of lanes: what the kernels that normalise rows share.
#pragma once
#include <algorithm>

#include "device.h"
#include "portable.h"

namespace cinefuse::gpu {

// VEC (4 or 1) numbers in one access; p aligned to it.
template <int VEC>
__device__ __forceinline__ void load_pack(const float* p, float (&v)[VEC]) {
  if constexpr (VEC == 4) {
    const float4 four = load4(p);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
  } else {
    v[0] = *p;
  }
}
// The same of memory that is read once.
template <int VEC>
__device__ __forceinline__ void stream_pack(const float* p, float (&v)[VEC]) {
  if constexpr (VEC == 4) {
    const float4 four = stream4(p);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
  } else {
    v[0] = __ldcs(p);
  }
}
template <int VEC>
__device__ __forceinline__ void store_pack(float* p, const float (&v)[VEC]) {
  if constexpr (VEC == 4) {
    store4(p, make_float4(v[0], v[1], v[2], v[3]));
  } else {
    *p = v[0];
  }
}

// Over groups of LANES neighbouring lanes, the result in all of them. The whole warp must come.
template <int LANES>
__device__ __forceinline__ float group_sum(float x) {
#pragma unroll
  for (int o = LANES / 2; o > 0; o >>= 1) x += __shfl_xor_sync(kWholeWarp, x, o);
  return x;
}
template <int LANES>
__device__ __forceinline__ float group_max(float x) {
#pragma unroll
  for (int o = LANES / 2; o > 0; o >>= 1) x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, o));
  return x;
}
// Over a block of whole warps. partial: shared, one number a warp, of no other use since the last barrier.
__device__ __forceinline__ float block_sum(float x, float* partial) {
  const int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  x = warp_sum(x);
  if (lane == 0) partial[threadIdx.x >> 5] = x;
  __syncthreads();
  return warp_sum(lane < warps ? partial[lane] : 0.f);
}
__device__ __forceinline__ float block_max(float x, float* partial) {
  const int lane = threadIdx.x & 31, warps = blockDim.x >> 5;
  x = warp_max(x);
  if (lane == 0) partial[threadIdx.x >> 5] = x;
  __syncthreads();
  return warp_max(lane < warps ? partial[lane] : -INFINITY);
}

// A row of at most LANES * ITEMS * VEC numbers in LANES lanes, ROWS rows at a time, so that short rows too
// have several accesses under way.
template <int VEC_, int LANES_, int ITEMS_, int ROWS_>
struct RowShape {
  static constexpr int VEC = VEC_, LANES = LANES_, ITEMS = ITEMS_, ROWS = ROWS_;
  static constexpr int kThreads = 256;
  static constexpr int kGroups = kThreads / LANES;  // of a block
  static constexpr int kRowsABlock = kGroups * ROWS;
};
// The most that groups of lanes hold: fewer columns that are no multiple of 4, where every number takes an
// address of its own. Beyond, a block has a row to itself and keeps it in shared memory, up to what every GPU
// from sm_80 on has.
constexpr int64_t most_row_columns(bool vectors) { return vectors ? 1024 : 512; }
constexpr int64_t kMostBlockColumns = 24 * 1024;

// This thread's numbers of a row go to shared memory; from each thread's own slots to them, so no barrier is
// needed between the wait and the thread's reading them.
template <int VEC>
__device__ __forceinline__ void fetch_row(const float* row, int cols, float* shared) {
  for (int j = threadIdx.x * VEC; j < cols; j += blockDim.x * VEC) {
    if constexpr (VEC == 4) {
      cp_async16(shared + j, row + j, true);
    } else {
      cp_async4(shared + j, row + j, true);
    }
  }
  cp_async_commit();
  cp_async_wait<0>();
}

inline bool is_aligned16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// launch(RowShape) with the smallest shape that holds `cols` <= most_row_columns(vectors).
template <class Launch>
void with_row_shape(int64_t cols, bool vectors, Launch&& launch) {
  if (vectors) {
    if (cols <= 16) return launch(RowShape<4, 4, 1, 2>());
    if (cols <= 32) return launch(RowShape<4, 8, 1, 2>());
    if (cols <= 64) return launch(RowShape<4, 16, 1, 2>());
    if (cols <= 128) return launch(RowShape<4, 32, 1, 2>());
    if (cols <= 256) return launch(RowShape<4, 32, 2, 1>());
    if (cols <= 512) return launch(RowShape<4, 32, 4, 1>());
    return launch(RowShape<4, 32, 8, 1>());
  }
  if (cols <= 8) return launch(RowShape<1, 8, 1, 4>());
  if (cols <= 32) return launch(RowShape<1, 32, 1, 4>());
  if (cols <= 64) return launch(RowShape<1, 32, 2, 2>());
  if (cols <= 128) return launch(RowShape<1, 32, 4, 1>());
  if (cols <= 256) return launch(RowShape<1, 32, 8, 1>());
  return launch(RowShape<1, 32, 16, 1>());
}

// Blocks for work that kernels share out with a loop over the grid.
inline unsigned grid_of(int64_t blocks) {
  return static_cast<unsigned>(std::min<int64_t>(std::max<int64_t>(blocks, 1), int64_t{1} << 30));
}
// Threads of a block that has a row of `cols` to itself.
inline int row_threads(int64_t cols) { return cols <= 4096 ? 256 : cols <= 8192 ? 512 : 1024; }

}  // namespace cinefuse::gpu
