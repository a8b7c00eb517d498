#include <algorithm>

#include "../../cuda/portable.h"
#include "../../cuda/rows.cuh"
#include "fusion_products.cuh"

namespace cinefuse::gpu {

constexpr int kThreads = 256;
constexpr int kTile = 64;  // rows and columns of a block, 4 by 4 of a thread
constexpr int kDepth = 16;

// One tile of c a block; blockIdx.x counts tiles along a row, then rows of tiles, blockIdx.y batches.
__global__ void __launch_bounds__(kThreads) fusion_product_kernel(FusionProduct p) {
  CINEFUSE_SHARED(float, of_a, [kDepth][kTile + 4]);
  CINEFUSE_SHARED(float, of_b, [kDepth][kTile + 4]);
  const int64_t batch = blockIdx.y;
  const float *a = p.a + batch * p.a_batch, *b = p.b + batch * p.b_batch;
  const int64_t left = p.depth_all ? p.depth_all - batch * p.depth : p.depth;
  const int64_t depth = left < p.depth ? left : p.depth;
  const int64_t tiles = (p.cols + kTile - 1) / kTile;
  const int64_t row0 = blockIdx.x / tiles * kTile, col0 = blockIdx.x % tiles * kTile;
  const int row = threadIdx.x / 16 * 4, col = threadIdx.x % 16 * 4;
  float sum[4][4] = {};
  for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
    for (int i = threadIdx.x; i < kDepth * kTile; i += kThreads) {
      // Neighbouring threads read neighbouring addresses, whichever way the matrix lies.
      const int ka = p.a_k == 1 ? i % kDepth : i / kTile, ra = p.a_k == 1 ? i / kDepth : i % kTile;
      const bool in_a = row0 + ra < p.rows && k0 + ka < depth;
      of_a[ka][ra] = in_a ? a[(row0 + ra) * p.a_row + (k0 + ka) * p.a_k] : 0.f;
      const int kb = p.b_k == 1 ? i % kDepth : i / kTile, cb = p.b_k == 1 ? i / kDepth : i % kTile;
      const bool in_b = col0 + cb < p.cols && k0 + kb < depth;
      of_b[kb][cb] = in_b ? b[(col0 + cb) * p.b_col + (k0 + kb) * p.b_k] : 0.f;
    }
    __syncthreads();
    const int steps = depth - k0 < kDepth ? static_cast<int>(depth - k0) : kDepth;
    for (int k = 0; k < steps; ++k) {
      float x[4], y[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) x[i] = of_a[k][row + i], y[i] = of_b[k][col + i];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
      }
    }
    __syncthreads();
  }
  float* c = p.c + batch * p.c_batch;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t r = row0 + row + i, n = col0 + col + j;
      if (r >= p.rows || n >= p.cols) continue;
      float* to = c + r * p.c_row + n;
      *to = p.add ? *to + sum[i][j] : sum[i][j];
    }
  }
}

void fusion_product(Call& call, const FusionProduct& p) {
  if (p.rows == 0 || p.cols == 0 || p.batches == 0) return;
  constexpr int64_t kMostBatches = 65535;  // of a launch
  for (int64_t first = 0; first < p.batches; first += kMostBatches) {
    FusionProduct some = p;
    some.batches = std::min(kMostBatches, p.batches - first);
    some.a += first * p.a_batch;
    some.b += first * p.b_batch;
    some.c += first * p.c_batch;
    if (p.depth_all) some.depth_all -= first * p.depth;
    const dim3 grid(static_cast<unsigned>(blocks_of(p.rows, kTile) * blocks_of(p.cols, kTile)),
                    static_cast<unsigned>(some.batches));
    CINEFUSE_LAUNCH(call.stream(), fusion_product_kernel, grid, kThreads, 0, some);
  }
}

struct FusionValues {
  int64_t n;
  int d, modes;
  const float* h;
  const uint8_t* present;  // of row r: present[r * modes], or null
  float* values;
};

// values[r][i] = h[r][i], and 1 for i = d. (rows, d + 1).
__global__ void __launch_bounds__(kThreads) fusion_values_kernel(FusionValues p) {
  const int64_t step = int64_t{kThreads} * gridDim.x;
  for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < p.n; at += step) {
    const int64_t row = at / (p.d + 1);
    const int i = static_cast<int>(at % (p.d + 1));
    const bool there = !p.present || p.present[row * p.modes];
    p.values[at] = i == p.d ? 1.f : there ? p.h[row * p.d + i] : 0.f;
  }
}

void fusion_values(Call& call, const FusionDims& dims, const FusionInputs& in, int mode, float* values) {
  const FusionValues p{in.rows * (dims.d[mode] + 1),
                       dims.d[mode],
                       dims.modes,
                       in.h[mode],
                       in.present ? in.present + mode : nullptr,
                       values};
  if (p.n == 0) return;
  CINEFUSE_LAUNCH(call.stream(), fusion_values_kernel,
                  grid_of(std::min<int64_t>(blocks_of(p.n, kThreads), 4096)), kThreads, 0, p);
}

__global__ void __launch_bounds__(kThreads) fusion_parts_kernel(FusionParts p) {
  const int64_t n = p.rows * p.cols, step = int64_t{kThreads} * gridDim.x;
  for (int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x; at < n; at += step) {
    float sum = p.add ? p.y[at] : p.bias ? p.bias[at % p.cols] : 0.f;
    for (int64_t i = 0; i < p.count; ++i) sum += p.parts[i * n + at];
    p.y[at] = !p.present || p.present[at / p.cols * p.modes] ? sum : 0.f;
  }
}

void fusion_add_parts(Call& call, const FusionParts& p) {
  const int64_t n = p.rows * p.cols;
  if (n == 0) return;
  CINEFUSE_LAUNCH(call.stream(), fusion_parts_kernel,
                  grid_of(std::min<int64_t>(blocks_of(n, kThreads), 4096)), kThreads, 0, p);
}

// sums[j] = sum_r x[r][j], a column a thread.
__global__ void __launch_bounds__(kThreads)
    fusion_columns_kernel(int64_t rows, int64_t cols, const float* x, float* sums) {
  const int64_t j = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (j >= cols) return;
  float sum = 0.f;
  for (int64_t r = 0; r < rows; ++r) sum += x[r * cols + j];
  sums[j] = sum;
}

void fusion_sum_rows(Call& call, int64_t rows, int64_t cols, const float* x, float* sums) {
  CINEFUSE_LAUNCH(call.stream(), fusion_columns_kernel, grid_of(blocks_of(cols, kThreads)), kThreads, 0, rows,
                  cols, x, sums);
}

}  // namespace cinefuse::gpu
