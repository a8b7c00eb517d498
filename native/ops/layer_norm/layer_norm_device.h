// What the CUDA library is told of a layer normalisation; fields as in layer_norm.h.
#pragma once
#include <stdint.h>

struct cinefuse_layer_norm_params {
  int64_t rows, cols;
  float eps;
  int32_t reserved;
  const float* x;
  const float* gain;  // or null
  const float* bias;  // or null
  float* y;
};
