#include <algorithm>

#include "multiply.h"
#include "rows.cuh"

namespace cinefuse::gpu {

constexpr int kSide = 64, kDepth = 16, kMultiplyThreads = 256;
constexpr int kShareStride = kSide + 4;  // 16-byte rows whose columns lie in different banks
constexpr int kChainSteps = 16;          // chunks of kDepth that one chain of multiply-adds takes
constexpr int kPartsThreads = 128;

struct MultiplyArgs {
  const float *a, *b, *bias;
  float* c;
  int64_t lda, ldb, ldc;
  int64_t rows, columns, inner;
  int64_t k_a_split;  // of one block; a multiple of kDepth
  int64_t slice;      // numbers from one split's results to the next's
  int32_t a_turned, b_turned;
};

// A chunk of an operand, side by side as shared[k][i]: i < kSide of `count` from `first` on, k < kDepth from
// k0 on up to k1. along: i is the index that runs along memory, and neighbouring threads take neighbours of
// it.
__device__ __forceinline__ void fetch_chunk(bool along, const float* data, int64_t stride, int64_t first,
                                            int64_t count, int64_t k0, int64_t k1, float* shared) {
#pragma unroll
  for (int n = 0; n < kSide * kDepth / kMultiplyThreads; ++n) {
    const int at = n * kMultiplyThreads + static_cast<int>(threadIdx.x);
    const int i = along ? at % kSide : at / kDepth, k = along ? at / kSide : at % kDepth;
    const bool there = first + i < count && k0 + k < k1;
    const int64_t from = along ? (k0 + k) * stride + first + i : (first + i) * stride + k0 + k;
    shared[k * kShareStride + i] = there ? data[from] : 0.f;
  }
}

// c[m][n] = bias[n] + sum_k a(m, k) b(k, n), or the sum of one range of k's; 4 x 4 of them a thread.
// Grid: (column tiles, row tiles, splits of k).
__global__ void __launch_bounds__(kMultiplyThreads) multiply_kernel(MultiplyArgs p) {
  CINEFUSE_SHARED(float, a_chunk, [kDepth * kShareStride]);
  CINEFUSE_SHARED(float, b_chunk, [kDepth * kShareStride]);
  const int across = static_cast<int>(threadIdx.x) % 16, down = static_cast<int>(threadIdx.x) / 16;
  const int64_t column0 = int64_t{blockIdx.x} * kSide;
  const int64_t k_begin = int64_t{blockIdx.z} * p.k_a_split;
  const int64_t k_end = min(p.inner, k_begin + p.k_a_split);
  for (int64_t row0 = int64_t{blockIdx.y} * kSide; row0 < p.rows; row0 += int64_t{gridDim.y} * kSide) {
    float total[4][4] = {}, sum[4][4] = {};
    int steps = 0;
    for (int64_t k = k_begin; k < k_end; k += kDepth) {
      __syncthreads();
      fetch_chunk(p.a_turned != 0, p.a, p.lda, row0, p.rows, k, k_end, a_chunk);
      fetch_chunk(p.b_turned == 0, p.b, p.ldb, column0, p.columns, k, k_end, b_chunk);
      __syncthreads();
#pragma unroll
      for (int d = 0; d < kDepth; ++d) {
        const float4 x = load4(a_chunk + d * kShareStride + 4 * down);
        const float4 w = load4(b_chunk + d * kShareStride + 4 * across);
        const float xs[4] = {x.x, x.y, x.z, x.w}, ws[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(xs[i], ws[j], sum[i][j]);
        }
      }
      if (++steps == kChainSteps || k + kDepth >= k_end) {
        steps = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            total[i][j] += sum[i][j];
            sum[i][j] = 0.f;
          }
        }
      }
    }
    float* const c = p.c + int64_t{blockIdx.z} * p.slice;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t row = row0 + 4 * down + i;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int64_t column = column0 + 4 * across + j;
        if (row < p.rows && column < p.columns) {
          c[row * p.ldc + column] = total[i][j] + (p.bias ? p.bias[column] : 0.f);
        }
      }
    }
  }
}

// c[m][n] = bias[n] + the results of all splits in order. parts: (splits, rows, columns).
__global__ void __launch_bounds__(kPartsThreads)
    multiply_join_kernel(int splits, int64_t rows, int64_t columns, const float* parts, const float* bias,
                         float* c, int64_t ldc) {
  const int64_t n = rows * columns;
  for (int64_t i = int64_t{blockIdx.x} * kPartsThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kPartsThreads) {
    float sum = bias ? bias[i % columns] : 0.f;
    for (int s = 0; s < splits; ++s) sum += parts[s * n + i];
    c[i / columns * ldc + i % columns] = sum;
  }
}

