#pragma once
#include <stdint.h>

namespace cinefuse {

struct ConvPoolSimd {
  // The largest of each column of sums (rows, cols), whose first row is place `first`: y[c] and, unless null,
  // its place. They start with place 0 and are otherwise continued; of equals the first stays, and a NaN.
  void (*largest)(long rows, long cols, const float* sums, int32_t first, float* y, int32_t* place);
  // y[i] += a * x[i]
  void (*add_scaled)(long n, float a, const float* x, float* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(ConvPoolSimd, conv_pool_simd)
}
#endif
