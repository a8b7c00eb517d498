// What the CUDA library is told of optimisers; fields as in optimizer.h.
#pragma once
#include <stdint.h>

#include "optimizer_step.h"

struct cinefuse_optimizer_params {
  int32_t adam;
  cinefuse::OptimizerStep step;
  int64_t n;
  const float* g;
  float *p, *m, *v;  // changed in place; m and v null where not used
};

struct cinefuse_squared_norm_params {
  int64_t n;
  const float* g;
  double* sum;
};
