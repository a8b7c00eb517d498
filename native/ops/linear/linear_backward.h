// The fully connected layer in training, where the weights change every step and nothing is packed
// beforehand:
//
//   y = x Wᵀ + b        dx = dy W,  dW = dyᵀ x,  db = Σ_rows dy
//
// Shapes as in linear.h. Results are overwritten, never added to; a gradient whose pointer is null is not
// computed. The same bits on every number of threads of one instruction set.
#pragma once
#include <cstdint>

#include "../../core/exec.h"

namespace cinefuse {

struct LinearShape {
  int64_t rows, in, out;
};
struct LinearGradients {
  const float *x, *W, *dy;
  float *dx, *dW, *db;
};

// Throws ERR_SHAPE for sizes of arrays that do not fit; cheap, for the JS thread.
void linear_backward_check(const LinearShape& shape, size_t x, size_t W, size_t dy);
// b may be null.
void linear_forward(const LinearShape& shape, const float* x, const float* W, const float* b, float* y,
                    const Exec& exec);
void linear_backward(const LinearShape& shape, const LinearGradients& gradients, const Exec& exec);

}  // namespace cinefuse
