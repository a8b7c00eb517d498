#pragma once

namespace cinefuse {

struct ActivationSimd {
  // kind as enum class Activation, elementwise ones only
  void (*elementwise)(int kind, float slope, long n, const float* x, float* y);
  void (*softmax)(bool log, long cols, const float* x, float* y);  // one row
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(ActivationSimd, activation_simd)
}
#endif
