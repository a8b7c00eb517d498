// What the CUDA library is told of an activation's gradient; fields as in activation_backward.h.
#pragma once
#include <stdint.h>

struct cinefuse_activation_backward_params {
  int32_t kind;  // enum class Activation
  float slope;
  int64_t rows, cols;
  const float *x, *y, *dy;
  float* dx;
};
