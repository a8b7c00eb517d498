// What the CUDA library is told of the gradients of layer normalisation; fields as in layer_norm_backward.h.
#pragma once
#include <stdint.h>

struct cinefuse_layer_norm_backward_params {
  int64_t rows, cols;
  float eps;
  const float *x, *gain, *dy;  // gain may be null
  float *dx, *dgain, *dbias;   // null where not wanted
};