// parts[chunk][j] = the sum of column j over the chunk's rows. 32 columns a block, 8 rows of them at a time.
__global__ void __launch_bounds__(256)
    column_sums_kernel(int64_t rows, int64_t cols, int64_t rows_a_chunk, const float* x, float* parts) {
  CINEFUSE_SHARED(float, shared, [8][33]);
  const int lane = static_cast<int>(threadIdx.x) % 32, group = static_cast<int>(threadIdx.x) / 32;
  const int64_t column = int64_t{blockIdx.x} * 32 + lane;
  const int64_t first = int64_t{blockIdx.y} * rows_a_chunk, end = min(rows, first + rows_a_chunk);
  float sum = 0.f;
  if (column < cols) {
    for (int64_t r = first + group; r < end; r += 8) sum += x[r * cols + column];
  }
  shared[group][lane] = sum;
  __syncthreads();
  if (group > 0 || column >= cols) return;
  for (int g = 1; g < 8; ++g) sum += shared[g][lane];
  parts[int64_t{blockIdx.y} * cols + column] = sum;
}

// sums[j] = sum_i from[i][j], in order.
__global__ void __launch_bounds__(kPartsThreads)
    add_parts_kernel(int64_t parts, int64_t n, const float* from, float* sums) {
  for (int64_t j = int64_t{blockIdx.x} * kPartsThreads + threadIdx.x; j < n;
       j += int64_t{gridDim.x} * kPartsThreads) {
    float sum = 0.f;
    for (int64_t i = 0; i < parts; ++i) sum += from[i * n + j];
    sums[j] = sum;
  }
}

void multiply(int64_t rows, int64_t columns, int64_t inner, const Operand& a, const Operand& b,
              const float* bias, float* c, int64_t ldc, Call& call) {
  if (rows <= 0 || columns <= 0) return;
  const int64_t row_tiles = std::min<int64_t>(blocks_of(rows, kSide), 65535);
  const int64_t tiles = row_tiles * blocks_of(columns, kSide);
  // k is split where the tiles leave multiprocessors idle, into ranges worth a block's start.
  const int64_t wanted = std::max<int64_t>(1, int64_t{2} * call.device().multiprocessors() / tiles);
  const int64_t most = std::max<int64_t>(1, inner / (4 * kDepth));
  const int64_t asked = std::min<int64_t>({wanted, most, 64});
  MultiplyArgs p{a.data, b.data,  bias,  c, a.stride, b.stride, ldc,
                 rows,   columns, inner, 0, 0,        a.turned, b.turned};
  p.k_a_split = std::max<int64_t>(1, blocks_of(blocks_of(inner, asked), kDepth)) * kDepth;
  const int64_t splits = std::max<int64_t>(1, blocks_of(inner, p.k_a_split));
  if (splits > 1) {
    p.c = call.scratch<float>(splits * rows * columns);
    p.bias = nullptr;
    p.ldc = columns;
    p.slice = rows * columns;
  }
  const dim3 grid(static_cast<unsigned>(blocks_of(columns, kSide)), static_cast<unsigned>(row_tiles),
                  static_cast<unsigned>(splits));
  CINEFUSE_LAUNCH(call.stream(), multiply_kernel, grid, kMultiplyThreads, 0, p);
  if (splits > 1) {
    CINEFUSE_LAUNCH(call.stream(), multiply_join_kernel, grid_of(blocks_of(rows * columns, kPartsThreads)),
                    kPartsThreads, 0, static_cast<int>(splits), rows, columns, p.c, bias, c, ldc);
  }
}

void add_parts(int64_t parts, int64_t n, const float* from, float* sums, Call& call) {
  CINEFUSE_LAUNCH(call.stream(), add_parts_kernel, grid_of(blocks_of(n, kPartsThreads)), kPartsThreads, 0,
                  parts, n, from, sums);
}

void column_sums(int64_t rows, int64_t cols, const float* x, float* sums, Call& call) {
  const int64_t rows_a_chunk = std::max<int64_t>(128, blocks_of(rows, 60000));
  const int64_t chunks = std::max<int64_t>(1, blocks_of(rows, rows_a_chunk));
  float* const parts = chunks == 1 ? sums : call.scratch<float>(chunks * cols);
  const dim3 grid(static_cast<unsigned>(blocks_of(cols, 32)), static_cast<unsigned>(chunks));
  CINEFUSE_LAUNCH(call.stream(), column_sums_kernel, grid, 256, 0, rows, cols, rows_a_chunk, x, parts);
  if (chunks > 1) add_parts(chunks, cols, parts, sums, call);
}

}  // namespace cinefuse::gpu
