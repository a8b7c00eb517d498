// What the CUDA library is told of an activation; fields as in activation.h.
#pragma once
#include <stdint.h>

struct cinefuse_activation_params {
  int32_t kind;  // enum class Activation
  float slope;
  int64_t rows, cols;
  const float* x;
  float* y;
};
