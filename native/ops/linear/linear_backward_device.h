// What the CUDA library is told of the gradients of a linear layer; fields as in linear_backward.h.
#pragma once
#include <stdint.h>

struct cinefuse_linear_backward_params {
  int64_t rows, in, out;
  const float *x, *W, *dy;
  float *dx, *dW, *db;  // null where not wanted
};
