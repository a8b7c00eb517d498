// What the kernels of a matrix product are told.
#pragma once
#include "../ops/activation/activation_math.cuh"
#include "portable.h"

namespace cinefuse::gpu {

struct GemmArgs {
  const float* a;
  int64_t lda;
  const uint8_t* present;  // null: all rows
  int64_t present_stride;
  const float* w;
  const uint32_t* w_half;
  int64_t ldw, ldw_half;  // numbers, not words
  const float* bias;      // or null
  float* c;
  int64_t ldc;
  float* sums;  // (splits, rows, ld_sums) where k is split, else null
  int64_t ld_sums;
  int32_t rows, out, in;
  int32_t activation;
  float slope;
  int32_t steps_a_split;  // of the kernel's k steps
  int32_t row_tiles, column_tiles;
  int32_t a_vectors, c_vectors;  // rows begin at multiples of 16 bytes
};

__device__ __forceinline__ bool gemm_row_present(const GemmArgs& p, int64_t row) {
  return !p.present || p.present[row * p.present_stride] != 0;
}

// Four numbers of a row of n, from k on; zeros beyond its end. `vectors`: n and k are multiples of 4 and the
// row is aligned to 16 bytes.
__device__ __forceinline__ float4 load_row4(const float* row, int k, int n, bool vectors) {
  if (vectors) return k < n ? load4(row + k) : make_float4(0.f, 0.f, 0.f, 0.f);
  return make_float4(k < n ? row[k] : 0.f, k + 1 < n ? row[k + 1] : 0.f, k + 2 < n ? row[k + 2] : 0.f,
                     k + 3 < n ? row[k + 3] : 0.f);
}

__device__ __forceinline__ float dot4(float sum, float4 a, float4 w) {
  sum += a.x * w.x;
  sum += a.y * w.y;
  sum += a.z * w.z;
  sum += a.w * w.w;
  return sum;
}

// A number of C: f(sum + bias), or the bare sum where others are to join it.
__device__ __forceinline__ void gemm_store(const GemmArgs& p, int64_t row, int column, float sum) {
  if (p.sums) {
    p.sums[(int64_t{blockIdx.y} * p.rows + row) * p.ld_sums + column] = sum;
    return;
  }
  if (p.bias) sum += p.bias[column];
  p.c[row * p.ldc + column] = activate(p.activation, p.slope, sum);
}

// Four numbers side by side; column is a multiple of 4, and columns beyond `out` are left out.
__device__ __forceinline__ void gemm_store4(const GemmArgs& p, int64_t row, int column, float4 sum) {
  if (p.sums) {
    store4(p.sums + (int64_t{blockIdx.y} * p.rows + row) * p.ld_sums + column, sum);
    return;
  }
  if (p.c_vectors && column + 4 <= p.out) {
    if (p.bias) {
      const float4 b = load4(p.bias + column);
      sum.x += b.x;
      sum.y += b.y;
      sum.z += b.z;
      sum.w += b.w;
    }
    sum.x = activate(p.activation, p.slope, sum.x);
    sum.y = activate(p.activation, p.slope, sum.y);
    sum.z = activate(p.activation, p.slope, sum.z);
    sum.w = activate(p.activation, p.slope, sum.w);
    store4(p.c + row * p.ldc + column, sum);
    return;
  }
  const float each[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + i < p.out) gemm_store(p, row, column + i, each[i]);
  }
}

}  // namespace cinefuse::gpu
