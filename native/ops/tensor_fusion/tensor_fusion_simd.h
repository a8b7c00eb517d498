#pragma once

namespace cinefuse {

struct TensorFusionSimd {
  int lanes;  // rows side by side in a transposed block: the height of gemm's tile, in whole vectors
  int pad;    // floats that may be read after the end of a mode's values in `row`
  // tile[(k - k0) * stride + r] = Π_m h[m][i_m * lanes + r] for flat indices k in [k0, k0 + kc). d[m] is the
  // size of a mode with its appended 1. Rows spill into the next, the last one lanes - stride floats past the
  // end.
  void (*tile)(int modes, const int* d, long k0, int kc, const float* const* h, int stride, float* tile);
  // row[k - k0] = Π_m h[m][i_m]. Spills up to `pad` floats past the end.
  void (*row)(int modes, const int* d, long k0, int kc, const float* const* h, float* row);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(TensorFusionSimd, tensor_fusion_simd)
}
#endif
