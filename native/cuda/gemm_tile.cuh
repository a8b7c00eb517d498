// The matrix product by tiles.
#pragma once
#include "gemm_args.cuh"
#include "gemm_multiply.cuh"

namespace cinefuse::gpu {

// A thread's share of the copies of a chunk: one 16-byte piece of several rows of A and of W. `a` and `w`
// point at its first rows' first numbers, bit i of a mask says whether its i-th row is there.
template <class T>
struct GemmCopies {
  static constexpr int kARows = T::kThreads / 8;  // from one row of a thread to its next
  static constexpr int kWPieces = T::kHalf ? 4 : 8, kWRows = T::kThreads / kWPieces;
  const float *a, *w;
  uint32_t a_rows, w_rows;

  __device__ __forceinline__ GemmCopies(const GemmArgs& p, int64_t row0, int rows, int column0, int columns)
      : a_rows(0), w_rows(0) {
    const int row = threadIdx.x / 8, column = threadIdx.x / kWPieces;
    a = p.a + (row0 + row) * p.lda;
    w = T::kHalf ? reinterpret_cast<const float*>(p.w_half) + (column0 + int64_t{column}) * (p.ldw_half / 2)
                 : p.w + (column0 + int64_t{column}) * p.ldw;
#pragma unroll
    for (int i = 0; i < T::kRows / kARows; ++i) {
      if (row + i * kARows < rows && gemm_row_present(p, row0 + row + i * kARows)) a_rows |= 1u << i;
    }
#pragma unroll
    for (int i = 0; i < T::kColumns / kWRows; ++i) {
      if (column + i * kWRows < columns) w_rows |= 1u << i;
    }
  }

  // The chunk of k's from `k` on, into a stage. What is not there becomes zeros and is not read, so its
  // address may be anything.
  __device__ __forceinline__ void fetch(const GemmArgs& p, int k, float* stage) const {
    const int piece = threadIdx.x % 8, row = threadIdx.x / 8, at = k + 4 * piece;
    float* to = stage + row * T::kRowWords + gemm_piece<T>(row, piece);
    const float* from = a + at;
    const int64_t a_step = kARows * p.lda;
    if (p.a_vectors) {
      const uint32_t there = at < p.in ? a_rows : 0;
#pragma unroll
      for (int i = 0; i < T::kRows / kARows; ++i, from += a_step) {
        cp_async16(to + i * kARows * T::kRowWords, from, there >> i & 1u);
      }
    } else {
#pragma unroll
      for (int i = 0; i < T::kRows / kARows; ++i, from += a_step) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          cp_async4(to + i * kARows * T::kRowWords + j, from + j, (a_rows >> i & 1u) && at + j < p.in);
        }
      }
    }
    const int w_piece = threadIdx.x % kWPieces, column = threadIdx.x / kWPieces;
    const int w_at = k + (T::kHalf ? 8 : 4) * w_piece;
    const uint32_t there = w_at < (T::kHalf ? p.ldw_half : p.ldw) ? w_rows : 0;
    const int64_t w_step = kWRows * (T::kHalf ? p.ldw_half / 2 : p.ldw);
    to = stage + T::kAWords + column * T::kColumnWords +
         (T::kHalf ? 4 * w_piece : gemm_piece<T>(column, w_piece));
    from = w + (T::kHalf ? w_at / 2 : w_at);
#pragma unroll
    for (int i = 0; i < T::kColumns / kWRows; ++i, from += w_step) {
      cp_async16(to + i * kWRows * T::kColumnWords, from, there >> i & 1u);
    }
  }
};

// The sums of a row and four columns over k's [begin, end) on the plain cores.
__device__ __forceinline__ float4 gemm_plain4(const GemmArgs& p, int64_t row, int column, int begin,
                                              int end) {
  const float* const a = p.a + row * p.lda;
  const int n = gemm_row_present(p, row) ? p.in : 0;
  const float* w[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) w[j] = p.w + min(column + j, p.out - 1) * p.ldw;
  float sum[4] = {};
  for (int k = begin; k < end; k += 4) {
    const float4 x = load_row4(a, k, n, p.a_vectors != 0);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[j] = dot4(sum[j], x, load4(w[j] + k));
  }
  return make_float4(sum[0], sum[1], sum[2], sum[3]);
}

