#pragma once

namespace cinefuse {

struct Dot64Simd {
  // c[i][j] += sign * sum_k a[i][k] * b[j][k] for i < rows, j < cols, k < depth; rows of a, b, c are lda,
  // ldb, ldc apart. A sum's order depends on depth alone.
  void (*dots)(long rows, long cols, long depth, const double* a, long lda, const double* b, long ldb,
               double sign, double* c, long ldc);
  // y[i] += a * x[i]
  void (*axpy)(long n, double a, const double* x, double* y);
  // to[i] = from[i]
  void (*widen)(long n, const float* from, double* to);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(Dot64Simd, dot64_simd)
}
#endif
