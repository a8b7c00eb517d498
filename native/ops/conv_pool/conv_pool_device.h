// What the CUDA library is told of conv_pool and its gradients; fields as in conv_pool.h and
// conv_pool_backward.h.
#pragma once
#include <stdint.h>

#define CINEFUSE_CONV_WINDOWS 16

struct cinefuse_conv_window {
  int64_t size, filters;
  const float* weight;  // (filters, size, dim)
  const float* bias;    // (filters), or null
};

struct cinefuse_conv_pool_description {
  int64_t dim;
  int32_t windows, activation;  // enum class Activation: none, relu or tanh
  cinefuse_conv_window window[CINEFUSE_CONV_WINDOWS];
};

struct cinefuse_conv_pool_params {
  int64_t batch, steps;
  const float* x;
  const int32_t* lengths;  // or null
  float* y;                // (batch, filters of all windows)
};

// With weights of this call: y and argmax.
struct cinefuse_conv_pool_forward {
  cinefuse_conv_pool_description layer;
  cinefuse_conv_pool_params rows;
  int32_t* argmax;
};

struct cinefuse_conv_pool_backward {
  cinefuse_conv_pool_description layer;
  cinefuse_conv_pool_params rows;  // without y
  const float *y, *dy;
  const int32_t* argmax;
  float* dx;  // or null
  float *dweight[CINEFUSE_CONV_WINDOWS], *dbias[CINEFUSE_CONV_WINDOWS];
};