// c[m][n] = f(bias[n] + sum_k a[m][k] w[n][k]), or the sum over one range of k's. A: (rows, in), W: (out,
// in). Grid: (row tiles * column tiles, splits of k).
template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kBlocksAnSm) gemm_tile_kernel(GemmArgs p) {
  CINEFUSE_DYNAMIC_SHARED(float, shared);
  // Eight row tiles at a time take all column tiles: what runs at one time shares rows and columns in L2.
  constexpr unsigned kBand = 8;
  const unsigned band = blockIdx.x / (kBand * static_cast<unsigned>(p.column_tiles));
  const unsigned in_band = blockIdx.x % (kBand * static_cast<unsigned>(p.column_tiles));
  const unsigned height = min(kBand, static_cast<unsigned>(p.row_tiles) - band * kBand);
  const int64_t row0 = static_cast<int64_t>(band * kBand + in_band % height) * T::kRows;
  const int column0 = static_cast<int>(in_band / height) * T::kColumns;
  const int rows = static_cast<int>(min(int64_t{T::kRows}, p.rows - row0));
  const int columns = min(T::kColumns, p.out - column0);

  const GemmCopies<T> copies(p, row0, rows, column0, columns);
  const int first = static_cast<int>(blockIdx.y) * p.steps_a_split;
  const int steps = min(p.steps_a_split, (p.in + T::kDepth - 1) / T::kDepth - first);
#pragma unroll 1
  for (int s = 0; s < T::kStages - 1; ++s) {
    if (s < steps) copies.fetch(p, (first + s) * T::kDepth, shared + s * T::kStageWords);
    cp_async_commit();
  }

  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  constexpr int kWarpsAcross = T::kColumns / T::kWarpColumns;
  const int warp_row = warp / kWarpsAcross * T::kWarpRows,
            warp_column = warp % kWarpsAcross * T::kWarpColumns;
  const bool works = warp_row < rows && warp_column < columns;
  float sum[T::kRowTiles][T::kColumnTiles][4] = {};
  int stage = 0, free_stage = T::kStages - 1;
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<T::kStages - 2>();
    __syncthreads();
    const int ahead = step + T::kStages - 1;
    if (ahead < steps) copies.fetch(p, (first + ahead) * T::kDepth, shared + free_stage * T::kStageWords);
    cp_async_commit();
    if (works) {
      const float* const from = shared + stage * T::kStageWords;
      const float* const a_rows = from + (warp_row + g) * T::kRowWords;
      const float* const w_rows = from + T::kAWords + (warp_column + g) * T::kColumnWords;
      gemm_multiply<T>(a_rows, w_rows, g, t, sum);
    }
    stage = stage + 1 == T::kStages ? 0 : stage + 1;
    free_stage = free_stage + 1 == T::kStages ? 0 : free_stage + 1;
  }

  // Through shared memory, for whole rows to be written and one piece of code to apply f.
  cp_async_wait<0>();
  __syncthreads();
  if (works) {
#pragma unroll
    for (int i = 0; i < T::kRowTiles; ++i) {
      float* const to = shared + (warp_row + i * 16 + g) * T::kResultStride + warp_column + 2 * t;
#pragma unroll
      for (int j = 0; j < T::kColumnTiles; ++j) {
        store2(to + j * 8, make_float2(sum[i][j][0], sum[i][j][1]));
        store2(to + 8 * T::kResultStride + j * 8, make_float2(sum[i][j][2], sum[i][j][3]));
      }
    }
  }
  __syncthreads();
  constexpr int kAcross = T::kColumns / 4;
  const int column = static_cast<int>(threadIdx.x) % kAcross * 4;
  if (column >= columns) return;
  for (int row = static_cast<int>(threadIdx.x) / kAcross; row < rows; row += T::kThreads / kAcross) {
    float4 v = load4(shared + row * T::kResultStride + column);
    if (T::kMath == GemmMath::k3xTf32 &&
        !(fabsf(v.x) + fabsf(v.y) + fabsf(v.z) + fabsf(v.w) < kGemmDoubtful)) {
      const float4 plain = gemm_plain4(p, row0 + row, column0 + column, first * T::kDepth,
                                       min(p.in, (first + steps) * T::kDepth));
      if (!(fabsf(v.x) < kGemmDoubtful)) v.x = plain.x;
      if (!(fabsf(v.y) < kGemmDoubtful)) v.y = plain.y;
      if (!(fabsf(v.z) < kGemmDoubtful)) v.z = plain.z;
      if (!(fabsf(v.w) < kGemmDoubtful)) v.w = plain.w;
    }
    gemm_store4(p, row0 + row, column0 + column, v);
  }
}

}  // namespace cinefuse::gpu
