#pragma once

namespace cinefuse {

// What a step needs of OptimizerParams, worked out in double precision once.
struct OptimizerStep {
  float scale;     // of the gradient
  float l2, l1;    // added to it, times p and its sign
  float decay;     // p is multiplied by it first
  float rate;      // sgd: lr; adam: lr / (1 - beta1^t)
  float momentum;  // sgd
  float beta1, beta2;
  float root;  // 1 / sqrt(1 - beta2^t)
  float eps;
  bool first, nesterov;
};

struct OptimizerSimd {
  void (*sgd)(const OptimizerStep* step, long n, float* p, const float* g, float* v);  // v may be null
  void (*adam)(const OptimizerStep* step, long n, float* p, const float* g, float* m, float* v);
  double (*squared_norm)(long n, const float* g);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(OptimizerSimd, optimizer_simd)
}
#endif
