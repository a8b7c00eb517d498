// What the CUDA library is told of a linear layer; fields as in linear.h.
#pragma once
#include <stdint.h>

struct cinefuse_linear_description {
  int64_t in, out;
  const float* weight;  // (out, in)
  const float* bias;    // or null
  int32_t activation;   // enum class Activation, elementwise
  float slope;
};

struct cinefuse_linear_params {
  int64_t rows;
  const float* x;
  float* y;
};
