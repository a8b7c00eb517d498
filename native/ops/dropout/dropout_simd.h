#pragma once
#include "dropout_mask.h"

namespace cinefuse {

struct DropoutSimd {
  // Elements [0, n) of x, the first of which begins block `block` of the whole. y may be x.
  void (*blocks)(const DropoutMask* mask, unsigned long block, long n, const float* x, float* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(DropoutSimd, dropout_simd)
}
#endif
