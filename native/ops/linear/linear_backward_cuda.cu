#include "../../cuda/portable.h"
#include "linear_backward_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kProductThreads = 256;
constexpr int kProductTile = 64;  // rows and columns of a block, 4 by 4 of a thread
constexpr int kProductDepth = 16;
constexpr int kSumColumns = 32;
constexpr int kSumThreads = 256;

// c[r][n] = bias[n] + sum_k a(r, k) b(n, k), a(r, k) = a[r * a_row + k * a_k], b(n, k) = b[n * b_col + k *
// b_k]
struct Product {
  int64_t rows, cols, depth;
  const float *a, *b, *bias;
  int64_t a_row, a_k, b_col, b_k;
  float* c;
};

// One tile of c a block; blockIdx.x counts tiles along a row, then rows of tiles.
__global__ void __launch_bounds__(kProductThreads) training_product_kernel(Product p) {
  CINEFUSE_SHARED(float, of_a, [kProductDepth][kProductTile + 4]);
  CINEFUSE_SHARED(float, of_b, [kProductDepth][kProductTile + 4]);
  const int64_t tiles = (p.cols + kProductTile - 1) / kProductTile;
  const int64_t row0 = blockIdx.x / tiles * kProductTile, col0 = blockIdx.x % tiles * kProductTile;
  const int row = threadIdx.x / 16 * 4, col = threadIdx.x % 16 * 4;
  float sum[4][4] = {};
  for (int64_t k0 = 0; k0 < p.depth; k0 += kProductDepth) {
    for (int i = threadIdx.x; i < kProductDepth * kProductTile; i += kProductThreads) {
      // Neighbouring threads read neighbouring addresses, whichever way the matrix lies.
      const int ka = p.a_k == 1 ? i % kProductDepth : i / kProductTile;
      const int ra = p.a_k == 1 ? i / kProductDepth : i % kProductTile;
      const bool in_a = row0 + ra < p.rows && k0 + ka < p.depth;
      of_a[ka][ra] = in_a ? p.a[(row0 + ra) * p.a_row + (k0 + ka) * p.a_k] : 0.f;
      const int kb = p.b_k == 1 ? i % kProductDepth : i / kProductTile;
      const int cb = p.b_k == 1 ? i / kProductDepth : i % kProductTile;
      const bool in_b = col0 + cb < p.cols && k0 + kb < p.depth;
      of_b[kb][cb] = in_b ? p.b[(col0 + cb) * p.b_col + (k0 + kb) * p.b_k] : 0.f;
    }
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < kProductDepth; ++k) {
      float a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) a[i] = of_a[k][row + i], b[i] = of_b[k][col + i];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t r = row0 + row + i, n = col0 + col + j;
      if (r < p.rows && n < p.cols) p.c[r * p.cols + n] = p.bias ? p.bias[n] + sum[i][j] : sum[i][j];
    }
  }
}

static void product(Call& call, const Product& p) {
  if (p.rows == 0 || p.cols == 0) return;
  const int64_t blocks = blocks_of(p.rows, kProductTile) * blocks_of(p.cols, kProductTile);
  CINEFUSE_LAUNCH(call.stream(), training_product_kernel, static_cast<unsigned>(blocks), kProductThreads, 0,
                  p);
}

// sums[j] = sum_r x[r][j], kSumColumns columns a block.
__global__ void __launch_bounds__(kSumThreads)
    training_columns_kernel(int64_t rows, int64_t cols, const float* x, float* sums) {
  constexpr int kLines = kSumThreads / kSumColumns;
  CINEFUSE_SHARED(float, parts, [kLines][kSumColumns]);
  const int line = threadIdx.x / kSumColumns, column = threadIdx.x % kSumColumns;
  const int64_t j = int64_t{blockIdx.x} * kSumColumns + column;
  float sum = 0.f;
  for (int64_t r = line; j < cols && r < rows; r += kLines) sum += x[r * cols + j];
  parts[line][column] = sum;
  __syncthreads();
  if (line != 0 || j >= cols) return;
  for (int i = 1; i < kLines; ++i) sum += parts[i][column];
  sums[j] = sum;
}

void linear_forward(const LinearShape& s, const float* x, const float* W, const float* b, float* y,
                    Call& call) {
  product(call, {s.rows, s.out, s.in, x, W, b, s.in, 1, s.in, 1, y});
}

void linear_backward(const LinearShape& s, const LinearGradients& g, Call& call) {
  if (g.dx) product(call, {s.rows, s.in, s.out, g.dy, g.W, nullptr, s.out, 1, 1, s.in, g.dx});
  if (g.dW) product(call, {s.out, s.in, s.rows, g.dy, g.x, nullptr, 1, s.out, 1, s.in, g.dW});
  if (g.db) {
    CINEFUSE_LAUNCH(call.stream(), training_columns_kernel,
                    static_cast<unsigned>(blocks_of(s.out, kSumColumns)), kSumThreads, 0, s.rows, s.out, g.dy,
                    g.db);
  }
}

}  // namespace cinefuse::gpu
