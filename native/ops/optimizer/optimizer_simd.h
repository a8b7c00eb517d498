#pragma once
#include "optimizer_step.h"

namespace cinefuse {

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
