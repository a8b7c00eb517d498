// What the CUDA library is told of dropout; fields as in dropout.h.
#pragma once
#include <stdint.h>

struct cinefuse_dropout_params {
  float p;
  uint64_t seed, stream;
  int64_t n;
  const float* x;
  float* y;
};
