#pragma once

namespace cinefuse {

struct KernelSimd {
  // |x|², the order of the sum by n alone
  float (*square)(long n, const float* x);
  // k[j] <- weight * q[j] * kernel of the dot products that are there; kind and degree as in KernelShape
  void (*finish)(int kind, int degree, float gamma, float constant, float weight, long n, float x_square,
                 const float* z_squares, const float* q, float* k);
  // f[j] += k[j]
  void (*add)(long n, const float* k, float* f);
  // f[j] *= constant + k[j]
  void (*multiply)(long n, float constant, const float* k, float* f);
  // f[j] *= constant
  void (*scale)(long n, float constant, float* f);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(KernelSimd, kernel_simd)
}
#endif
