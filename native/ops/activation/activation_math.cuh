// One activation of one number, for every kernel that ends in one. Formulas in activation.h.
#pragma once
#include "../../cuda/portable.h"

namespace cinefuse::gpu {

// kind: enum class Activation of activation.h, elementwise ones only; the same for all threads of a launch.
__device__ __forceinline__ float activate(int kind, float slope, float x) {
  switch (kind) {
    case 1:
      return x > 0.f || x != x ? x : 0.f;
    case 2:
      return x > 0.f ? x : slope * x;
    case 3:
      return tanhf(x);
    case 4:
      return 1.f / (1.f + expf(-x));
    case 5:
      return 0.5f * x * (1.f + erff(x * 0.70710678118654752440f));
    case 6:
      return 0.5f * x * (1.f + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    case 7:
      return x / (1.f + expf(-x));
    case 8:
      return x > 0.f || x != x ? x + log1pf(expf(-x)) : log1pf(expf(x));
    default:
      return x;
  }
}

}  // namespace cinefuse::gpu
