// The fully connected layer in training, in device memory; as in linear_backward.h. float32 on the plain
// cores, whatever the call's precision; sums in a fixed order, so that the same call gives the same bits.
// Launches only.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

struct LinearShape {
  int64_t rows, in, out;
};
struct LinearGradients {
  const float *x, *W, *dy;
  float *dx, *dW, *db;
};
void linear_forward(const LinearShape& shape, const float* x, const float* W, const float* b, float* y,
                    Call& call);
void linear_backward(const LinearShape& shape, const LinearGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
