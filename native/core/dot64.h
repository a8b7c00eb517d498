// Products of float64 matrices by their rows, for closed-form fits: C += sign * A Bᵀ.
//
// The order of each element's sum depends on `depth` alone: not on threads, not on where the element stands.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dot64_simd.h"
#include "pool.h"

namespace cinefuse {

constexpr int64_t kDotDepth = 512;  // numbers of a row that are multiplied before the next rows' turn
constexpr int64_t kDotBlock = 64;   // rows of B that stay in cache meanwhile

struct Rows64 {
  const double* data;
  int64_t stride;
};

// c[i][j] += sign * sum_k a[i][k] b[j][k], i < rows, j < cols; on the calling thread.
inline void add_dots(const Dot64Simd& simd, int64_t rows, int64_t cols, int64_t depth, Rows64 a, Rows64 b,
                     double sign, double* c, int64_t ldc) {
  for (int64_t k = 0; k < depth; k += kDotDepth) {
    const int64_t kc = std::min(kDotDepth, depth - k);
    for (int64_t j = 0; j < cols; j += kDotBlock) {
      simd.dots(rows, std::min(kDotBlock, cols - j), kc, a.data + k, a.stride, b.data + j * b.stride + k,
                b.stride, sign, c + j, ldc);
    }
  }
}

}  // namespace cinefuse
