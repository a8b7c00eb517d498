// The matrix product of few rows on the plain cores: every weight is read once, straight into registers.
#pragma once
#include "gemm_args.cuh"

namespace cinefuse::gpu {

constexpr int kGemmRowsThreads = 256;
constexpr int kGemmRowsWarps = kGemmRowsThreads / 32;

// v[0] becomes the sum over the lanes of a warp of one of the V values (a power of two up to 32): that of
// value l / (32 / V) in lane l. Lanes exchange halves of what they still have to sum, V - 1 + log2(32 / V)
// shuffles in all.
template <int V, int O = 16, int VALUES>
__device__ __forceinline__ void warp_sums(float (&v)[VALUES], int lane) {
  if constexpr (V > 1) {
    const bool upper = lane & O;
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      const float kept = upper ? v[i + V / 2] : v[i], given = upper ? v[i] : v[i + V / 2];
      v[i] = kept + __shfl_xor_sync(kWholeWarp, given, O);
    }
    warp_sums<V / 2, O / 2>(v, lane);
  } else {
#pragma unroll
    for (int o = O; o >= 1; o /= 2) v[0] += __shfl_xor_sync(kWholeWarp, v[0], o);
  }
}

// 4 weights (of float32) or 8 (of bfloat16) of a row, from k on.
template <bool HALF>
__device__ __forceinline__ uint4 stream_weights(const uint32_t* row, int k, int n) {
  if (k >= n) return make_uint4(0, 0, 0, 0);
  return stream4(row + (HALF ? k / 2 : k));
}

// dot[r * N + j] += the lane's part of row r of A by row j of W: k's from `first` on, `next` apart, to `end`.
// w: N rows; a row of A is read where bit r of `there` is set.
template <int R, int N, bool HALF>
__device__ __forceinline__ void dot_rows(float (&dot)[R * N], const float* const (&a)[R], uint32_t there,
                                         bool a_vectors, const uint32_t* const (&w)[N], int n_a, int n_w,
                                         int first, int next, int end) {
  // Loads of a row in flight before the first is used: as many as registers allow.
  constexpr int kAhead = N < 4 ? 4 : R == 8 ? 1 : 2;
  constexpr int kPieces = HALF ? 2 : 1;
  for (int k = first; k < end; k += kAhead * next) {
    uint4 weights[kAhead][N];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
#pragma unroll
      for (int j = 0; j < N; ++j) {
        weights[i][j] = stream_weights<HALF>(w[j], k + i * next, min(end, n_w));
      }
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int at = k + i * next;
      if (at >= end) break;
#pragma unroll
      for (int piece = 0; piece < kPieces; ++piece) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
          const float4 x = load_row4(a[r], at + 4 * piece, there >> r & 1u ? n_a : 0, a_vectors);
#pragma unroll
          for (int j = 0; j < N; ++j) {
            const uint4 bits = weights[i][j];
            const uint32_t u = piece ? bits.z : bits.x, v = piece ? bits.w : bits.y;
            const float4 y = HALF ? make_float4(bits_to_float(u << 16), bits_to_float(u & 0xffff0000u),
                                                bits_to_float(v << 16), bits_to_float(v & 0xffff0000u))
                                  : make_float4(bits_to_float(bits.x), bits_to_float(bits.y),
                                                bits_to_float(bits.z), bits_to_float(bits.w));
            dot[r * N + j] = dot4(dot[r * N + j], x, y);
          }
        }
      }
    }
  }
}

// c[m][n] = f(bias[n] + sum_k a[m][k] w[n][k]), R rows m a block. A warp has N columns n and every
// warps_a_column-th step of 32 lanes' k's; the warps of a column meet in shared memory.
// Grid: (columns / (N * 8 / warps_a_column), splits of k, rows / R).
template <int R, int N, bool HALF>
__global__ void __launch_bounds__(kGemmRowsThreads, 2) gemm_rows_kernel(GemmArgs p, int warps_a_column) {
  CINEFUSE_SHARED(float, part, [kGemmRowsWarps][R * N]);
  constexpr int kStep = HALF ? 256 : 128;  // k's of a warp's 32 loads of 16 bytes
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int row0 = static_cast<int>(blockIdx.z) * R;
  const int columns_a_block = kGemmRowsWarps / warps_a_column * N;
  const int column0 = static_cast<int>(blockIdx.x) * columns_a_block + warp / warps_a_column * N;
  const float* a[R];
  uint32_t there = 0;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const int row = min(row0 + r, p.rows - 1);
    a[r] = p.a + row * p.lda;
    if (gemm_row_present(p, row)) there |= 1u << r;
  }
  const uint32_t* w[N];
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const int64_t column = min(column0 + j, p.out - 1);
    w[j] =
        HALF ? p.w_half + column * (p.ldw_half / 2) : reinterpret_cast<const uint32_t*>(p.w) + column * p.ldw;
  }
  const int begin = static_cast<int>(blockIdx.y) * p.steps_a_split * kStep;
  const int end = static_cast<int>(min(int64_t{p.in}, begin + int64_t{p.steps_a_split} * kStep));
  float dot[R * N] = {};
  if (column0 < p.out) {
    dot_rows<R, N, HALF>(
        dot, a, there, p.a_vectors != 0, w, p.in, static_cast<int>(HALF ? p.ldw_half : p.ldw),
        begin + warp % warps_a_column * kStep + lane * (HALF ? 8 : 4), warps_a_column * kStep, end);
  }
  constexpr int kLanesAValue = 32 / (R * N);
  warp_sums<R * N>(dot, lane);
  if (lane % kLanesAValue == 0) part[warp][lane / kLanesAValue] = dot[0];
  __syncthreads();
  for (int i = threadIdx.x; i < columns_a_block * R; i += kGemmRowsThreads) {
    const int r = i / columns_a_block, column = i % columns_a_block;
    const int first_warp = column / N * warps_a_column;
    float total = 0.f;
    for (int s = 0; s < warps_a_column; ++s) total += part[first_warp + s][r * N + column % N];
    const int n = static_cast<int>(blockIdx.x) * columns_a_block + column;
    if (row0 + r < p.rows && n < p.out) gemm_store(p, row0 + r, n, total);
  }
}

}  // namespace cinefuse::gpu
