#include "../ops/activation/activation_math.cuh"
#include "gemm.h"

namespace cinefuse::gpu {

constexpr int kGemmTile = 16;

// c[m][n] = f(bias[n] + sum_k a[m][k] w[n][k]); a thread an element, tiles of A and W in shared memory.
__global__ void gemm_plain_kernel(int64_t rows, int64_t out, int64_t in, const float* a, int64_t lda,
                                  const float* w, const float* bias, int activation, float slope, float* c,
                                  int64_t ldc) {
  CINEFUSE_SHARED(float, a_tile, [kGemmTile][kGemmTile + 1]);
  CINEFUSE_SHARED(float, w_tile, [kGemmTile][kGemmTile + 1]);
  const int64_t m0 = int64_t{blockIdx.x} * kGemmTile, n0 = int64_t{blockIdx.y} * kGemmTile;
  const int64_t m = m0 + threadIdx.y, n = n0 + threadIdx.x;
  float sum = 0.f;
  for (int64_t k0 = 0; k0 < in; k0 += kGemmTile) {
    const int64_t k = k0 + threadIdx.x, row = n0 + threadIdx.y;
    a_tile[threadIdx.y][threadIdx.x] = m < rows && k < in ? a[m * lda + k] : 0.f;
    w_tile[threadIdx.y][threadIdx.x] = row < out && k < in ? w[row * in + k] : 0.f;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kGemmTile; ++i) sum += a_tile[threadIdx.y][i] * w_tile[threadIdx.x][i];
    __syncthreads();
  }
  if (m < rows && n < out) c[m * ldc + n] = activate(activation, slope, bias ? sum + bias[n] : sum);
}

GemmWeights::GemmWeights(Call& call, const float* w, const float* bias, int64_t out, int64_t in)
    : in_(in), out_(out), weights_(call, w, out * in), bias_(call, bias, out) {}

void gemm(Call& call, int64_t rows, const float* a, int64_t lda, const GemmWeights& w, int activation,
          float slope, float* c, int64_t ldc) {
  if (rows <= 0 || w.out_ <= 0) return;
  const dim3 grid(static_cast<unsigned>(blocks_of(rows, kGemmTile)),
                  static_cast<unsigned>(blocks_of(w.out_, kGemmTile)));
  CINEFUSE_LAUNCH(call.stream(), gemm_plain_kernel, grid, dim3(kGemmTile, kGemmTile), 0, rows, w.out_, w.in_,
                  a, lda, w.weights_.get(), w.bias_.get(), activation, slope, c, ldc);
}

}  // namespace cinefuse::gpu
