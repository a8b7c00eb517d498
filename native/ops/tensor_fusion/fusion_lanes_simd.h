#pragma once

namespace cinefuse {

constexpr int kFilms = 32;  // rows of a batch side by side: "lanes", always kFilms floats a value

// What training tensor and low-rank fusion is made of. A "value" is kFilms floats, of which the first `lanes`
// count; those up to the next multiple of 16 are computed with them and must be readable.
struct FusionLanesSimd {
  // y[r / period] += lead[r % period] * sum_k a[r * lda + k] * panel[k], k ascending. A null lead counts 1.
  void (*project)(long rows, long period, int kc, const float* a, long lda, const float* panel,
                  const float* lead, int lanes, float* y);
  // z[k - k0] = prod_m h[m][i_m] for flat indices k in [k0, k0 + kc); d[m] is a mode's size with its 1.
  void (*outer)(int modes, const int* d, long k0, int kc, const float* const* h, int lanes, float* z);
  // dh[m][i_m] += dz[k - k0] * prod_{n != m} h[n][i_n] for all of these k.
  void (*contract)(int modes, const int* d, long k0, int kc, const float* const* h, int lanes,
                   const float* dz, float* const* dh);
  // to[t * rows * width + r * width + i] = from[r * ld + t * width + i] for t * width + i < kc: a matrix cut
  // into gemm's tiles of `width` columns (6 or 12). What lies beyond kc stays as it is.
  void (*cut)(long rows, int kc, const float* from, long ld, int width, float* to);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(FusionLanesSimd, fusion_lanes_simd)
}
#endif
