// The inner loop of gemm for rows of A that are read where they lie: nothing is packed.
#pragma once

namespace cinefuse {

struct LinesSimd {
  // c[r][n] = (start ? start[n] : c[r][n]) + sum_k a[r * lda + k] * b[k * kPanel + n]  for r < rows <=
  // tile_rows, n < cols <= kPanel: the same chains of multiply-adds as GemmSimd::tile. Asks the cache for kc
  // floats of `ahead_rows` rows lda apart from `ahead` on, which may be anywhere.
  void (*tile)(int rows, int cols, int kc, const float* a, long lda, const float* b, const float* start,
               float* c, long ldc, const float* ahead, int ahead_rows);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(LinesSimd, lines_simd)
}
#endif
