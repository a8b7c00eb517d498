#pragma once

namespace cinefuse {

struct LayerNormSimd {
  // One row; gain and bias may be null.
  void (*row)(long cols, float eps, const float* x, const float* gain, const float* bias, float* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(LayerNormSimd, layer_norm_simd)
}
#endif
