// Gradients of the activations: dx = dy ⊙ f'(x); of softmax dx = y ⊙ (dy - Σ_k dy_k y_k), of log_softmax
// dx = dy - e^y Σ_k dy_k, each row apart. At 0 the slope of relu and leaky_relu is the negative side's.
#pragma once
#include "activation.h"

namespace cinefuse {

struct ActivationGradients {
  Activation kind;
  float slope;
  int64_t rows, cols;
  const float *x, *y, *dy;  // y: the forward result
  float* dx;                // may be dy
};
// Throws for what cannot be run; cheap, for the JS thread. y: its size, or -1 where it is not given.
void activation_backward_check(const ActivationGradients& gradients, size_t x, int64_t y, size_t dy);
void activation_backward(const ActivationGradients& gradients, const Exec& exec);

}  // namespace cinefuse
