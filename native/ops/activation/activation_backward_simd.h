#pragma once

namespace cinefuse {

struct ActivationBackwardSimd {
  // kind as enum class Activation, elementwise ones only; dx may be dy
  void (*elementwise)(int kind, float slope, long n, const float* x, const float* y, const float* dy,
                      float* dx);
  void (*softmax)(bool log, long cols, const float* y, const float* dy, float* dx);  // one row
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(ActivationBackwardSimd, activation_backward_simd)
}
#endif
