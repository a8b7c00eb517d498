// What one step of an optimiser needs, worked out of OptimizerParams in double precision once.
#pragma once

namespace cinefuse {

struct OptimizerStep {
  float scale;     // of the gradient
  float l2, l1;    // added to it, times p and its sign
  float decay;     // p is multiplied by it first
  float rate;      // sgd: lr; adam: lr / (1 - beta1^t)
  float momentum;  // of sgd
  float beta1, beta2;
  float root;  // 1 / sqrt(1 - beta2^t)
  float eps;
  int first, nesterov;
};

}  // namespace cinefuse
